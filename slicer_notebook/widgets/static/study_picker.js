// The study picker: find a study in the table, see what its series are, choose, load.

/** Milliseconds after a keystroke until the counts beside the filters follow. */
const COUNTS_AFTER = 200;
/** Milliseconds after a keystroke until the first study found is the open one, if the open one was not found. */
const OPEN_AFTER = 350;
/** Milliseconds between studies of which one passes the other by. */
const PASSING = 250;
/** Kinds of series with a chip of their own; the rarer ones are behind "More". */
const CHIPS = 8;

const WHEN = { any: "Any date", today: "Today", week: "Last 7 days", month: "Last 30 days", year: "Last 12 months", range: "Between…" };

function dayNumber(date) {
  return date.getFullYear() * 10000 + (date.getMonth() + 1) * 100 + date.getDate();
}

/** First and last day of a choice, as numbers; 0 for open. */
function daysOf(choice, from, to) {
  const days = { today: 0, week: 6, month: 29, year: 364 }[choice];
  if (days !== undefined) {
    const first = new Date();
    first.setDate(first.getDate() - days);
    return { from: dayNumber(first), to: dayNumber(new Date()) };
  }
  if (choice === "range") return { from: Number(from.replaceAll("-", "")) || 0, to: Number(to.replaceAll("-", "")) || 0 };
  return { from: 0, to: 0 };
}

