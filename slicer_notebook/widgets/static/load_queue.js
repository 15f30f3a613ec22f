// Slicer's queue of loads: what goes on, how far it is, a cancel for each, what went wrong and what to do.

/** How far an entry is, in words. */
function loadFacts(entry) {
  if (entry.cancelling) return "Stopping…";
  if (entry.state === "waiting") return "Waiting";
  const [files, ofFiles] = entry.files ?? [0, 0];
  const [bytes, ofBytes] = entry.bytes ?? [0, 0];
  const parts = [];
  if (ofFiles) parts.push(`${files.toLocaleString("en")} of ${count(ofFiles, "file")}`);
  if (ofBytes) parts.push(`${bytesInWords(bytes)} of ${bytesInWords(ofBytes)}`);
  if (entry.seconds_left !== null && entry.seconds_left !== undefined) parts.push(`${secondsInWords(entry.seconds_left)} left`);
  return parts.join(" · ") || entry.text || "Loading…";
}

/**
 * @param cancel cancel(id)
 * @param away away(entry, again): an error was read; again: try once more
 * @param changed changed(uid): what is known of loading this series has changed
 */
function loadQueue({ cancel, away, changed }) {
  const node = h("div", { class: "sn-queue", role: "list", "aria-label": "Loading", hidden: true });
  const loads = new Map();
  let mine = new Set();
  const goesOn = (entry) => entry.state === "waiting" || entry.state === "loading";

  function draw() {
    // What goes on, and what went wrong: that stays until it is put away.
    const entries = [...loads.values()].filter((entry) => goesOn(entry) || (entry.state === "failed" && mine.has(entry.id)));
    node.hidden = entries.length === 0;
    const former = new Map([...node.children].map((row) => [Number(row.dataset.id), row]));
    const rows = entries.map((entry) => drawRow(entry, former.get(entry.id)));
    if (rows.length !== node.children.length || rows.some((row, index) => row !== node.children[index])) node.replaceChildren(...rows);
  }

  function drawRow(entry, former) {
    const key = `${entry.state} ${Boolean(entry.cancelling)} ${mine.has(entry.id)}`;
    const row = former?.dataset.key === key ? former : h("div", { class: "sn-load", role: "listitem", "data-id": entry.id, "data-series": entry.series, "data-state": entry.state, "data-key": key }, ...parts(entry));
    const bar = row.querySelector(".sn-bar");
    if (bar) {
      const known = entry.progress >= 0 && entry.state === "loading";
      bar.classList.toggle("sn-bar-unknown", !known && entry.state === "loading");
      bar.firstChild.style.width = `${known ? 100 * entry.progress : 0}%`;
      if (known) bar.setAttribute("aria-valuenow", String(Math.round(100 * entry.progress)));
      else bar.removeAttribute("aria-valuenow");
      row.querySelector(".sn-load-facts").textContent = loadFacts(entry);
    }
    return row;
  }

  function parts(entry) {
    if (entry.state === "failed") {
      return [
        h("span", { class: "sn-load-error", role: "alert" }, icon("error"), h("span", {}, h("strong", {}, entry.title), ` ${entry.error.message} `, h("span", { class: "sn-hint" }, entry.error.hint ?? ""))),
        h("button", { class: "sn-link sn-load-again", type: "button", onclick: () => putAway(entry, true) }, "Try again"),
        h("button", { class: "sn-icon-button sn-load-away", type: "button", "aria-label": `Put the error of ${entry.title} away`, title: "Put away", onclick: () => putAway(entry, false) }, icon("close")),
      ];
    }
    const stop = () => {
      loads.set(entry.id, { ...loads.get(entry.id), cancelling: true });
      cancel(entry.id);
      draw();
    };
    return [
      h("span", { class: "sn-load-title", title: entry.title }, entry.title, mine.has(entry.id) ? null : h("span", { class: "sn-hint" }, " · asked for elsewhere")),
      h("div", { class: "sn-bar", role: "progressbar", "aria-label": `Loading ${entry.title}`, "aria-valuemin": "0", "aria-valuemax": "100" }, h("div", { class: "sn-bar-fill" })),
      h("span", { class: "sn-load-facts" }),
      h("button", { class: "sn-icon-button sn-load-cancel", type: "button", "aria-label": `Cancel ${entry.title}`, title: "Cancel", disabled: Boolean(entry.cancelling), onclick: stop }, icon("close")),
    ];
  }

  function putAway(entry, again) {
    mine.delete(entry.id);
    loads.delete(entry.id);
    draw();
    changed(entry.series);
    away(entry, again);
  }

  return {
    node,
    goesOn,
    /** The entries that this widget has asked for. */
    own: () => [...loads.values()].filter((entry) => mine.has(entry.id)),
    /** The newest entry of a series. */
    of: (uid) => [...loads.values()].reverse().find((entry) => entry.series === uid),

    /** News from Slicer. */
    take(message) {
      if (message.all) loads.clear();
      mine = new Set(message.mine);
      for (const id of message.gone ?? []) loads.delete(id);
      for (const entry of message.entries) {
        const former = loads.get(entry.id);
        loads.set(entry.id, { ...entry, cancelling: Boolean(former?.cancelling) && goesOn(entry) });
        if (former?.state !== entry.state) changed(entry.series);
      }
      draw();
    },
  };
}
