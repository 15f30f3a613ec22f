// What Slicer fetches from PACS: a bar for each transfer and each series, pause, cancel, retry, log; what is loaded of it.

Object.assign(ICONS, {
  pause: "M7 5h3.500v14H7zm6.500 0H17v14h-3.500z",
  play: "M8 5v14l11-7z",
  log: "M5 4h14v2H5zm0 4.700h14v2H5zm0 4.700h14v2H5zm0 4.600h9v2H5z",
});

const TRANSFER_STATES = { waiting: "Waiting", going: "Retrieving", paused: "Paused", done: "All is here", incomplete: "Not all arrived", failed: "Failed", cancelled: "Cancelled", loading: "Loading", loaded: "In the scene", unloaded: "Not all loaded" };
const transferGoesOn = (entry) => ["waiting", "going", "paused"].includes(entry.state);

/** Bytes a second: "12.3 MB/s". */
function rateInWords(rate) {
  return rate >= 1e5 ? `${(rate / 1e6).toFixed(rate < 1e7 ? 1 : 0)} MB/s` : `${Math.round(rate / 1e3)} kB/s`;
}

/** How far a transfer is, in words. */
function transferFacts(entry) {
  const counted = `${entry.received.toLocaleString("en")} of ${entry.expected === null ? "?" : entry.expected.toLocaleString("en")}`;
  const parts = [entry.series.length || entry.state !== "waiting" ? counted : ""];
  if (entry.state === "going" && entry.rate > 0) parts.push(rateInWords(entry.rate));
  if (entry.state === "going" && entry.seconds_left !== null) parts.push(`${secondsInWords(entry.seconds_left)} left`);
  if (!transferGoesOn(entry) && entry.bytes > 0) parts.push(`${bytesInWords(entry.bytes)} in ${secondsInWords(entry.seconds)}`);
  return parts.filter(Boolean).join(" · ");
}

/** What went wrong with a transfer, and what to do; null when nothing did. */
function transferTrouble(entry) {
  if (entry.state === "incomplete") {
    const missing = entry.series.reduce((sum, each) => sum + each.missing, 0);
    const reason = entry.series.flatMap((each) => each.reasons).at(-1);
    return { message: `${missing ? count(missing, "instance") : "Something"} did not arrive.${reason ? ` Last: ${reason}.` : ""}`, hint: "Retry goes on from there; what has arrived is kept." };
  }
  if (entry.error?.message) return { message: entry.error.message, hint: entry.error.hint || "Retry goes on from where it was." };
  return null;
}

function seriesName(each) {
  return [each.SeriesNumber, each.Modality, each.SeriesDescription].filter((part) => part !== null && part !== undefined && part !== "").join(" · ") || "Series";
}

/** Series as their numbers have them, not as the PACS listed them. */
const byNumber = (a, b) => (a.SeriesNumber ?? Infinity) - (b.SeriesNumber ?? Infinity) || 0;

/**
 * @param act act(what, ids): what is "cancel", "pause", "go_on", "retry" or "clear"
 * @param cancelLoad cancelLoad(id)
 * @param away away(id): an error of loading was read
 */