function render({ model, el }) {
  const root = rootElement(el, "sn-picker", "Study picker", model);
  const menuId = `sn${Math.random().toString(36).slice(2, 8)}`;
  const line = banner();
  const questions = asker(model, line.waiting);
  const store = studyStore();
  const state = {
    query: "",
    filter: { modalities: new Set(), from: 0, to: 0 },
    columns: [...model.get("columns")],
    hidden: model.get("hide_names"),
    serial: 0,
    pages: 0,
    read: false,
    problem: null,
    rows: new Map(),
    selected: new Set(),
    loaded: new Set(),
    note: "",
  };
  const seriesErrors = new Map();
  const gone = () => (model.get("_status")?.state ?? "live") !== "live";
  const words = () => folded(state.query).split(/\s+/).filter(Boolean);
  const filtered = () => state.filter.modalities.size > 0 || state.filter.from > 0 || state.filter.to > 0 || Boolean(state.filter.only);

  // -- the frame ------------------------------------------------------------------------------------------------
  const search = h("input", {
    class: "sn-search-input",
    type: "search",
    placeholder: "Search by name, ID, accession number, date, modality, description",
    "aria-label": "Search studies",
    spellcheck: "false",
    autocomplete: "off",
    oninput: () => {
      state.query = search.value;
      find();
      countLater();
    },
  });
  const tally = h("span", { class: "sn-tally", role: "status" });
  const hideNames = h(
    "button",
    { class: "sn-icon-button sn-hide-names", type: "button", onclick: () => hide(!state.hidden, true) },
    icon("eye"),
  );
  const columnsButton = h(
    "button",
    { class: "sn-icon-button sn-columns-button", type: "button", title: "Columns", "aria-label": "Columns", "aria-expanded": "false", "aria-controls": menuId, onclick: () => showColumns(menu.hidden) },
    icon("columns"),
  );
  const addButton = h(
    "button",
    { class: "sn-icon-button sn-add-button", type: "button", title: "Index a folder", "aria-label": "Index a folder", "aria-expanded": "false", "aria-controls": `${menuId}-folder`, onclick: () => showFolder(adding.hidden) },
    icon("add"),
  );
  const folder = folderLine({
    start: (path) => questions.ask({ type: "index", folder: path }),
    stop: () => questions.ask({ type: "stop_indexing" }),
    closed: () => {
      showFolder(false);
      addButton.focus();
    },
  });
  const adding = h("div", { class: "sn-adding", id: `${menuId}-folder`, role: "group", "aria-label": "Index a folder", hidden: true }, folder.node);
  const refresh = h(
    "button",
    { class: "sn-icon-button sn-refresh", type: "button", title: "Look into the index again", "aria-label": "Refresh", onclick: () => questions.ask({ type: "refresh" }) },
    icon("refresh"),
  );
  const menu = h("div", { class: "sn-columns-menu", id: menuId, role: "group", "aria-label": "Columns", hidden: true });
  const when = h("select", { class: "sn-when", "aria-label": "Study date", "data-lm-suppress-shortcuts": "true", onchange: () => takeDates() }, ...Object.entries(WHEN).map(([value, text]) => h("option", { value }, text)));
  const from = h("input", { class: "sn-from", type: "date", "aria-label": "From", oninput: () => takeDates() });
  const to = h("input", { class: "sn-to", type: "date", "aria-label": "To", oninput: () => takeDates() });
  const range = h("span", { class: "sn-range", hidden: true }, from, "–", to);
  const chips = h("div", { class: "sn-chips", role: "group", "aria-label": "Modality" });
  const only = h("button", { class: "sn-chip sn-only", type: "button", "aria-pressed": "true", title: "Show all studies", hidden: true, onclick: () => showOnly() });
  const filters = h("div", { class: "sn-filters" }, when, range, only, chips);
  const table = studyTable({
    store,
    columns: state.columns,
    needs: (pixels) => root.style.setProperty("--sn-least", `${pixels}px`),
    open: (uid) => open(uid),
    enter: () => {
      // The series may still be on their way: they get the focus when they come.
      if (!cards.enter()) enterWhenThere = true;
    },
    chooseAll: () => cards.selectAll(),
    leave: () => search.focus(),
    chosen: (uid) => (state.rows.get(uid) ?? []).filter((row) => state.selected.has(row.uid)).length,
    resorted: () => find(),
  });
  const nothing = h("div", { class: "sn-nothing" });
  const seriesTitle = h("h3", { class: "sn-series-title" });
  const seriesFacts = h("span", { class: "sn-series-facts" });
  const selectAll = h("button", { class: "sn-link sn-select-all", type: "button", hidden: true, onclick: () => cards.selectAll() }, "Select all");
  const seriesHead = h("div", { class: "sn-series-head" }, seriesTitle, seriesFacts, selectAll);
  const cards = seriesCards({
    ask: (series) => questions.ask({ type: "details", series }),
    selected: state.selected,
    changed: tell,
    open: (series) => {
      // What is in the scene already is shown, not loaded once more.
      if (series.length === 1 && state.loaded.has(series[0])) questions.ask({ type: "show", series: series[0] });
      else startLoading(series);
    },
    leave: () => table.focus(),
    mark: (uid) => {
      const entry = queue.of(uid);
      return { loaded: state.loaded.has(uid), state: entry?.state, error: entry?.state === "failed" ? entry.error : null };
    },
  });
  const queue = loadQueue({
    cancel: (id) => questions.ask({ type: "cancel", ids: [id] }),
    away: (entry, again) => {
      questions.ask({ type: "away", ids: [entry.id] });
      if (again) startLoading([entry.series]);
      else drawFoot();
    },
    changed: (uid) => cards.redraw(uid),
  });
  const note = h("div", { class: "sn-note", role: "status" });
  const clear = h("button", { class: "sn-link sn-clear", type: "button", hidden: true, onclick: () => choose([]) }, "Clear");
  const load = h("button", { class: "sn-button sn-button-main sn-load-button", type: "button", onclick: () => startLoading() }, "Load");
  const panes = h("div", { class: "sn-panes" }, h("div", { class: "sn-table-pane" }, table.node, nothing), h("div", { class: "sn-series-pane" }, seriesHead, cards.node));
  root.append(
    h("div", { class: "sn-head" }, h("label", { class: "sn-search" }, icon("search"), search), tally, h("div", { class: "sn-tools" }, hideNames, columnsButton, addButton, refresh)),
    menu,
    adding,
    filters,
    line.node,
    panes,
    queue.node,
    h("div", { class: "sn-foot" }, note, clear, load),
  );

  // -- finding --------------------------------------------------------------------------------------------------
  let matching = 0;
  let opening = 0;
  function find({ keepPlace = false } = {}) {
    const wanted = words();
    const { rows, passing } = store.select(wanted, state.filter, table.sort);
    matching = rows.length;
    drawView(passing);
    table.show(rows, wanted, { keepPlace });
    clearTimeout(opening);
    // Whoever stops typing sees the series of what was found.
    if (!keepPlace && rows.length && !table.inSight) opening = setTimeout(() => table.openFirst(), OPEN_AFTER);
  }

  search.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "Enter") {
      if (table.enter()) event.preventDefault();
    } else if (event.key === "Escape" && state.query) {
      event.preventDefault();
      clearSearch();
    }
  });

  // -- what is shown in place of rows ----------------------------------------------------------------------------
  function view(name, ...children) {
    root.dataset.view = name;
    nothing.replaceChildren(...(children.length ? [h("div", { class: "sn-empty", role: name === "problem" ? "alert" : null }, ...children)] : []));
  }

  function drawView(passing) {
    const all = count(store.total, "study", "studies");
    root.dataset.few = String(store.total === 1);
    if (state.problem) {
      tally.textContent = "";
      view("problem", icon("error"), h("strong", {}, state.problem.message), h("span", { class: "sn-hint" }, state.problem.hint));
    } else if (!state.read) {
      tally.textContent = "";
      view("waiting", gone() ? "Nothing to show without a Slicer." : "Reading the index…");
    } else if (store.total === 0) {
      tally.textContent = "";
      view("empty", icon("cube"), h("strong", {}, "The index holds no study yet."), h("span", {}, "Index a folder of DICOM files here, or in a cell: ", h("code", {}, 'slicer.dicom.index("/path/to/folder")')));
      showFolder(true, false);
    } else {
      const narrowed = words().length > 0 || filtered();
      const reading = store.complete ? "" : `, ${store.size.toLocaleString("en")} read`;
      tally.textContent = (narrowed ? `${matching.toLocaleString("en")} of ${all}` : all) + reading;
      if (matching > 0) view("studies");
      else view("nothing", ...nothingFound(passing));
    }
  }

  function nothingFound(passing) {
    const query = state.query.trim();
    const all = count(store.total, "study", "studies");
    const offers = [];
    if (query) offers.push(h("button", { class: "sn-button", type: "button", onclick: clearSearch }, "Clear the search"));
    if (filtered()) offers.push(h("button", { class: "sn-button", type: "button", onclick: clearFilters }, "Clear the filters"));
    let why = `${all} ${store.total === 1 ? "was" : "were"} searched.`;
    if (filtered()) why = query ? `The filters leave ${passing.toLocaleString("en")} of ${all}, and none of them matches.` : `The filters leave none of ${all}.`;
    return [icon("search"), h("strong", {}, query ? `No study matches “${query}”.` : "No study passes the filters."), h("span", {}, why), h("div", { class: "sn-offers" }, ...offers)];
  }

  function clearSearch() {
    search.value = state.query = "";
    find();
    countLater();
    search.focus();
  }

  function clearFilters() {
    state.filter = { modalities: new Set(), from: 0, to: 0 };
    when.value = "any";
    range.hidden = true;
    only.hidden = true;
    drawChips();
    find();
    search.focus();
  }

  // -- filters ----------------------------------------------------------------------------------------------------
  let counting = 0;
  let allChips = false;
  function countLater() {
    clearTimeout(counting);
    counting = setTimeout(drawChips, COUNTS_AFTER);
  }

  function drawChips() {
    const counts = store.counts(words(), state.filter);
    const total = new Map(counts);
    const order = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).map(([name]) => name);
    const some = order.filter((name) => total.get(name) > 0 || state.filter.modalities.has(name));
    const few = some.filter((name, index) => allChips || index < CHIPS || state.filter.modalities.has(name));
    const focused = root.contains(document.activeElement) ? document.activeElement?.dataset?.modality : null;
    const buttons = few.map((name) => {
      const on = state.filter.modalities.has(name);
      return h(
        "button",
        { class: "sn-chip", type: "button", "data-modality": name, "aria-pressed": String(on), onclick: () => pick(name) },
        name,
        h("span", { class: "sn-chip-count" }, total.get(name).toLocaleString("en")),
      );
    });
    if (some.length > few.length) buttons.push(h("button", { class: "sn-link sn-more-chips", type: "button", onclick: () => { allChips = true; drawChips(); } }, `${some.length - few.length} more`));
    chips.replaceChildren(...(order.length > 1 || state.filter.modalities.size ? buttons : []));
    if (focused) chips.querySelector(`[data-modality="${CSS.escape(focused)}"]`)?.focus();
  }

  /** Only these studies, as another program wants it, under a title; all without any. */
  let lists = 0;
  function showOnly(title, studies) {
    state.filter = { ...state.filter, only: studies && Object.assign(new Set(studies), { key: ++lists }) };
    only.hidden = !studies;
    only.textContent = title ?? "";
    drawChips();
    find();
  }

  function pick(name) {
    const chosen = new Set(state.filter.modalities);
    if (chosen.has(name)) chosen.delete(name);
    else chosen.add(name);
    state.filter = { ...state.filter, modalities: chosen };
    drawChips();
    find();
  }

  function takeDates() {
    range.hidden = when.value !== "range";
    state.filter = { ...state.filter, ...daysOf(when.value, from.value, to.value) };
    drawChips();
    find();
  }

  function showColumns(on) {
    menu.hidden = !on;
    columnsButton.setAttribute("aria-expanded", String(on));
    if (on) menu.querySelector("input")?.focus();
  }

  function showFolder(on, focus = true) {
    adding.hidden = !on;
    addButton.setAttribute("aria-expanded", String(on));
    if (on && focus) folder.focus();
  }

  function drawMenu() {
    menu.replaceChildren(
      ...Object.entries(COLUMNS)
        .filter(([name]) => name !== "name")
        .map(([name, { title }]) => {
          const box = h("input", { type: "checkbox", "data-column": name, onchange: () => setColumns(name, box.checked) });
          box.checked = state.columns.includes(name);
          return h("label", { class: "sn-column" }, box, title);
        }),
    );
  }

  function setColumns(name, on) {
    const wanted = new Set(state.columns);
    if (on) wanted.add(name);
    else wanted.delete(name);
    state.columns = Object.keys(COLUMNS).filter((each) => wanted.has(each));
    questions.ask({ type: "columns", columns: state.columns });
    table.setColumns(state.columns);
  }

  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    showColumns(false);
    columnsButton.focus();
  });

  function hide(on, tellIt = false) {
    state.hidden = on;
    const title = on ? "Show names" : "Hide names";
    hideNames.setAttribute("aria-pressed", String(on));
    hideNames.setAttribute("aria-label", "Hide names");
    hideNames.title = title;
    fill(hideNames, icon(on ? "hidden" : "eye"));
    store.hide(on);
    if (tellIt) questions.ask({ type: "hide", on });
    find({ keepPlace: true });
    drawSeriesHead();
  }

  // -- series -----------------------------------------------------------------------------------------------------
  let enterWhenThere = false;
  let openLater = 0;
  let opened = -Infinity;
  /** Studies whose series were read before the index has changed. */
  let stale = new Set();

  function open(uid) {
    enterWhenThere = false;
    clearTimeout(openLater);
    // The first at once, but not each study that the arrow keys pass.
    const passing = performance.now() - opened < PASSING;
    opened = performance.now();
    if (!state.rows.has(uid) || stale.has(uid)) {
      const ask = () => questions.ask({ type: "open", study: uid });
      if (passing) openLater = setTimeout(ask, 60);
      else ask();
    }
    drawSeries();
  }

  function drawSeriesHead() {
    const place = store.find(table.open);
    seriesHead.hidden = place < 0;
    if (place < 0) return;
    const study = store.study(place);
    seriesTitle.textContent = study.description || study.name || study.id || "Study";
    seriesFacts.textContent = [study.description ? study.name : "", study.date, study.accession && `Acc. ${study.accession}`].filter(Boolean).join(" · ");
    seriesTitle.title = seriesTitle.textContent;
    seriesFacts.title = seriesFacts.textContent;
    selectAll.hidden = cards.rows.length < 2;
  }

  function drawSeries() {
    const place = store.find(table.open);
    const series = state.rows.get(table.open);
    const trouble = seriesErrors.get(table.open);
    if (place < 0) cards.say(h("div", { class: "sn-empty", role: "none" }, "Choose a study to see its series."));
    else if (trouble) cards.say(h("div", { class: "sn-empty", role: "none" }, icon("error"), h("strong", {}, trouble.message), h("span", { class: "sn-hint" }, trouble.hint)));
    else if (!series) cards.say(...Array.from({ length: Math.min(Number(store.field(place, "series")), 6) || 1 }, () => h("div", { class: "sn-card sn-card-waiting", "aria-hidden": "true" }, h("div", { class: "sn-thumb" }))));
    else cards.show(series, { focusFirst: enterWhenThere && root.contains(document.activeElement) });
    if (series) enterWhenThere = false;
    drawSeriesHead();
  }

  function tell() {
    questions.ask({ type: "select", series: [...state.selected] });
    state.note = "chosen";
    drawSelection();
  }

  function choose(series) {
    state.selected.clear();
    for (const uid of series) state.selected.add(uid);
    tell();
  }

  function drawSelection() {
    cards.drawSelection();
    table.drawChosen();
    drawFoot();
  }

  // -- loading ----------------------------------------------------------------------------------------------------
  function startLoading(series = [...state.selected]) {
    if (series.length === 0 || gone()) return;
    state.note = "asked";
    questions.ask({ type: "load", series });
    drawFoot();
  }

  function drawFoot() {
    const chosen = state.selected.size;
    const known = [...state.rows.values()].flat().filter((row) => state.selected.has(row.uid));
    const mine = queue.own();
    const busy = mine.some(queue.goesOn);
    clear.hidden = chosen === 0;
    load.disabled = chosen === 0 || gone();
    load.replaceChildren(chosen > 1 ? `Load ${chosen} series` : "Load");
    note.className = "sn-note";
    if (!busy && state.note === "asked" && mine.length) {
      const done = mine.filter((entry) => entry.state === "done");
      const what = done.length ? `Loaded ${done.slice(0, 2).map((entry) => entry.title).join(", ")}${done.length > 2 ? ` and ${done.length - 2} more` : ""}.` : "Nothing was loaded";
      if (done.length) {
        const warnings = [...new Set(done.flatMap((entry) => entry.warnings))];
        note.classList.add("sn-note-good");
        note.replaceChildren(
          icon("check"),
          h("span", {}, `${what} `, h("span", { class: "sn-hint" }, "In the next cell: ", h("code", {}, "picker.value")), warnings.length ? h("span", { class: "sn-warn", title: warnings.join("\n") }, ` ${count(warnings.length, "warning")}: ${warnings[0]}`) : null),
        );
      } else note.replaceChildren(mine.some((entry) => entry.state === "failed") ? `${what}.` : `${what}: cancelled.`);
      return;
    }
    if (state.note === "error") {
      note.classList.add("sn-note-error");
      note.replaceChildren(icon("error"), h("span", { role: "alert" }, state.error.message, h("span", { class: "sn-hint" }, ` ${state.error.hint}`)));
      return;
    }
    if (chosen === 0) note.replaceChildren(h("span", { class: "sn-hint" }, busy ? "Loading; choose further series meanwhile." : "Choose the series to load, or double-click one."));
    else {
      const images = known.reduce((sum, row) => sum + row.images, 0);
      const warned = known.filter((row) => (cards.plan(row.uid)?.warnings.length ?? 0) + (cards.plan(row.uid)?.refused.length ?? 0) > 0).length;
      note.replaceChildren(
        h("span", {}, `${chosen} series chosen`, known.length === chosen ? `, ${count(images, "image")}` : ""),
        warned ? h("span", { class: "sn-warn" }, icon("warning"), `${warned} with warnings`) : "",
      );
    }
  }

  // -- what the kernel says -----------------------------------------------------------------------------------------
  const heard = listener(model);
  /** Pages are unpacked one after the other, in the order in which they came. */
  let reading = Promise.resolve();
  let closed = false;

  const takes = {
    problem: (message) => {
      state.problem = message.message ? message : null;
      find();
    },
    catalogue: (message, buffers) => {
      if (message.serial < state.serial || (message.serial === state.serial && message.page < state.pages)) return;
      if (message.serial > state.serial) {
        state.serial = message.serial;
        state.pages = 0;
        if (message.changed) {
          // What is known of the series may be wrong. It stays until the new is there.
          stale = new Set(state.rows.keys());
          cards.forget();
          if (table.open) questions.ask({ type: "open", study: table.open });
        }
      }
      state.pages = message.page + 1;
      reading = reading.then(() => takePage(message, buffers)).catch((error) => console.error("The catalogue could not be read.", error));
    },
    series: (message) => {
      seriesErrors.delete(message.study);
      stale.delete(message.study);
      if (JSON.stringify(state.rows.get(message.study)) === JSON.stringify(message.rows) && cards.rows.length) return;
      state.rows.set(message.study, message.rows);
      if (message.study === table.open) drawSeries();
      drawSelection();
    },
    "series-error": (message) => {
      seriesErrors.set(message.study, message);
      if (message.study === table.open) drawSeries();
    },
    details: (message, buffers) => {
      for (const each of message.details) cards.take(each.series, each.detail, each.png >= 0 ? buffers[each.png] : null);
      drawFoot();
    },
    selected: (message) => {
      state.selected.clear();
      for (const uid of message.series) state.selected.add(uid);
      drawSelection();
    },
    loads: (message) => {
      const loading = queue.own().filter(queue.goesOn).map((entry) => entry.id);
      queue.take(message);
      if (queue.own().some(queue.goesOn)) state.note = "asked";
      // What is loaded is not chosen any more: the next press of the button would load it once more.
      const done = queue.own().filter((entry) => entry.state === "done" && loading.includes(entry.id));
      if (done.filter((entry) => state.selected.delete(entry.series)).length) {
        questions.ask({ type: "select", series: [...state.selected] });
        drawSelection();
      }
      drawFoot();
    },
    indexing: (message) => {
      if (message.state === "running" && adding.hidden) showFolder(true, false);
      folder.take(message);
    },
    "load-error": (message) => {
      state.note = "error";
      state.error = message;
      drawFoot();
    },
    list: (message) => {
      search.value = state.query = message.search;
      showOnly(message.title, message.studies);
    },
    loaded: (message) => {
      const changed = new Set([...state.loaded, ...message.series]);
      state.loaded = new Set(message.series);
      for (const uid of changed) cards.redraw(uid);
    },
  };

  async function takePage(message, buffers) {
    const text = buffers?.length ? await inflated(buffers[0]) : (message.text ?? "");
    if (closed || message.serial !== state.serial) return;
    if (message.page === 0) store.begin(message.total, message.fields);
    store.add(text);
    store.hide(state.hidden);
    state.read = true;
    state.problem = null;
    if (message.page === 0 && store.find(table.open) < 0) table.open = store.size ? store.field(0, "uid") : null;
    // While further pages wait, painting rows would only keep them waiting.
    if (message.page === 0 || message.page + 1 === state.pages) find({ keepPlace: true });
    if (message.page === 0) drawSeries();
    if (store.complete) drawChips();
  }

  function takeStatus() {
    line.status(model.get("_status"));
    root.classList.toggle("sn-gone", gone());
    if (!state.read) drawView(0);
    drawFoot();
  }

  heard.on("change:_status", takeStatus);
  heard.on("change:hide_names", () => {
    if (model.get("hide_names") !== state.hidden) hide(model.get("hide_names"));
  });
  heard.on("change:columns", () => {
    if (String(model.get("columns")) === String(state.columns)) return; // said here
    state.columns = [...model.get("columns")];
    // The boxes stay: one of them may have the focus.
    for (const box of menu.querySelectorAll("input")) box.checked = state.columns.includes(box.dataset.column);
    table.setColumns(state.columns);
  });
  heard.on("msg:custom", (message, buffers) => takes[message.type]?.(message, buffers));

  drawMenu();
  hide(state.hidden);
  takeStatus();
  questions.ask({ type: "hello" });

  return () => {
    closed = true;
    heard.close();
    questions.close();
    cards.close();
    table.close();
    clearTimeout(counting);
    clearTimeout(openLater);
    clearTimeout(opening);
  };
}

export default { render };
