// The form of PACS: who is asked for what, what they answer, what is chosen of that and fetched.

function render({ model, el }) {
  const root = rootElement(el, "sn-pacs", "PACS query", model);
  const ids = `sn${Math.random().toString(36).slice(2, 8)}`;
  const line = banner();
  const questions = asker(model, line.waiting);
  const state = { search: null, hidden: model.get("hide_names"), note: null, filled: false };
  const gone = () => (model.get("_status")?.state ?? "live") !== "live";

  // -- the frame ------------------------------------------------------------------------------------------------
  const servers = pacsServers({
    changed: () => {
      form.say(null);
      keep();
    },
    look: () => questions.ask({ type: "servers" }),
    doctor: (what, server) => questions.ask({ type: "doctor", what, server }),
  });
  const signIns = h("div", { class: "sn-q-sign-ins" });
  const cards = new Map();
  const form = queryForm({ search: () => search(), stop: () => stop(), keep: () => keep() });
  const whole = () => ({ ...form.value(), servers: servers.chosen() });
  const saved = savedSearches({
    use: (kept) => {
      form.take(kept);
      if (kept.servers.length) servers.choose(kept.servers);
      keep();
      form.focus();
    },
    change: (what, words) => questions.ask({ type: "saved", what, ...words, ...(what === "save" ? { form: whole() } : {}) }),
  });
  const code = codePanel();
  const panels = { saved, code };
  const tool = (name, picture, label, onclick) => h("button", { class: `sn-icon-button sn-q-tool-${name}`, type: "button", title: label, "aria-label": label, "aria-expanded": name in panels ? "false" : null, "aria-controls": name in panels ? `${ids}-${name}` : null, onclick }, icon(picture));
  const savedButton = tool("saved", "bookmark", "Saved searches", () => showPanel("saved"));
  const codeButton = tool("code", "code", "Copy as code", () => showPanel("code"));
  const hideNames = tool("hide", "eye", "Hide names", () => hide(!state.hidden, true));
  const refresh = tool("refresh", "refresh", "Read the configured PACS again", () => questions.ask({ type: "servers" }));
  saved.node.id = `${ids}-saved`;
  code.node.id = `${ids}-code`;
  const confirm = h("div", { class: "sn-q-confirm", role: "alert", hidden: true });
  const status = h("div", { class: "sn-q-status", role: "status" });
  const troubles = h("div", { class: "sn-q-troubles" });
  const table = answersTable({
    open: (what, key) => questions.ask({ type: "open", what, key }),
    pictures: (keys) => questions.ask({ type: "pictures", keys }),
    changed: () => {
      state.note = null;
      questions.ask({ type: "select", keys: table.chosen() });
      drawFoot();
    },
    leave: () => form.focus(),
  });
  const nothing = h("div", { class: "sn-q-nothing" });
  const note = h("div", { class: "sn-q-said", role: "status" });
  const clear = h("button", { class: "sn-q-link sn-q-clear", type: "button", hidden: true, onclick: () => choose([]) }, "Clear");
  const retrieveButton = h("button", { class: "sn-button sn-q-retrieve", type: "button", onclick: () => retrieve(false) }, "Retrieve");
  const showButton = h("button", { class: "sn-button sn-button-main sn-q-retrieve-show", type: "button", onclick: () => retrieve(true) }, "Retrieve and show");
  const foot = h("div", { class: "sn-q-foot" }, note, clear, retrieveButton, showButton);
  const transfers = transfersPanel({
    act: (what, numbers) => questions.ask({ type: "transfers", what, ids: numbers }),
    cancelLoad: (id) => questions.ask({ type: "cancel_load", id }),
    away: (id) => questions.ask({ type: "away", ids: [id] }),
  });
  root.append(
    h("div", { class: "sn-q-head" }, servers.node, h("div", { class: "sn-q-tools" }, savedButton, codeButton, hideNames, refresh)),
    saved.node,
    code.node,
    line.node,
    signIns,
    form.node,
    confirm,
    h("div", { class: "sn-q-answers" }, status, troubles, table.node, nothing, foot),
    transfers.node,
  );

  function showPanel(name) {
    const { node } = panels[name];
    const button = name === "saved" ? savedButton : codeButton;
    const on = node.hidden;
    if (on && name === "code") {
      // It is shown when the code is there.
      code.clear();
      questions.ask({ type: "code", form: whole(), today: dayHere() });
      return;
    }
    node.hidden = !on;
    button.setAttribute("aria-expanded", String(on));
    if (on) saved.focus();
  }

  for (const [name, button] of [["saved", savedButton], ["code", codeButton]])
    panels[name].node.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      panels[name].node.hidden = true;
      button.setAttribute("aria-expanded", "false");
      button.focus();
    });

  // -- searching --------------------------------------------------------------------------------------------------
  function keep() {
    questions.ask({ type: "form", form: whole() });
  }

  function search(sure = false) {
    form.say(null);
    ask(null);
    questions.ask({ type: "search", form: whole(), today: dayHere(), sure });
  }

  function stop() {
    if (state.search?.going) questions.ask({ type: "stop" });
  }

  /** Ask before a PACS is asked for everything. */
  function ask(text) {
    confirm.hidden = text === null;
    if (text === null) return;
    const not = h("button", { class: "sn-button", type: "button", onclick: () => {
      ask(null);
      form.focus();
    } }, "No");
    fill(confirm, icon("warning"), h("span", {}, `${text} Search all?`), h("button", { class: "sn-button sn-q-sure", type: "button", onclick: () => search(true) }, "Search all"), not);
    not.focus();
  }

  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !state.search?.going) return;
    event.preventDefault();
    event.stopPropagation();
    stop();
  });

  function stateWords(each) {
    const found = count(each.count, "study", "studies");
    if (each.state === "failed") return "failed";
    if (each.state === "waiting" || each.state === "going") return each.count ? `${found}…` : "asking…";
    return each.state === "stopped" ? `${found}, stopped` : found;
  }

  function drawSearch() {
    const { search: now } = state;
    form.going(Boolean(now?.going));
    root.dataset.view = !now ? "start" : table.size ? "studies" : "nothing";
    if (!now) {
      fill(status);
      fill(nothing, h("div", { class: "sn-empty" }, icon("search"), h("span", {}, "Fill in what is known, and press Enter.")));
      fill(troubles);
      return;
    }
    fill(
      status,
      ...now.servers.map((each) => h("span", { class: "sn-q-asked", "data-server": each.server, "data-state": each.state }, each.state === "failed" ? icon("error") : null, h("strong", {}, each.server), ` ${stateWords(each)}`)),
      now.asked && !state.hidden ? h("span", { class: "sn-hint sn-q-asked-for sn-q-text", title: now.asked }, now.asked) : null,
    );
    fill(troubles, ...now.servers.flatMap(trouble));
    const failed = now.servers.every((each) => each.state === "failed");
    const empty = now.going ? ["Asking…"] : failed ? ["Nobody answered."] : ["Nothing matches.", form.value().anywhere ? "" : "“Match anywhere” finds parts of names and texts, too."];
    fill(nothing, h("div", { class: "sn-empty" }, h("strong", {}, empty[0]), empty[1] ? h("span", {}, empty[1]) : null));
  }

  /** What a PACS's error says; most begin with its name. */
  function named({ server, error }) {
    const rest = error.message.startsWith(server) ? error.message.slice(server.length) : `: ${error.message}`;
    return [h("strong", {}, server), rest];
  }

  function trouble(each) {
    const found = [];
    if (each.state === "failed") found.push(h("div", { class: "sn-q-note sn-q-bad", role: "alert", "data-server": each.server }, icon("error"), h("span", {}, ...named(each), " ", h("span", { class: "sn-hint" }, each.error.hint ?? "")), h("button", { class: "sn-button sn-q-again", type: "button", onclick: () => questions.ask({ type: "again", server: each.server }) }, "Try again")));
    if (each.more) found.push(h("div", { class: "sn-q-note", "data-server": each.server }, icon("warning"), h("span", {}, h("strong", {}, each.server), ` has more than the limit of ${state.search.limit.toLocaleString("en")}. `, h("span", { class: "sn-hint" }, "Narrow the search, or raise the limit."))));
    if (each.odd) found.push(h("div", { class: "sn-q-note", "data-server": each.server }, icon("warning"), h("span", {}, h("strong", {}, each.server), ` gave ${count(each.odd, "answer")} without a Study Instance UID, which cannot be retrieved and are left out.`)));
    return found;
  }

  /** Where somebody is to sign in, by PACS. */
  function takeSignIns(asked) {
    for (const words of asked) {
      if (!cards.has(words.server)) cards.set(words.server, signInCard((server) => questions.ask({ type: "stop_sign_in", server })));
      cards.get(words.server).take(words);
    }
    const wanted = new Set(asked.map(({ server }) => server));
    for (const [server, card] of cards)
      if (!wanted.has(server)) {
        // Whoever was at it goes on in the form.
        const focused = card.node.contains(document.activeElement);
        card.take(null);
        card.node.remove();
        cards.delete(server);
        if (focused) form.focus();
      }
    for (const card of cards.values()) if (!card.node.isConnected) signIns.append(card.node);
  }

  // -- choosing and retrieving ----------------------------------------------------------------------------------------
  function choose(keys) {
    state.note = null;
    table.choose(keys);
    questions.ask({ type: "select", keys });
    drawFoot();
  }

  function retrieve(show) {
    const keys = table.chosen();
    if (keys.length === 0 || gone()) return;
    state.note = null;
    questions.ask({ type: "retrieve", keys, show });
  }

  function drawFoot() {
    const keys = table.chosen();
    const chosen = table.chosenRows();
    const here = chosen.length > 0 && chosen.every((each) => each.whole);
    clear.hidden = keys.length === 0;
    retrieveButton.disabled = showButton.disabled = keys.length === 0 || gone();
    showButton.textContent = here ? "Show" : "Retrieve and show";
    note.className = "sn-q-said";
    if (state.note) {
      note.classList.add(state.note.error ? "sn-q-bad" : "sn-q-good");
      fill(note, icon(state.note.error ? "error" : "check"), h("span", { role: state.note.error ? "alert" : null }, state.note.message, " ", h("span", { class: "sn-hint" }, state.note.code ? ["In the next cell: ", h("code", {}, state.note.code)] : (state.note.hint ?? ""))));
    } else if (keys.length === 0) fill(note, h("span", { class: "sn-hint" }, table.size ? "Choose studies or series: the box in front, or Space." : ""));
    else {
      const studies = keys.filter((key) => key.split(" ").length === 2).length;
      const words = [studies ? count(studies, "study", "studies") : "", keys.length > studies ? `${keys.length - studies} series` : ""].filter(Boolean).join(", ");
      const images = chosen.every((each) => each.images !== null) ? `, ${count(chosen.reduce((sum, each) => sum + each.images, 0), "image")}` : "";
      fill(note, h("span", {}, `${words} chosen${images}`), here ? h("span", { class: "sn-q-here", "data-here": "all" }, icon("check"), "All here already") : null);
    }
  }

  function begun({ begun: number, here, show }) {
    const parts = [];
    if (number) parts.push(number === 1 ? "The retrieval has begun." : `${number} retrievals have begun.`);
    if (here && !show) parts.push(number ? `${here} already here.` : "Already here: nothing was fetched.");
    if (here && show) parts.push(number ? `${here} already here: shown.` : "Already here: shown.");
    state.note = { begun: number > 0, message: parts.join(" "), hint: here && !number && !show ? "“Show” loads it." : number === 1 ? "It goes on without this notebook." : number ? "They go on without this notebook." : "" };
    drawFoot();
  }

  function loaded(done) {
    if (done.length === 0) return;
    const more = done.length > 2 ? ` and ${done.length - 2} more` : "";
    const names = done.slice(0, 2).map((load) => load.title).join(", ");
    state.note = { message: `In the scene: ${names}${more}.`, code: "query.volumes" };
    drawFoot();
  }

  // -- names ------------------------------------------------------------------------------------------------------
  function hide(on, tellIt = false) {
    state.hidden = on;
    hideNames.setAttribute("aria-pressed", String(on));
    hideNames.title = on ? "Show names" : "Hide names";
    fill(hideNames, icon(on ? "hidden" : "eye"));
    if (tellIt) questions.ask({ type: "hide", on });
    table.hide(on);
    drawSearch();
  }

  // -- what the kernel says -----------------------------------------------------------------------------------------
  const heard = listener(model);
  const takes = {
    servers: (message) => servers.take(message),
    doctor: (message) => servers.examined(message),
    sign_in: (message) => takeSignIns(message.asked),
    form: (message) => {
      // A view takes what the kernel knew of a former one, once; after that it is the one that knows, but for code.
      if (state.filled && !message.by_code) return;
      state.filled = true;
      form.take(message.form);
      if (message.form.servers.length) servers.choose(message.form.servers);
    },
    "form-error": (message) => form.say(message),
    confirm: (message) => ask(message.text),
    search: (message) => {
      const other = message.serial !== state.search?.serial;
      state.search = message;
      state.note = null;
      if (other) table.begin();
      table.add(message.rows);
      drawSearch();
      drawFoot();
    },
    answers: (message) => {
      if (message.serial !== state.search?.serial) return;
      state.search = message;
      table.add(message.rows);
      drawSearch();
      if (message.rows.length && !table.chosen().length && !state.note) drawFoot();
    },
    series: (message) => table.below(message),
    instances: (message) => table.below(message),
    plan: (message) => table.below(message),
    pictures: (message, buffers) => {
      for (const each of message.pictures) table.picture(each, buffers);
    },
    here: (message) => {
      table.takeHere(message.studies);
      drawFoot();
    },
    selected: (message) => {
      table.choose(message.keys);
      drawFoot();
    },
    saved: (message) => saved.take(message),
    code: (message) => {
      code.node.hidden = false;
      codeButton.setAttribute("aria-expanded", "true");
      code.take(message);
    },
    retrieving: begun,
    "retrieve-error": (message) => {
      state.note = { ...message, error: true };
      drawFoot();
    },
    transfers: (message) => {
      transfers.take(message);
      if (!state.note?.begun || transfers.going()) return;
      state.note = null;
      drawFoot();
    },
    loads: (message) => transfers.takeLoads(message),
    loaded: () => loaded(transfers.loaded()),
  };

  function takeStatus() {
    line.status(model.get("_status"));
    root.classList.toggle("sn-q-gone", gone());
    drawFoot();
  }

  heard.on("change:_status", takeStatus);
  heard.on("change:hide_names", () => {
    if (model.get("hide_names") !== state.hidden) hide(model.get("hide_names"));
  });
  heard.on("msg:custom", (message, buffers) => takes[message.type]?.(message, buffers));

  hide(state.hidden);
  takeStatus();
  questions.ask({ type: "hello" });

  return () => {
    heard.close();
    questions.close();
    form.close();
    table.close();
    for (const card of cards.values()) card.close();
  };
}

export default { render };
