// The control points of markups: a grid of which only the rows in view are in the page.

Object.assign(ICONS, {
  target: "M11 2v2.100A8 8 0 0 0 4.100 11H2v2h2.100a8 8 0 0 0 6.900 6.900V22h2v-2.100a8 8 0 0 0 6.900-6.900H22v-2h-2.100A8 8 0 0 0 13 4.100V2h-2zm1 4a6 6 0 1 1 0 12 6 6 0 0 1 0-12zm0 4a2 2 0 1 0 0 4 2 2 0 0 0 0-4z",
  lock: "M12 2a5 5 0 0 0-5 5v3H6a1 1 0 0 0-1 1v10a1 1 0 0 0 1 1h12a1 1 0 0 0 1-1V11a1 1 0 0 0-1-1h-1V7a5 5 0 0 0-5-5zm0 2a3 3 0 0 1 3 3v3H9V7a3 3 0 0 1 3-3z",
  unlock: "M12 2a5 5 0 0 0-5 5h2a3 3 0 0 1 6 0v3H6a1 1 0 0 0-1 1v10a1 1 0 0 0 1 1h12a1 1 0 0 0 1-1V11a1 1 0 0 0-1-1h-1V7a5 5 0 0 0-5-5zM7 12h10v8H7v-8z",
  place: "M12 2a7 7 0 0 0-7 7c0 5 7 13 7 13s7-8 7-13a7 7 0 0 0-7-7zm1 3v3h3v2h-3v3h-2v-3H8V8h3V5h2z",
});

const MT_ROW = 30;
const MT_HEAD = 30;
/** Rows that the table is high, at most; then it scrolls. */
const MT_ROWS = 12;
const MT_COLUMNS = [
  { name: "label", title: "Label" },
  { name: "r", title: "R", axis: 0 },
  { name: "a", title: "A", axis: 1 },
  { name: "s", title: "S", axis: 2 },
  { name: "visible", title: "Shown", icon: true },
  { name: "locked", title: "Locked", icon: true },
  { name: "jump", title: "Show", icon: true },
  { name: "remove", title: "Remove", icon: true },
];

/** A row as it came, by name. */
function pointOf([id, label, position, description, visible, locked]) {
  return { id, label, position, description, visible, locked };
}

/** A coordinate as it is shown: hundredths of a mm are less than a pixel of any image. */
function mm(value) {
  return value.toFixed(2);
}

