// The rows of the answers: studies in columns, below them series with their pictures, plans and instances.

Object.assign(ICONS, {
  plan: "M4 3h16a1 1 0 0 1 1 1v16a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1zm1 2v4h14V5H5zm0 6v8h4v-8H5zm6 0v8h8v-8h-8z",
  partly: "M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20zm0 2v16a8 8 0 0 1 0-16z",
});

/** Columns of studies: least width, what they share of the rest, and how soon they are left out where there is no room. */
const ANSWER_COLUMNS = {
  pick: { title: "Choose", least: 46, rest: "46px", keep: 0 },
  name: { title: "Patient", least: 96, rest: "minmax(96px, 1.4fr)", keep: 1 },
  id: { title: "ID", least: 92, rest: "minmax(92px, 0.5fr)", keep: 8 },
  date: { title: "Date", least: 90, rest: "90px", keep: 2 },
  modalities: { title: "Modality", least: 74, rest: "minmax(74px, 0.6fr)", keep: 3 },
  description: { title: "Description", least: 104, rest: "minmax(104px, 1.8fr)", keep: 5 },
  accession: { title: "Accession", least: 94, rest: "minmax(94px, 0.5fr)", keep: 10 },
  series: { title: "Series", least: 58, rest: "58px", keep: 9, number: true },
  images: { title: "Images", least: 64, rest: "64px", keep: 7, number: true },
  server: { title: "PACS", least: 72, rest: "minmax(72px, 0.5fr)", keep: 6 },
  here: { title: "Here", least: 52, rest: "minmax(52px, 0.4fr)", keep: 4 },
};
/** Columns whose text is never cut, with the widest text that is to be expected: half a date or number is another one. */
const NEVER_CUT = { date: "0000-00-00", series: "0,000", images: "00,000" };
/** CSS pixels beside the text of a cell, left and right (see pacs_table.css). */
const CELL_PADDING = 12;
/** Newest first and most first are what one looks for. */
const FALLING_FIRST = new Set(["date", "series", "images", "here"]);
/** CSS pixels of a row, by its kind. */
const HEIGHTS = { study: 30, facts: 24, series: 60, plan: 22, instance: 22, note: 32 };

/** How much of so many instances is here: "all", "some", "none", or "" while nobody knows. */
function hereState(found, count) {
  if (found === undefined || found === null) return "";
  if (found === 0) return "none";
  return count && found >= count ? "all" : "some";
}

function hereMark(found, count) {
  const state = hereState(found, count);
  if (state === "all") return [h("span", { class: "sn-q-here", "data-here": "all", title: "All of it is here already" }, icon("check"), h("span", { class: "sn-q-here-text" }, "All here"))];
  if (state === "some") {
    const words = count ? `${found.toLocaleString("en")} of ${count.toLocaleString("en")}` : `${found.toLocaleString("en")} here`;
    return [h("span", { class: "sn-q-here", "data-here": "some", title: `${words} instances are here` }, icon("partly"), h("span", { class: "sn-q-here-text" }, words))];
  }
  return state ? [h("span", { class: "sn-q-here sn-hint", "data-here": "none", title: "Nothing of it is here" }, "–")] : [];
}

/** A box that shows whether something is chosen: "all", "some" or "none". The row says it to screen readers. */
function pickBox(state) {
  return h("span", { class: "sn-q-box", "data-chosen": state, "aria-hidden": "true" }, icon("check"));
}

function twist(open) {
  return h("span", { class: `sn-q-twist${open ? " sn-q-open" : ""}`, "aria-hidden": "true" }, icon("chevron"));
}

function studyCell(name, study, { hidden, found, chosen, open, also }) {
  const { number } = ANSWER_COLUMNS[name];
  const props = { class: `sn-q-cell${number ? " sn-q-number" : ""}`, role: "gridcell", "data-column": name };
  const text = (value, title = value) => h("div", { ...props, title: title.length > 8 ? title : null }, h("span", { class: "sn-q-text" }, value));
  if (name === "pick") return h("div", { ...props, class: "sn-q-cell sn-q-pick" }, h("span", { class: "sn-q-hit", "data-hit": "choose" }, pickBox(chosen)), twist(open));
  if (name === "name") return text(hidden ? study.pseudonym : study.name || study.id || "No name");
  if (name === "modalities") return h("div", { ...props, title: study.modalities.length > 8 ? study.modalities : null }, ...study.modalities.split(" ").filter(Boolean).map((each) => h("span", { class: "sn-q-tagged" }, each)));
  if (name === "here") return h("div", props, ...hereMark(found, study.images));
  if (name === "server") return also.length ? h("div", { ...props, title: `also in ${also.join(", ")}` }, h("span", { class: "sn-q-text" }, study.server), h("span", { class: "sn-hint" }, `+${also.length}`)) : text(study.server);
  if (name === "description" && !study.description) return h("div", props, h("span", { class: "sn-q-text sn-hint" }, "No description"));
  if (number) return text(study[name] === null ? "?" : study[name].toLocaleString("en"));
  return text(hidden && (name === "id" || name === "accession") ? "" : study[name]);
}

/** What of a study has no column, in a line. */
function studyFacts(study, shown, hidden) {
  const facts = [];
  const add = (name, label, value) => {
    if (value && !shown.includes(name)) facts.push(label ? `${label} ${value}` : value);
  };
  if (!hidden) {
    add("id", "ID", study.id);
    add("born", "born", study.born);
  }
  add("sex", "", { F: "female", M: "male", O: "other" }[study.sex] ?? study.sex);
  if (!hidden) {
    add("accession", "accession", study.accession);
    add("referring", "referred by", study.referring);
  }
  add("description", "", study.description);
  add("images", "", study.images === null ? "" : count(study.images, "image"));
  add("server", "in", study.server);
  return facts.join(" · ");
}

/** What a series will become, in lines: [icon or null, text]. */
function planLines({ plan, error }) {
  if (error) return [["error", `${error.message} ${error.hint ?? ""}`.trim()]];
  if (!plan) return [[null, "Looking at its headers…"]];
  const volumes = plan.volumes.slice(0, 6).map((volume) => ["plan", [volume.name, volume.size, volume.orientation, volume.spacing].filter(Boolean).join(" · ")]);
  if (plan.volumes.length > 6) volumes.push([null, `and ${count(plan.volumes.length - 6, "further volume")}`]);
  const warnings = plan.warnings.map((text) => ["warning", text]);
  const refused = plan.refused.map((each) => ["error", `${count(each.files, "file")} left out: ${each.message}`]);
  return [...volumes, ...warnings, ...refused];
}

/** A picture that came as bytes: PNG begins with 0x89, all else is JPEG. */
function pictureUrl(bytes) {
  const view = bytes instanceof DataView ? bytes : new DataView(bytes.buffer ?? bytes, bytes.byteOffset ?? 0);
  return URL.createObjectURL(new Blob([bytes], { type: view.byteLength && view.getUint8(0) === 0x89 ? "image/png" : "image/jpeg" }));
}
