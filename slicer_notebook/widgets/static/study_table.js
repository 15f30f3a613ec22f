// The table of studies: patients with their studies below them, or all studies sorted by a column.

const ROW = 30;
const HEAD = 30;

const COLUMNS = {
  name: { title: "Patient", width: "minmax(110px, 1.5fr)" },
  id: { title: "Patient ID", width: "minmax(84px, 1fr)" },
  born: { title: "Born", width: "86px" },
  sex: { title: "Sex", width: "48px" },
  age: { title: "Age", width: "56px" },
  date: { title: "Date", width: "88px" },
  time: { title: "Time", width: "60px" },
  modalities: { title: "Modality", width: "minmax(96px, 1fr)" },
  description: { title: "Description", width: "minmax(110px, 2.4fr)" },
  accession: { title: "Accession", width: "minmax(88px, 1fr)" },
  referring: { title: "Referring", width: "minmax(90px, 1fr)" },
  institution: { title: "Institution", width: "minmax(90px, 1fr)" },
  series: { title: "Series", width: "62px", number: true },
  images: { title: "Images", width: "68px", number: true },
};
/** Newest first and most first are what one looks for. */
const DESCENDING_FIRST = new Set(["date", "time", "series", "images"]);

/**
 * @param store the studies (studies.js)
 * @param columns names of the columns beside the patient
 * @param needs needs(pixels): the columns are to be seen from this width on
 * @param open open(uid): another study is the open one
 * @param enter enter(): go to its series
 * @param chooseAll chooseAll(): all series of the open study
 * @param leave leave(): back to the search
 * @param chosen chosen(uid): how many series of a study are chosen
 * @param resorted resorted(): the rows have to be looked for anew
 */