function render({ model, el }) {
  const ids = `sn${Math.random().toString(36).slice(2, 8)}`;
  const root = rootElement(el, "sn-markups", "Markups", model);
  const line = banner();
  const questions = asker(model, line.waiting);
  const dot = h("span", { class: "sn-markups-dot", "aria-hidden": "true" });
  const name = h("strong", { class: "sn-markups-name" });
  const facts = h("span", { class: "sn-hint" });
  const eye = h("button", { class: "sn-icon-button", type: "button", onclick: () => ask({ type: "display", visible: !head.visible }) });
  const lock = h("button", { class: "sn-icon-button", type: "button", onclick: () => ask({ type: "display", locked: !head.locked }) });
  const place = h("button", { class: "sn-button sn-markups-place", type: "button", onclick: () => ask({ type: "place", on: !head.placing }) }, icon("place"), "Place points");
  const bar = h("div", { class: "sn-markups-bar" }, dot, name, facts, h("span", { class: "sn-markups-gap" }), eye, lock, place);
  const measures = h("span");
  const measure = h("button", { class: "sn-button sn-markups-measure", type: "button", onclick: () => ask({ type: "measure" }) }, "Measure");
  const measured = h("div", { class: "sn-markups-measured", "aria-live": "polite" }, measures, measure);
  const trouble = h("div", { class: "sn-markups-trouble sn-warn", role: "alert", hidden: true });
  const headRow = h("div", { class: "sn-markups-row sn-markups-head", role: "row", "aria-rowindex": "1" },
    MT_COLUMNS.map(({ title, icon: narrow, axis }) => h("div", { class: `sn-markups-cell${axis === undefined ? "" : " sn-markups-number"}`, role: "columnheader" },
      narrow ? h("span", { class: "sn-markups-only-read" }, title) : axis === undefined ? title : `${title} mm`)));
  const body = h("div", { class: "sn-markups-body", role: "rowgroup" });
  const grid = h("div", { class: "sn-markups-grid", role: "grid", tabindex: "0", "aria-label": "Control points", "aria-colcount": String(MT_COLUMNS.length) },
    h("div", { class: "sn-markups-thead", role: "rowgroup" }, headRow), body);
  const empty = h("div", { class: "sn-empty", hidden: true }, h("strong", {}, "No points yet"), h("span", {}, "\"Place points\", then click in a view."));
  root.append(line.node, bar, measured, trouble, grid, empty);

  let head = { name: "", kind: "", count: 0, most: -1, measurements: [] };
  let points = [];
  let active = { row: -1, column: 0 };
  let selected = null;
  let editor = null;
  let gone = false;
  const list = virtualList({ scroller: grid, body, rowHeight: MT_ROW, headHeight: MT_HEAD, draw: drawRow, drawn: () => nameActive() });

  const ended = () => gone || (model.get("_status")?.state ?? "live") !== "live";
  const cellId = (row, column) => `${ids}-${row}-${column}`;
  function ask(message) {
    if (ended()) return;
    trouble.hidden = true;
    questions.ask(message);
  }

  // -- rows ------------------------------------------------------------------------------------------------------

  function words(column, point) {
    const called = point.label || "the point";
    if (column === "visible") return [point.visible ? `Hide ${called}` : `Show ${called}`, point.visible ? "eye" : "hidden"];
    if (column === "locked") return [point.locked ? `Unlock ${called}` : `Lock ${called}`, point.locked ? "lock" : "unlock"];
    if (column === "jump") return [`Show ${called} in the slice views`, "target"];
    return [`Remove ${called}`, "close"];
  }

  function text(column, point) {
    if (column.axis === undefined) return point.label;
    return point.position ? mm(point.position[column.axis]) : "–";
  }

  function fillCell(cell, column, point) {
    if (!column.icon) {
      if (editor?.cell !== cell) cell.textContent = text(column, point);
      cell.title = column.name === "label" ? point.description : point.position ? String(point.position[column.axis]) : "no position";
      return;
    }
    const [label, picture] = words(column.name, point);
    if (cell.dataset.says === label) return;
    cell.dataset.says = label;
    fill(cell, h("span", { class: "sn-icon-button", title: label }, icon(picture), h("span", { class: "sn-markups-only-read" }, label)));
  }

  function drawRow(index) {
    const cells = MT_COLUMNS.map((column, place) => h("div", {
      class: `sn-markups-cell${column.axis === undefined ? "" : " sn-markups-number"}${column.icon ? " sn-markups-act" : ""}`,
      role: "gridcell", id: cellId(index, place), "data-column": String(place), "aria-colindex": String(place + 1),
    }));
    const row = h("div", { class: "sn-markups-row", role: "row", "aria-rowindex": String(index + 2), "data-row": String(index) }, cells);
    patch(index, row);
    return row;
  }

  function patch(index, row) {
    const point = points[index];
    MT_COLUMNS.forEach((column, place) => fillCell(row.children[place], column, point));
    row.classList.toggle("sn-markups-hidden", !point.visible);
    row.setAttribute("aria-selected", String(index === selected));
  }

  function nameActive() {
    const there = list?.node(active.row) !== undefined;
    if (there) grid.setAttribute("aria-activedescendant", cellId(active.row, active.column));
    else grid.removeAttribute("aria-activedescendant");
    for (const cell of body.querySelectorAll(".sn-markups-active")) cell.classList.remove("sn-markups-active");
    if (there) list.node(active.row).children[active.column].classList.add("sn-markups-active");
  }

  function goTo(row, column) {
    if (!points.length) return;
    active = { row: Math.max(0, Math.min(points.length - 1, row)), column: Math.max(0, Math.min(MT_COLUMNS.length - 1, column)) };
    list.reveal(active.row);
    nameActive();
    choose(active.row, true);
  }

  function choose(index, tell) {
    if (index === selected) return;
    selected = index;
    list.each((each, row) => row.setAttribute("aria-selected", String(each === index)));
    if (tell) questions.ask({ type: "select", index });
  }

  // -- what a person does ----------------------------------------------------------------------------------------

  function act(row, column) {
    const point = points[row];
    const what = MT_COLUMNS[column].name;
    if (ended() || !point) return;
    if (what === "visible" || what === "locked") ask({ type: "edit", id: point.id, [what]: !point[what] });
    else if (what === "jump" || what === "remove") ask({ type: what, id: point.id });
    else edit(row, column);
  }

  function edit(row, column, typed = null) {
    const node = list.node(row);
    if (!node || ended()) return;
    close(true);
    const cell = node.children[column];
    const { axis, title } = MT_COLUMNS[column];
    const point = points[row];
    const value = axis === undefined ? point.label : point.position ? String(Number(point.position[axis].toFixed(4))) : "";
    const input = h("input", {
      class: "sn-markups-input", type: "text", "aria-label": axis === undefined ? "Label" : `${title}, mm`,
      inputmode: axis === undefined ? null : "decimal", spellcheck: "false",
    });
    input.value = typed ?? value;
    editor = { cell, input, id: point.id, axis, before: value };
    fill(cell, input);
    input.focus({ preventScroll: true });
    if (typed === null) input.select();
    input.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter" || event.key === "Tab") {
        if (!close(true)) return event.preventDefault();
        const step = event.key === "Enter" ? [event.shiftKey ? -1 : 1, 0] : [0, event.shiftKey ? -1 : 1];
        if (event.key === "Tab" && !MT_COLUMNS[column + step[1]]) return;
        event.preventDefault();
        grid.focus({ preventScroll: true });
        goTo(row + step[0], column + step[1]);
        if (event.key === "Tab" && !MT_COLUMNS[active.column].icon) edit(active.row, active.column);
      } else if (event.key === "Escape") {
        close(false);
        grid.focus({ preventScroll: true });
      }
    });
    input.addEventListener("blur", () => {
      // A number that is none: what was there stays.
      if (!close(true)) close(false);
    });
  }

  /** End the editing, with what was typed or without; false when it cannot be a coordinate. */
  function close(take) {
    if (!editor) return true;
    const { cell, input, id, axis, before } = editor;
    const typed = input.value.trim();
    const value = axis === undefined ? typed : Number(typed.replace(",", "."));
    if (take && axis !== undefined && (typed === "" || !Number.isFinite(value))) {
      input.setAttribute("aria-invalid", "true");
      return false;
    }
    editor = null;
    const index = points.findIndex((point) => point.id === id);
    if (index >= 0 && take && typed !== before) {
      const point = points[index];
      if (axis === undefined) {
        points[index] = { ...point, label: value };
        ask({ type: "edit", id, label: value });
      } else {
        if (point.position) points[index] = { ...point, position: point.position.map((old, each) => (each === axis ? value : old)) };
        ask({ type: "edit", id, axis, value });
      }
    }
    if (index >= 0 && cell.isConnected) fillCell(cell, MT_COLUMNS[Number(cell.dataset.column)], points[index]);
    return true;
  }

  const placeOf = (event) => {
    const cell = event.target.closest?.(".sn-markups-cell[data-column]");
    const row = cell?.closest("[data-row]");
    return row ? [Number(row.dataset.row), Number(cell.dataset.column)] : null;
  };
  // Whether the press is on the cell that has the keyboard already: known before it gets the focus.
  let again = false;
  body.addEventListener("mousedown", (event) => {
    const spot = placeOf(event);
    again = spot !== null && spot[0] === active.row && spot[1] === active.column && document.activeElement === grid;
  });
  body.addEventListener("click", (event) => {
    const spot = placeOf(event);
    if (!spot || event.target.tagName === "INPUT") return;
    grid.focus({ preventScroll: true });
    goTo(...spot);
    if (MT_COLUMNS[spot[1]].icon || again) act(...spot);
  });
  body.addEventListener("dblclick", (event) => {
    const spot = placeOf(event);
    if (spot && event.target.tagName !== "INPUT" && !MT_COLUMNS[spot[1]].icon) edit(...spot);
  });
  grid.addEventListener("focus", () => {
    if (active.row < 0 && points.length) goTo(selected ?? 0, 0);
  });
  grid.addEventListener("keydown", (event) => {
    if (event.target !== grid || event.ctrlKey || event.metaKey || event.altKey) return;
    const { row, column } = active;
    const page = list.pageLength();
    const moves = {
      ArrowDown: [row + 1, column], ArrowUp: [row - 1, column], ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
      PageDown: [row + page, column], PageUp: [row - page, column], Home: [0, column], End: [points.length - 1, column],
    };
    const { axis, icon: narrow } = MT_COLUMNS[column];
    const point = points[row];
    if (event.key in moves) goTo(...moves[event.key]);
    else if (!point) return;
    else if (event.key === "Enter" || event.key === "F2" || (event.key === " " && narrow)) act(row, column);
    else if (event.key === "Delete") ask({ type: "remove", id: point.id });
    else if (event.key === " ") ask({ type: "jump", id: point.id });
    else if (axis !== undefined && /^[-+.,\d]$/.test(event.key)) edit(row, column, event.key);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  // -- what the kernel says --------------------------------------------------------------------------------------

  function drawHead() {
    const off = ended();
    const full = head.most >= 0 && head.count >= head.most;
    name.textContent = head.name;
    dot.style.background = head.color ? `rgb(${head.color.map((part) => Math.round(255 * part)).join(",")})` : "none";
    const number = head.most >= 0 ? `${head.count} of ${count(head.most, "point")}` : count(head.count, "point");
    facts.textContent = head.kind === "points" ? number : head.kind ? `${head.kind} · ${number}` : "";
    measures.textContent = head.measurements.map(([each, value]) => `${each} ${value}`).join(" · ");
    measure.hidden = !head.measures_more;
    measured.hidden = head.measurements.length === 0 && !head.measures_more;
    for (const [button, says, picture] of [
      [eye, head.visible ? "Hide in all views" : "Show in views", head.visible ? "eye" : "hidden"],
      [lock, head.locked ? "Unlock all" : "Lock all: nothing can be dragged", head.locked ? "lock" : "unlock"],
    ]) {
      if (button.title !== says) fill(button, icon(picture));
      button.title = says;
      button.setAttribute("aria-label", says);
      button.disabled = off;
    }
    place.setAttribute("aria-pressed", String(Boolean(head.placing)));
    place.classList.toggle("sn-button-main", Boolean(head.placing));
    place.disabled = off || (full && !head.placing);
    place.title = full ? "It has all its points" : head.placing ? "Clicks in the views place points; press to end this" : "Have clicks in the views place points";
    measure.disabled = off;
    empty.hidden = points.length > 0 || head.kind === "";
    grid.hidden = points.length === 0;
  }

  function all(message) {
    close(false);
    const id = points[active.row]?.id;
    head = message.head;
    points = message.rows.map(pointOf);
    selected = message.selected;
    const kept = id === undefined ? -1 : points.findIndex((point) => point.id === id);
    active.row = kept >= 0 ? kept : Math.min(active.row, points.length - 1);
    grid.setAttribute("aria-rowcount", String(points.length + 1));
    grid.style.height = `${MT_HEAD + Math.min(MT_ROWS, points.length) * MT_ROW + 2}px`;
    drawHead();
    list.show(points.length);
  }

  function news(message) {
    head = message.head;
    for (const [index, row] of message.rows) {
      points[index] = pointOf(row);
      const node = list.node(index);
      if (node) patch(index, node);
    }
    drawHead();
  }

  function takeStatus() {
    line.status(gone ? { state: "gone", message: "These markups are no more in the scene.", hint: "" } : model.get("_status"));
    root.classList.toggle("sn-gone", ended());
    drawHead();
  }

  const heard = listener(model);
  heard.on("change:_status", takeStatus);
  heard.on("msg:custom", (message) => {
    if (message.type === "all") all(message);
    else if (message.type === "news") news(message);
    else if (message.type === "select") {
      choose(message.index, false);
      if (message.index !== null && message.index !== active.row) {
        active = { row: message.index, column: active.column };
        list.reveal(message.index);
        nameActive();
      }
    } else if (message.type === "trouble") {
      fill(trouble, icon("warning"), h("span", {}, message.message, message.hint ? ` (${message.hint})` : ""));
      trouble.hidden = false;
    } else if (message.type === "gone") {
      gone = true;
      close(false);
      takeStatus();
    }
  });
  takeStatus();
  questions.ask({ type: "hello" });
  return () => {
    heard.close();
    questions.close();
    list.close();
  };
}

export default { render };