function transfersPanel({ act, cancelLoad, away }) {
  const list = h("div", { class: "sn-q-transfer-list", role: "list", "aria-label": "Transfers" });
  const sum = h("span", { class: "sn-q-transfer-sum sn-hint" });
  const clear = h("button", { class: "sn-q-link sn-q-clear-ended", type: "button", onclick: () => act("clear", ended()) }, "Clear what has ended");
  const said = h("span", { class: "sn-q-unseen", role: "status" });
  const node = h("section", { class: "sn-q-transfers", "aria-label": "Transfers", hidden: true }, h("div", { class: "sn-q-transfers-head" }, h("h3", { class: "sn-q-title" }, "Transfers"), sum, clear, said), list);
  const entries = new Map();
  const drawn = new Map();
  const loads = new Map();
  let ownLoads = new Set();
  const logs = new Set();
  /** Entries whose series are shown, or not, because somebody said so. */
  const unfolded = new Map();
  const ended = () => [...entries.values()].filter((entry) => !transferGoesOn(entry)).map((entry) => entry.id);
  const loadsOf = (entry) => entry.loads.map((id) => loads.get(id)).filter(Boolean);
  /** What goes on or went wrong is shown; what is done needs its line only. */
  const isOpen = (entry) => unfolded.get(entry.id) ?? (transferGoesOn(entry) || entry.state === "incomplete" || loadsOf(entry).some((load) => load.state !== "done"));

  function stateOf(entry) {
    const own = loadsOf(entry);
    if (entry.state !== "done" || own.length === 0) return entry.state;
    if (own.some((load) => load.state === "failed")) return "unloaded";
    return own.every((load) => load.state === "done") ? "loaded" : "loading";
  }

  function draw() {
    const loading = [...loads.values()].filter((load) => ownLoads.has(load.id) && ["waiting", "loading", "failed"].includes(load.state) && !inTransfer(load.id));
    const all = [...entries.values()].sort((a, b) => b.id - a.id);
    node.hidden = all.length + loading.length === 0;
    const going = all.filter(transferGoesOn);
    const rate = going.reduce((total, entry) => total + entry.rate, 0);
    sum.textContent = going.length ? [`${going.length} under way`, rate > 0 ? rateInWords(rate) : ""].filter(Boolean).join(" · ") : "";
    clear.hidden = ended().length === 0;
    const rows = [...loading.map((load) => loadRow(load)), ...all.map((entry) => update(entry))];
    if (rows.length !== list.children.length || rows.some((row, index) => row !== list.children[index])) list.replaceChildren(...rows);
  }

  const inTransfer = (id) => [...entries.values()].some((entry) => entry.loads.includes(id));

  // -- one transfer -------------------------------------------------------------------------------------------------
  /** The element of a transfer, brought up to date: what has the focus in it stays. */
  function update(entry) {
    const key = JSON.stringify([stateOf(entry), entry.title, entry.series.map((each) => each.SeriesInstanceUID), logs.has(entry.id), isOpen(entry), transferTrouble(entry)?.message]);
    let row = drawn.get(entry.id);
    if (!row || row.dataset.key !== key) {
      const focused = row?.contains(document.activeElement) ? document.activeElement.dataset.control : null;
      const made = h("div", { class: "sn-q-transfer", role: "listitem", "data-id": entry.id, "data-state": stateOf(entry), "data-key": key }, ...parts(entry));
      row?.replaceWith(made);
      row = made;
      drawn.set(entry.id, row);
      if (focused) (row.querySelector(`[data-control="${focused}"]`) ?? row.querySelector("button"))?.focus();
    }
    row.querySelector(".sn-q-transfer-facts").textContent = transferFacts(entry);
    setBar(row.querySelector(".sn-bar"), entry.received, entry.expected, entry.state === "going");
    entry.series.forEach((each, index) => updateSeries(row.querySelectorAll(".sn-q-part")[index], each, entry));
    const log = row.querySelector(".sn-q-log");
    if (log && log.children.length !== entry.log.length) {
      const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
      fill(log, ...entry.log.map((line) => h("li", {}, line)));
      if (atEnd) log.scrollTop = log.scrollHeight;
    }
    return row;
  }

  function setBar(bar, done, all, working) {
    if (!bar) return;
    bar.classList.toggle("sn-bar-unknown", working && !all);
    bar.firstChild.style.width = `${all ? Math.min(100, (100 * done) / all) : 0}%`;
    if (all) bar.setAttribute("aria-valuenow", String(Math.round((100 * done) / all)));
    else bar.removeAttribute("aria-valuenow");
  }

  function bar(label) {
    return h("div", { class: "sn-bar", role: "progressbar", "aria-label": label, "aria-valuemin": "0", "aria-valuemax": "100" }, h("div", { class: "sn-bar-fill" }));
  }

  function parts(entry) {
    const trouble = transferTrouble(entry);
    const name = entry.title || "a study";
    const open = isOpen(entry);
    const button = (control, picture, label, onclick) => h("button", { class: "sn-icon-button", type: "button", title: label, "aria-label": `${label}: ${name}`, "data-control": control, onclick }, icon(picture));
    const going = transferGoesOn(entry);
    return [
      h(
        "div",
        { class: "sn-q-transfer-head" },
        h("button", { class: "sn-q-unfold", type: "button", "aria-expanded": String(open), "aria-label": `Series of ${name}`, "data-control": "unfold", disabled: entry.series.length === 0, onclick: () => unfold(entry) }, twist(open)),
        h("span", { class: "sn-q-transfer-title", title: name }, h("strong", {}, name), h("span", { class: "sn-hint" }, ` from ${entry.server}${entry.elsewhere ? `, asked for by ${entry.by}` : ""}`)),
        h("span", { class: "sn-q-transfer-state" }, { done: icon("check"), loaded: icon("cube"), failed: icon("error"), incomplete: icon("warning"), unloaded: icon("warning") }[stateOf(entry)] ?? null, TRANSFER_STATES[stateOf(entry)]),
        bar(`Retrieving ${name}`),
        h("span", { class: "sn-q-transfer-facts" }),
        h(
          "span",
          { class: "sn-q-transfer-do" },
          entry.state === "paused" ? button("pause", "play", "Go on", () => act("go_on", [entry.id])) : going ? button("pause", "pause", "Pause", () => act("pause", [entry.id])) : null,
          going || entry.state === "done" ? null : button("retry", "refresh", "Retry", () => act("retry", [entry.id])),
          h("button", { class: "sn-icon-button", type: "button", title: "Log", "aria-label": `Log: ${name}`, "aria-expanded": String(logs.has(entry.id)), "data-control": "log", onclick: () => showLog(entry) }, icon("log")),
          going ? button("cancel", "close", "Cancel", () => act("cancel", [entry.id])) : button("cancel", "close", "Put away", () => act("clear", [entry.id])),
        ),
      ),
      trouble ? h("div", { class: "sn-q-note sn-q-bad", role: "alert" }, icon("error"), h("span", {}, trouble.message, " ", h("span", { class: "sn-hint" }, trouble.hint))) : null,
      open && entry.series.length ? h("div", { class: "sn-q-parts", role: "list", "aria-label": `Series of ${name}` }, ...entry.series.map(part)) : null,
      logs.has(entry.id) ? h("ol", { class: "sn-q-log", tabindex: "0", "aria-label": `Log of ${name}` }) : null,
    ].filter(Boolean);
  }

  function part(each) {
    return h(
      "div",
      { class: "sn-q-part", role: "listitem", "data-series": each.SeriesInstanceUID },
      h("span", { class: "sn-q-part-name sn-q-text", title: seriesName(each) }, seriesName(each)),
      bar(`Retrieving ${seriesName(each)}`),
      h("span", { class: "sn-q-part-facts" }),
      h("span", { class: "sn-q-part-load" }),
    );
  }

  function updateSeries(row, each, byEntry) {
    if (!row) return;
    row.dataset.state = each.state;
    setBar(row.querySelector(".sn-bar"), each.received, each.expected, each.state === "fetching");
    const facts = [`${each.received.toLocaleString("en")} of ${each.expected === null ? "?" : each.expected.toLocaleString("en")}`];
    if (each.here && each.here === each.received && each.state === "complete") facts.push("here before");
    if (each.ways.length) facts.push(each.ways.join(", then "));
    if (each.retried) facts.push(`${each.retried} asked for again`);
    row.querySelector(".sn-q-part-facts").textContent = facts.join(" · ");
    row.title = [...each.reasons, ...each.warnings].join("\n");
    const load = loads.get(byEntry.loads.find((id) => loads.get(id)?.series === each.SeriesInstanceUID));
    const node = row.querySelector(".sn-q-part-load");
    const key = load ? `${load.state} ${Math.round(load.progress * 20)}` : "none";
    if (node.dataset.key === key) return;
    node.dataset.key = key;
    fill(node, ...(load ? loadWords(load) : []));
  }

  function unfold(entry) {
    unfolded.set(entry.id, !isOpen(entry));
    draw();
  }

  function showLog(entry) {
    if (!logs.delete(entry.id)) logs.add(entry.id);
    draw();
  }

  // -- loading ------------------------------------------------------------------------------------------------------
  function loadWords(load) {
    if (load.state === "failed") return [h("span", { class: "sn-q-bad", role: "alert" }, icon("error"), h("span", {}, load.error.message, " ", h("span", { class: "sn-hint" }, load.error.hint ?? "")))];
    if (load.state === "done") return [icon("cube"), "In the scene"];
    if (load.state === "loading") return [load.progress > 0 ? `Loading, ${Math.round(100 * load.progress)} %` : "Loading…"];
    return load.state === "waiting" ? ["Waits to be loaded"] : [];
  }

  /** A series that was here before, and so is loaded without a transfer. */
  function loadRow(load) {
    const key = `load ${load.id} ${load.state} ${Math.round(load.progress * 20)}`;
    const former = drawn.get(`load ${load.id}`);
    if (former?.dataset.key === key) return former;
    const close = load.state === "failed" ? () => {
      ownLoads.delete(load.id);
      away(load.id);
      draw();
    } : () => cancelLoad(load.id);
    const label = load.state === "failed" ? "Put away" : "Cancel";
    const row = h(
      "div",
      { class: "sn-q-transfer", role: "listitem", "data-load": load.id, "data-state": load.state, "data-key": key },
      h("div", { class: "sn-q-transfer-head" }, h("span", { class: "sn-q-transfer-title", title: load.title }, h("strong", {}, load.title)), h("span", { class: "sn-q-part-load" }, ...loadWords(load)), h("span", { class: "sn-q-transfer-do" }, h("button", { class: "sn-icon-button", type: "button", title: label, "aria-label": `${label}: ${load.title}`, onclick: close }, icon("close")))),
    );
    drawn.set(`load ${load.id}`, row);
    return row;
  }

  return {
    node,
    take(message) {
      if (message.all) entries.clear();
      for (const id of message.gone) {
        entries.delete(id);
        drawn.delete(id);
        logs.delete(id);
      }
      for (const entry of message.entries) {
        const former = entries.get(entry.id);
        if (former && transferGoesOn(former) && !transferGoesOn(entry)) said.textContent = `${entry.title || "A transfer"}: ${TRANSFER_STATES[entry.state]}, ${transferFacts(entry)}`;
        entries.set(entry.id, { ...entry, series: [...entry.series].sort(byNumber) });
      }
      draw();
    },
    takeLoads(message) {
      if (message.all) loads.clear();
      ownLoads = new Set(message.mine);
      for (const id of message.gone) loads.delete(id);
      for (const load of message.entries) loads.set(load.id, load);
      draw();
    },
    /** Whether anything goes on. */
    going: () => [...entries.values()].some(transferGoesOn),
    /** What this form had loaded last. */
    loaded: () => [...loads.values()].filter((load) => ownLoads.has(load.id) && load.state === "done"),
  };
}