function studyTable({ store, columns, needs, open, enter, chooseAll, leave, chosen, resorted }) {
  const ids = `sn${Math.random().toString(36).slice(2, 8)}`;
  const headRow = h("div", { class: "sn-tr sn-head-row", role: "row" });
  const body = h("div", { class: "sn-tbody", role: "rowgroup" });
  const node = h("div", { class: "sn-table", role: "treegrid", tabindex: "0", "aria-label": "Studies" }, h("div", { class: "sn-thead", role: "rowgroup" }, headRow), body);
  // A row stands for a study (its place in the catalogue), or for a patient: -1 - the place of the first study.
  let rows = new Int32Array(0);
  let found = new Uint32Array(0);
  let words = [];
  let sort = { column: "name", ascending: true };
  let openUid = null;
  let active = -1;
  const closed = new Set();
  const list = virtualList({ scroller: node, body, rowHeight: ROW, headHeight: HEAD, draw: drawRow, drawn: () => nameActive() });

  const grouped = () => sort.column === "name";
  const shown = () => ["name", ...columns];
  const rowId = (index) => `${ids}-r${index}`;

  function layRows(keepPlace) {
    rows = grouped() ? byPatient() : Int32Array.from(found);
    if (!keepPlace) list.top();
    const place = openUid === null ? -1 : store.find(openUid);
    active = place < 0 ? -1 : rows.indexOf(place);
    node.setAttribute("aria-rowcount", String(rows.length + 1));
    list.show(rows.length);
    drawActive();
  }

  function byPatient() {
    const laid = new Int32Array(2 * found.length);
    let length = 0;
    let patient = -1;
    for (const study of found) {
      if (store.patient(study) !== patient) {
        patient = store.patient(study);
        laid[length++] = -1 - study;
      }
      if (!closed.has(patient)) laid[length++] = study;
    }
    return laid.subarray(0, length);
  }

  function drawHead() {
    headRow.replaceChildren(
      ...shown().map((name) => {
        const on = sort.column === name;
        const { title, number } = COLUMNS[name];
        return h(
          "div",
          { class: `sn-th${number ? " sn-number" : ""}`, role: "columnheader", "aria-sort": on ? (sort.ascending ? "ascending" : "descending") : "none", "data-column": name },
          h("button", { type: "button", title: `Sort by ${title.toLowerCase()}`, onclick: () => sortBy(name) }, title, on ? h("span", { class: "sn-arrow", "aria-hidden": "true" }, sort.ascending ? "▲" : "▼") : null),
        );
      }),
    );
    // By patient, the names have rows of their own, and the first column only marks what is chosen.
    const widths = shown().map((name) => (name === "name" && grouped() ? "74px" : COLUMNS[name].width));
    node.style.setProperty("--sn-columns", widths.join(" "));
    const least = widths.reduce((sum, width) => sum + Number(/(\d+)px/.exec(width)[1]), 16);
    needs(least);
    node.setAttribute("aria-colcount", String(widths.length));
  }

  function drawRow(index) {
    const place = rows[index];
    return place < 0 ? patientRow(index, -1 - place) : studyRow(index, place);
  }

  function patientRow(index, place) {
    const study = store.study(place);
    const facts = [study.sex, study.born].filter(Boolean).join(" · ");
    return h(
      "div",
      {
        class: `sn-tr sn-patient-row${index === active ? " sn-active" : ""}`,
        role: "row",
        id: rowId(index),
        "aria-level": "1",
        "aria-expanded": String(!closed.has(study.patient)),
        "aria-rowindex": String(index + 2),
        onclick: () => {
          node.focus({ preventScroll: true });
          foldPatient(study.patient, index);
        },
      },
      h(
        "div",
        { class: "sn-td sn-patient", role: "gridcell", "aria-colspan": String(shown().length) },
        h("span", { class: "sn-twist", "aria-hidden": "true" }, icon("chevron")),
        h("span", { class: "sn-patient-name" }, ...marked(study.name || study.id || "No name", words)),
        study.name && study.id ? h("span", { class: "sn-patient-id" }, ...marked(study.id, words)) : null,
        facts ? h("span", { class: "sn-patient-facts" }, ...marked(facts, words)) : null,
      ),
    );
  }

  function studyRow(index, place) {
    const study = store.study(place);
    return h(
      "div",
      {
        class: `sn-tr sn-study-row${index === active ? " sn-active" : ""}`,
        role: "row",
        id: rowId(index),
        "data-uid": study.uid,
        "aria-level": grouped() ? "2" : null,
        "aria-selected": String(study.uid === openUid),
        "aria-rowindex": String(index + 2),
        onclick: () => {
          node.focus({ preventScroll: true });
          moveTo(index);
        },
      },
      ...shown().map((name) => cell(study, name)),
    );
  }

  function cell(study, name) {
    const { number } = COLUMNS[name];
    const props = { class: `sn-td${number ? " sn-number" : ""}`, role: "gridcell", "data-column": name };
    if (name === "name") {
      if (grouped()) return h("div", { ...props, class: "sn-td sn-mark-cell", "aria-label": study.name || "No name" }, chosenMark(study.uid));
      return h("div", { ...props, title: study.name }, h("span", { class: "sn-text" }, ...marked(study.name || study.id || "No name", words)), chosenMark(study.uid));
    }
    if (name === "modalities") return h("div", props, ...study.modalities.split(" ").filter(Boolean).map((each) => h("span", { class: "sn-tag" }, ...marked(each, words))));
    if (name === "description") {
      const hit = hitInSeries(study);
      const text = study.description ? h("span", { class: "sn-text" }, ...marked(study.description, words)) : h("span", { class: "sn-text sn-hint" }, "No description");
      return h("div", { ...props, title: study.description || null }, text, hit ? h("span", { class: "sn-in-series" }, "in a series: ", ...marked(hit, words)) : null);
    }
    const text = number ? Number(study[name]).toLocaleString("en") : study[name];
    return h("div", { ...props, title: text.length > 12 ? text : null }, h("span", { class: "sn-text" }, ...marked(text, words)));
  }

  /** What was found in the words of a study's series alone: else nobody sees why the study is there. */
  function hitInSeries(study) {
    if (words.length === 0) return null;
    const visible = folded(Object.keys(COLUMNS).map((name) => study[name]).join("\n"));
    const missing = words.find((word) => !visible.includes(word) && !visible.includes(dashed(word) ?? word));
    if (!missing) return null;
    return [...study.more.split(PART), ...study.more_identity.split(PART)].find((part) => part.includes(missing)) ?? null;
  }

  function chosenMark(uid) {
    const number = chosen(uid);
    return number ? h("span", { class: "sn-chosen", title: `${number} chosen` }, String(number)) : null;
  }

  function foldPatient(patient, index) {
    if (closed.has(patient)) closed.delete(patient);
    else closed.add(patient);
    const head = rows[index];
    layRows(true);
    active = rows.indexOf(head);
    list.reveal(active);
    drawActive();
  }

  /** Which row has the keyboard, for a screen reader: only a row that is in the page has a name. */
  function nameActive() {
    if (list.node(active)) node.setAttribute("aria-activedescendant", rowId(active));
    else node.removeAttribute("aria-activedescendant");
  }

  function drawActive() {
    nameActive();
    list.each((index, row) => {
      row.classList.toggle("sn-active", index === active);
      if (row.dataset.uid) row.setAttribute("aria-selected", String(row.dataset.uid === openUid));
    });
  }

  /** Go to a row; the series of a study are shown. */
  function moveTo(index) {
    active = index;
    list.reveal(index);
    if (rows[index] >= 0) {
      const uid = store.field(rows[index], "uid");
      const other = uid !== openUid;
      openUid = uid;
      if (other) open(uid);
    }
    drawActive();
  }

  function sortBy(column) {
    sort = { column, ascending: sort.column === column ? !sort.ascending : !DESCENDING_FIRST.has(column) };
    drawHead();
    resorted();
    headRow.querySelector(`[data-column="${column}"] button`)?.focus();
  }

  node.addEventListener("keydown", (event) => {
    if (event.target !== node) return;
    const place = rows[active];
    const page = list.pageLength();
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -rows.length, End: rows.length };
    const key = event.key;
    const patient = place < 0 ? store.patient(-1 - place) : -1;
    if (key in steps && rows.length) {
      if (key === "ArrowUp" && active <= 0) leave();
      else moveTo(Math.max(0, Math.min(rows.length - 1, active + steps[key])));
    } else if (place < 0 && (key === "Enter" || key === " " || key === (closed.has(patient) ? "ArrowRight" : "ArrowLeft"))) foldPatient(patient, active);
    else if (place < 0 && key === "ArrowRight") moveTo(active + 1);
    else if (place >= 0 && (key === "ArrowRight" || key === "Enter")) enter();
    else if (place >= 0 && key === " ") chooseAll();
    else if (place >= 0 && key === "ArrowLeft" && grouped()) {
      let head = active;
      while (head > 0 && rows[head] >= 0) head--;
      moveTo(head);
    } else if (key === "/") leave();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  drawHead();
  return {
    node,
    get sort() {
      return sort;
    },
    get open() {
      return openUid;
    },
    set open(uid) {
      openUid = uid;
    },
    /** Whether the open study is among the rows. */
    get inSight() {
      return active >= 0;
    },
    /** The first study of the rows becomes the open one; the focus stays where it is. */
    openFirst() {
      const first = rows.findIndex((place) => place >= 0);
      if (first >= 0) moveTo(first);
    },
    /** Other rows: places of studies, in order; the words are marked. */
    show(places, marks, { keepPlace = false } = {}) {
      found = places;
      words = marks;
      layRows(keepPlace);
    },
    setColumns(names) {
      columns = names;
      drawHead();
      layRows(true);
    },
    /** Another number of series is chosen in some studies. */
    drawChosen() {
      list.each((_index, row) => {
        const first = row.querySelector("[data-column=name]");
        if (!first) return;
        first.querySelector(".sn-chosen")?.remove();
        const mark = chosenMark(row.dataset.uid);
        if (mark) first.append(mark);
      });
    },
    focus: () => node.focus({ preventScroll: true }),
    /** Go to the open study, else to the first; false when there is none. */
    enter() {
      const first = active >= 0 ? active : rows.findIndex((place) => place >= 0);
      if (first < 0) return false;
      moveTo(first);
      node.focus({ preventScroll: true });
      return true;
    },
    close: () => list.close(),
  };
}
