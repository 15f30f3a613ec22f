// The answers as a tree: studies, below them their series, below these their instances; sorted, opened, chosen.

/** Height of the table's head, CSS pixels. */
const HEAD_HEIGHT = 30;
/** Columns that are left out where names are hidden. */
const IDENTITY_COLUMNS = new Set(["id", "accession"]);
/** Milliseconds until rows that came are laid: many may come at once. */
const LAY_AFTER = 80;
/** Milliseconds until pictures of series that came into view are asked for: what flies by is not. */
const PICTURES_AFTER = 80;

/**
 * @param open open(what, key): "series" of a study, "instances" or "plan" of a series are wanted
 * @param pictures pictures(keys): of these series, in this order
 * @param changed changed(): something else is chosen
 * @param leave leave(): the keyboard goes back to the form
 */
function answersTable({ open, pictures, changed, leave }) {
  const ids = `sn${Math.random().toString(36).slice(2, 8)}`;
  const headRow = h("div", { class: "sn-q-tr sn-q-head-row", role: "row" });
  const body = h("div", { class: "sn-q-tbody", role: "rowgroup" });
  const node = h("div", { class: "sn-q-table", role: "treegrid", tabindex: "0", "aria-label": "Studies", "aria-multiselectable": "true" }, h("div", { class: "sn-q-thead", role: "rowgroup" }, headRow), body);
  let studies = new Map();
  /** Study Instance UID -> names of the PACS that have it. */
  let inServers = new Map();
  let here = {};
  let chosen = new Set();
  const series = new Map();
  const instances = new Map();
  const plans = new Map();
  const shots = new Map();
  const opened = new Set();
  const planned = new Set();
  let sort = { column: "date", ascending: false };
  const columns = { ...ANSWER_COLUMNS };
  let shown = Object.keys(columns);
  let laidOut = "";
  let hidden = false;
  let rows = [];
  let active = -1;
  let anchor = null;
  let laying = 0;
  let looking = 0;
  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
  const list = tallList({ scroller: node, body, headHeight: HEAD_HEIGHT, height: (index) => HEIGHTS[rows[index].kind], draw: drawRow, drawn: () => {
    nameActive();
    lookSoon();
  } });

  // -- rows -------------------------------------------------------------------------------------------------------
  const foundOf = (study) => (here[study.study] ? Object.values(here[study.study]).reduce((sum, each) => sum + each, 0) : undefined);
  const foundIn = (each) => (here[each.study] ? (here[each.study][each.uid] ?? 0) : undefined);
  const rowId = (index) => `${ids}-r${index}`;

  function value(study, column) {
    if (column === "name") return hidden ? study.pseudonym : study.name || study.id;
    if (column === "here") return { all: 2, some: 1, none: 0 }[hereState(foundOf(study), study.images)] ?? -1;
    if (column === "series" || column === "images") return study[column] ?? -1;
    if (column === "id" || column === "accession") return hidden ? "" : study[column];
    return study[column];
  }

  function sorted() {
    const { column, ascending } = sort;
    const sign = ascending ? 1 : -1;
    const compare = (a, b) => (typeof a === "number" ? a - b : collator.compare(a, b));
    return [...studies.values()].sort(
      (a, b) => sign * compare(value(a, column), value(b, column)) || compare(b.date, a.date) || compare(a.name, b.name) || (a.study < b.study ? -1 : a.study > b.study ? 1 : 0),
    );
  }

  function lay({ keepPlace = true } = {}) {
    clearTimeout(laying);
    laying = 0;
    const current = rows[active];
    rows = [];
    for (const study of sorted()) {
      rows.push({ kind: "study", key: study.key, study });
      if (opened.has(study.key)) layBelow(study);
    }
    active = current ? rows.findIndex((row) => row.key === current.key && row.kind === current.kind && row.line === current.line) : -1;
    if (active < 0 && current) active = rows.findIndex((row) => row.key === current.key);
    if (!keepPlace) list.top();
    node.setAttribute("aria-rowcount", String(rows.length + 1));
    list.show(rows.length);
  }

  function layLater() {
    if (laying === 0) laying = setTimeout(lay, LAY_AFTER);
  }

  function layBelow(study) {
    const facts = studyFacts(study, shown, hidden);
    if (facts) rows.push({ kind: "facts", key: study.key, study, text: facts });
    const below = series.get(study.key);
    if (!below) rows.push({ kind: "note", key: study.key, study, text: "Asking for its series…" });
    else if (below.error) rows.push({ kind: "note", key: study.key, study, error: below.error, again: () => reopen(study.key) });
    else if (below.rows.length === 0) rows.push({ kind: "note", key: study.key, study, text: "The PACS lists no series of it." });
    else
      for (const each of below.rows) {
        rows.push({ kind: "series", key: each.key, study, series: each });
        if (planned.has(each.key)) planLines(plans.get(each.key) ?? {}).forEach(([mark, text], line) => rows.push({ kind: "plan", key: each.key, study, series: each, line, mark, text }));
        if (opened.has(each.key)) layInstances(study, each);
      }
  }

  function layInstances(study, each) {
    const below = instances.get(each.key);
    const row = { key: each.key, study, series: each };
    if (!below) rows.push({ ...row, kind: "note", text: "Asking for its instances…" });
    else if (below.error) rows.push({ ...row, kind: "note", error: below.error, again: () => reopen(each.key) });
    else {
      rows.push({ ...row, kind: "note", text: below.more ? `The first ${count(below.rows.length, "instance")}; there are more.` : count(below.rows.length, "instance") });
      below.rows.forEach((instance, line) => rows.push({ ...row, kind: "instance", line, instance }));
    }
  }

  // -- drawing ----------------------------------------------------------------------------------------------------
  function drawHead() {
    const focused = headRow.contains(document.activeElement) ? document.activeElement.closest("[data-column]")?.dataset.column : null;
    fill(
      headRow,
      ...shown.map((name) => {
        const { title, number } = columns[name];
        if (name === "pick") {
          const state = chosen.size === 0 ? "none" : [...studies.keys()].every((key) => chosen.has(key)) ? "all" : "some";
          return h("div", { class: "sn-q-th sn-q-pick", role: "columnheader", "data-column": name }, h("button", { type: "button", class: "sn-q-choose-all", title: "Choose all studies", "aria-label": "Choose all studies", "aria-pressed": String(state === "all"), onclick: chooseAll }, pickBox(state)));
        }
        const on = sort.column === name;
        return h(
          "div",
          { class: `sn-q-th${number ? " sn-q-number" : ""}`, role: "columnheader", "aria-sort": on ? (sort.ascending ? "ascending" : "descending") : "none", "data-column": name },
          h("button", { type: "button", title: `Sort by ${title === "ID" || title === "PACS" ? title : title.toLowerCase()}`, onclick: () => sortBy(name) }, h("span", { class: "sn-q-text" }, title), on ? h("span", { class: "sn-q-arrow", "aria-hidden": "true" }, sort.ascending ? "▲" : "▼") : null),
        );
      }),
    );
    node.style.setProperty("--sn-q-columns", shown.map((name) => columns[name].rest).join(" "));
    node.setAttribute("aria-colcount", String(shown.length));
    if (focused) headRow.querySelector(`[data-column="${focused}"] button`)?.focus();
  }

  function drawRow(index) {
    const row = rows[index];
    const props = { role: "row", id: rowId(index), "aria-rowindex": String(index + 2), onclick: (event) => click(index, event) };
    const classes = `sn-q-tr sn-q-${row.kind}${index === active ? " sn-q-active" : ""}`;
    if (row.kind === "study") {
      const state = studyState(row.study);
      const open = opened.has(row.key);
      const also = [...(inServers.get(row.study.study) ?? [])].filter((name) => name !== row.study.server);
      const facts = { hidden, found: foundOf(row.study), chosen: state, open, also };
      return h("div", { ...props, class: classes, "data-key": row.key, "aria-level": "1", "aria-expanded": String(open), "aria-selected": String(state === "all") }, ...shown.map((name) => studyCell(name, row.study, facts)));
    }
    if (row.kind === "series") return seriesRow(row, index, props, classes);
    const cell = { class: "sn-q-cell sn-q-whole", role: "gridcell", "aria-colspan": String(shown.length) };
    const level = { "aria-level": row.series ? "3" : "2" };
    if (row.kind === "instance")
      return h("div", { ...props, ...level, class: classes }, h("div", cell, h("span", { class: "sn-q-instance-number" }, row.instance.number === null ? "–" : String(row.instance.number)), h("span", { class: "sn-q-instance-class" }, row.instance.class), h("span", { class: "sn-q-uid sn-q-text", title: row.instance.uid }, row.instance.uid)));
    if (row.kind === "note" && row.error)
      return h("div", { ...props, ...level, class: classes }, h("div", { ...cell, class: `${cell.class} sn-q-bad` }, icon("error"), h("span", { class: "sn-q-text", title: `${row.error.message} ${row.error.hint ?? ""}` }, row.error.message, " ", h("span", { class: "sn-hint" }, row.error.hint ?? "")), h("button", { class: "sn-q-link", type: "button", tabindex: index === active ? "0" : "-1", onclick: row.again }, "Try again")));
    const mark = row.mark ? icon(row.mark) : null;
    return h("div", { ...props, ...level, class: classes, "data-mark": row.mark ?? null }, h("div", { ...cell, title: row.text.length > 40 ? row.text : null }, mark, h("span", { class: "sn-q-text" }, row.text)));
  }

  function seriesRow(row, index, props, classes) {
    const { series: each, study } = row;
    const state = seriesChosen(study, each) ? "all" : "none";
    const open = opened.has(each.key);
    const title = each.description || each.body || "No description";
    const shot = shots.get(each.key);
    const picture = shot?.url ? h("img", { src: shot.url, alt: "", draggable: "false", decoding: "async" }) : h("span", { class: shot ? "sn-q-no-shot" : "sn-q-shot-wait" }, each.modality || "?");
    const why = shot?.error ? `No picture: ${shot.error.message}` : null;
    return h(
      "div",
      { ...props, class: classes, "data-key": each.key, "aria-level": "2", "aria-expanded": String(open), "aria-selected": String(state === "all") },
      h("div", { class: "sn-q-cell sn-q-pick", role: "gridcell" }, h("span", { class: "sn-q-hit", "data-hit": "choose" }, pickBox(state)), twist(open)),
      h("div", { class: "sn-q-cell sn-q-shot", role: "gridcell", title: why }, picture, why ? h("span", { class: "sn-q-unseen" }, why) : null),
      h(
        "div",
        { class: "sn-q-cell sn-q-about", role: "gridcell" },
        h("div", { class: "sn-q-about-title", title }, each.number === null ? null : h("span", { class: "sn-q-about-number" }, String(each.number)), h("span", { class: "sn-q-text" }, title)),
        h("div", { class: "sn-q-about-facts" }, each.modality ? h("span", { class: "sn-q-tagged" }, each.modality) : null, h("span", {}, each.images === null ? "? images" : count(each.images, "image")), each.body && each.description ? h("span", { class: "sn-hint sn-q-text" }, each.body) : null, why ? h("span", { class: "sn-hint sn-q-text" }, "no picture") : null),
      ),
      h("div", { class: "sn-q-cell sn-q-series-here", role: "gridcell" }, ...hereMark(foundIn({ study: study.study, uid: each.series }), each.images)),
      h("div", { class: "sn-q-cell sn-q-series-do", role: "gridcell" }, h("button", { class: "sn-q-plan-button", type: "button", tabindex: index === active ? "0" : "-1", "aria-pressed": String(planned.has(each.key)), title: "What it will become, before it is retrieved", "aria-label": `Plan of ${title}`, "data-hit": "plan" }, icon("plan"), h("span", { class: "sn-q-plan-text" }, "Plan"))),
    );
  }

  /** Which row has the keyboard, for a screen reader: only a row that is in the page has a name. */
  function nameActive() {
    if (list.node(active)) node.setAttribute("aria-activedescendant", rowId(active));
    else node.removeAttribute("aria-activedescendant");
  }

  function drawActive() {
    nameActive();
    list.each((index, row) => {
      row.classList.toggle("sn-q-active", index === active);
      for (const button of row.querySelectorAll("button")) button.tabIndex = index === active ? 0 : -1;
    });
  }

  function redraw(test) {
    list.each((index) => {
      if (test(rows[index])) list.redraw(index);
    });
    drawActive();
  }

  // -- pictures ---------------------------------------------------------------------------------------------------
  function lookSoon() {
    if (looking === 0) looking = setTimeout(look, PICTURES_AFTER);
  }

  function look() {
    looking = 0;
    const missing = [];
    list.each((index) => {
      const row = rows[index];
      if (row?.kind === "series" && list.inView(index) && !shots.has(row.key)) missing.push([index, row.key]);
    });
    if (missing.length) pictures(missing.sort((a, b) => a[0] - b[0]).map(([, key]) => key));
  }

  // -- opening ----------------------------------------------------------------------------------------------------
  function toggleOpen(index) {
    const { key, kind } = rows[index];
    if (opened.has(key)) opened.delete(key);
    else {
      opened.add(key);
      if (kind === "study" && !series.has(key)) open("series", key);
      if (kind === "series" && !instances.has(key)) open("instances", key);
    }
    active = index;
    lay();
    list.reveal(active);
    drawActive();
  }

  function reopen(key) {
    const known = key.split(" ").length === 2 ? series : instances;
    known.delete(key);
    open(known === series ? "series" : "instances", key);
    lay();
  }

  function togglePlan(index) {
    const { key } = rows[index];
    if (planned.has(key)) planned.delete(key);
    else {
      planned.add(key);
      if (!plans.get(key)?.plan) {
        plans.delete(key);
        open("plan", key);
      }
    }
    lay();
  }

  // -- choosing ---------------------------------------------------------------------------------------------------
  const seriesChosen = (study, each) => chosen.has(study.key) || chosen.has(each.key);

  function studyState(study) {
    if (chosen.has(study.key)) return "all";
    return series.get(study.key)?.rows?.some((each) => chosen.has(each.key)) ? "some" : "none";
  }

  function choose(row, on) {
    const below = series.get(row.study.key)?.rows ?? [];
    if (row.kind === "study") {
      for (const each of below) chosen.delete(each.key);
      if (on) chosen.add(row.key);
      else chosen.delete(row.key);
      return;
    }
    // A series less is the study without it; all series are the study.
    if (chosen.delete(row.study.key)) for (const each of below) chosen.add(each.key);
    if (on) chosen.add(row.key);
    else chosen.delete(row.key);
    if (below.every((each) => chosen.has(each.key))) {
      for (const each of below) chosen.delete(each.key);
      chosen.add(row.study.key);
    }
  }

  const isChosen = (row) => (row.kind === "study" ? chosen.has(row.key) : seriesChosen(row.study, row.series));

  function toggleChosen(index, shift) {
    const row = rows[index];
    const from = shift && anchor !== null ? rows.findIndex((each) => each.key === anchor && each.kind === row.kind) : -1;
    const on = from >= 0 ? true : !isChosen(row);
    const run = from < 0 ? [row] : rows.slice(Math.min(from, index), Math.max(from, index) + 1).filter((each) => each.kind === row.kind);
    for (const each of run) choose(each, on);
    if (from < 0) anchor = row.key;
    drawChosen();
    changed();
  }

  function chooseAll() {
    const all = [...studies.keys()];
    const every = all.length > 0 && all.every((key) => chosen.has(key));
    chosen = new Set(every ? [] : all);
    drawChosen();
    changed();
  }

  function drawChosen() {
    redraw((row) => row.kind === "study" || row.kind === "series");
    drawHead();
  }

  // -- the mouse and the keyboard -----------------------------------------------------------------------------------
  function click(index, event) {
    const hit = event.target.closest("[data-hit]")?.dataset.hit;
    if (event.target.closest("button") && hit !== "plan") return;
    const { kind } = rows[index];
    node.focus({ preventScroll: true });
    active = index;
    if (hit === "plan") togglePlan(index);
    else if (hit === "choose") toggleChosen(index, event.shiftKey);
    else if (kind === "study" || kind === "series") toggleOpen(index);
    drawActive();
  }

  function moveTo(index) {
    active = Math.max(0, Math.min(rows.length - 1, index));
    list.reveal(active);
    drawActive();
  }

  function parentOf(index) {
    const { kind, study, series: each } = rows[index];
    if (kind === "study") return index;
    const up = each && kind !== "series" ? each.key : study.key;
    return rows.findIndex((row) => row.key === up && (row.kind === "study" || row.kind === "series"));
  }

  function sortBy(column) {
    sort = { column, ascending: sort.column === column ? !sort.ascending : !FALLING_FIRST.has(column) };
    drawHead();
    lay({ keepPlace: false });
    headRow.querySelector(`[data-column="${column}"] button`)?.focus();
  }

  const keys = {
    ArrowDown: () => moveTo(active + 1),
    ArrowUp: () => (active <= 0 ? leave() : moveTo(active - 1)),
    PageDown: () => moveTo(list.pageFrom(Math.max(active, 0), 1)),
    PageUp: () => moveTo(list.pageFrom(Math.max(active, 0), -1)),
    Home: () => moveTo(0),
    End: () => moveTo(rows.length - 1),
    Enter: (row) => opens(row) && toggleOpen(active),
    " ": (row, event) => opens(row) && toggleChosen(active, event.shiftKey),
    p: (row) => row?.kind === "series" && togglePlan(active),
    "/": () => leave(),
    ArrowRight: (row) => {
      if (opens(row) && !opened.has(row.key)) toggleOpen(active);
      else moveTo(active + 1);
    },
    ArrowLeft: (row) => {
      if (opens(row) && opened.has(row.key)) toggleOpen(active);
      else if (row) moveTo(parentOf(active));
    },
  };
  const opens = (row) => row?.kind === "study" || row?.kind === "series";

  node.addEventListener("keydown", (event) => {
    if (event.target !== node || rows.length === 0) return;
    if (event.key === "a" && (event.ctrlKey || event.metaKey)) chooseAll();
    else if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    else keys[event.key](rows[active], event);
    event.preventDefault();
    event.stopPropagation();
  });
  node.addEventListener("focus", () => {
    if (active < 0 && rows.length) moveTo(0);
  });

  // -- room ---------------------------------------------------------------------------------------------------------
  const pen = document.createElement("canvas").getContext("2d");

  /** CSS pixels that a cell needs for a text, and its heading when it is sorted by, in the letters of this page. */
  function room(text, title) {
    const { fontFamily, fontSize } = getComputedStyle(node);
    const width = (words, font) => {
      pen.font = `${font} ${fontFamily}`;
      return pen.measureText(words).width;
    };
    return Math.ceil(Math.max(width(text, fontSize), width(title, "600 12px") + 4 + width("▼", "9px"))) + CELL_PADDING + 2;
  }

  /** As many columns as there is room for, the dispensable ones first left out. */
  function fit() {
    let left = node.clientWidth - 16;
    if (left <= 0) return;
    // Where there is less room, the mark is its picture alone (see pacs_table.css).
    const marked = left > 604 ? 88 : left > 400 ? 52 : 44;
    columns.here = { ...columns.here, least: marked, rest: `minmax(${marked}px, 0.4fr)` };
    for (const [name, widest] of Object.entries(NEVER_CUT)) {
      const pixels = room(widest, columns[name].title);
      columns[name] = { ...columns[name], least: pixels, rest: `${pixels}px` };
    }
    const kept = new Set();
    for (const [name, { least }] of Object.entries(columns).filter(([name]) => !(hidden && IDENTITY_COLUMNS.has(name))).sort((a, b) => a[1].keep - b[1].keep)) {
      if (least > left && kept.size > 2) break;
      kept.add(name);
      left -= least;
    }
    const fitting = Object.keys(columns).filter((name) => kept.has(name));
    const widths = String(fitting.map((name) => columns[name].rest));
    if (String(fitting) === String(shown) && widths === laidOut) return;
    shown = fitting;
    laidOut = widths;
    drawHead();
    lay();
  }
  const sized = new ResizeObserver(fit);
  sized.observe(node);

  drawHead();
  return {
    node,
    /** Another search. */
    begin() {
      studies = new Map();
      inServers = new Map();
      here = {};
      chosen = new Set();
      anchor = null;
      active = -1;
      for (const each of [series, instances, plans, opened, planned]) each.clear();
      drawHead();
      lay({ keepPlace: false });
    },
    add(more) {
      for (const study of more) {
        studies.set(study.key, study);
        if (!inServers.has(study.study)) inServers.set(study.study, new Set());
        inServers.get(study.study).add(study.server);
      }
      if (more.length) layLater();
    },
    get size() {
      return studies.size;
    },
    /** What is below a row. */
    below(message) {
      const known = { series, instances, plan: plans }[message.type];
      known.set(message.key, message);
      if (message.type === "plan" ? planned.has(message.key) : opened.has(message.key)) lay();
    },
    takeHere(news) {
      here = { ...here, ...news };
      if (sort.column === "here") layLater();
      redraw((row) => (row.kind === "study" || row.kind === "series") && row.study.study in news);
    },
    picture({ key, buffer, error }, buffers) {
      if (shots.get(key)?.url) URL.revokeObjectURL(shots.get(key).url);
      shots.set(key, buffer >= 0 ? { url: pictureUrl(buffers[buffer]) } : { error });
      redraw((row) => row.kind === "series" && row.key === key);
    },
    /** Keys of what is chosen, studies before series. */
    chosen: () => [...chosen],
    choose(names) {
      chosen = new Set(names);
      drawChosen();
    },
    /** The studies and series that are chosen, as far as their rows are known; whether each is here. */
    chosenRows() {
      const all = [...series.values()].flatMap((below) => below.rows ?? []);
      return [...chosen].map((key) => {
        const study = studies.get(key);
        if (study) return { images: study.images, whole: hereState(foundOf(study), study.images) === "all" };
        const each = all.find((row) => row.key === key);
        const uid = key.split(" ")[1];
        return each ? { images: each.images, whole: hereState(foundIn({ study: uid, uid: each.series }), each.images) === "all" } : { images: null, whole: false };
      });
    },
    hide(on) {
      hidden = on;
      fit();
      lay();
    },
    enter() {
      if (rows.length === 0) return false;
      if (active < 0) moveTo(0);
      node.focus({ preventScroll: true });
      return true;
    },
    close() {
      clearTimeout(laying);
      clearTimeout(looking);
      sized.disconnect();
      list.close();
      for (const shot of shots.values()) if (shot.url) URL.revokeObjectURL(shot.url);
    },
  };
}
