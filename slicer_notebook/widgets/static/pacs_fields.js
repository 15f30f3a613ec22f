// The form: fields, modalities, dates, any tag, the limit; what is typed is what is asked for, and it says how.

const TEXT_FIELDS = {
  name: "Patient name",
  id: "Patient ID",
  accession: "Accession number",
  description: "Study description",
  referring: "Referring physician",
  institution: "Institution",
};
const DATES = { any: "Any date", today: "Today", yesterday: "Yesterday", week: "Last 7 days", month: "Last 30 days", year: "This year", range: "Between…" };
const MODALITIES = ["CT", "MR", "PT", "NM", "US", "CR", "DX", "MG", "XA", "RF", "SR", "SEG", "RTSTRUCT", "RTDOSE"];
/** Keywords that are suggested; any other will do. */
const KEYWORDS = [
  "BodyPartExamined", "Manufacturer", "ManufacturerModelName", "Modality", "NumberOfStudyRelatedInstances", "OtherPatientIDs", "PatientBirthDate",
  "PatientSex", "PerformingPhysicianName", "ProtocolName", "RequestedProcedureDescription", "SeriesDescription", "SeriesInstanceUID", "StationName",
  "StudyID", "StudyInstanceUID", "StudyTime",
];
/** Milliseconds after a keystroke until the kernel keeps what is typed, for a page that is loaded anew. */
const KEEP_AFTER = 400;
const LIMIT = 500;

/** The person's own day, as YYYY-MM-DD. */
function dayHere() {
  const now = new Date();
  return `${now.getFullYear()}-${String(now.getMonth() + 1).padStart(2, "0")}-${String(now.getDate()).padStart(2, "0")}`;
}

/**
 * @param search search(): Enter, or the button
 * @param stop stop(): the button, or Escape
 * @param keep keep(): something was typed, some time ago
 */
function queryForm({ search, stop, keep }) {
  const ids = `sn${Math.random().toString(36).slice(2, 8)}`;
  let keeping = 0;
  let modalities = new Set();
  let shownModalities = [...MODALITIES];
  const typed = () => {
    say(null);
    hint();
    clearTimeout(keeping);
    keeping = setTimeout(keep, KEEP_AFTER);
  };
  const labelled = (label, input, more = null) => h("label", { class: "sn-q-field" }, h("span", { class: "sn-q-label" }, label), input, more);

  const inputs = Object.fromEntries(
    Object.keys(TEXT_FIELDS).map((field) => [
      field,
      h("input", { class: "sn-q-input", type: "text", name: field, "data-field": field, spellcheck: "false", autocomplete: "off", "aria-describedby": `${ids}-hint`, oninput: typed }),
    ]),
  );
  const when = h("select", { class: "sn-q-input sn-q-when", "data-lm-suppress-shortcuts": "true", onchange: () => takeDates() }, ...Object.entries(DATES).map(([value, text]) => h("option", { value }, text)));
  const first = h("input", { class: "sn-q-input sn-q-first", type: "date", "aria-label": "First day", oninput: typed });
  const last = h("input", { class: "sn-q-input sn-q-last", type: "date", "aria-label": "Last day", oninput: typed });
  const range = h("span", { class: "sn-q-range", hidden: true }, first, "–", last);
  const chips = h("div", { class: "sn-q-chips", role: "group", "aria-label": "Modality" });
  const tags = h("div", { class: "sn-q-tags", role: "group", "aria-label": "Further attributes" });
  const keywords = h("datalist", { id: `${ids}-keywords` }, ...KEYWORDS.map((value) => h("option", { value })));
  const addTag = h("button", { class: "sn-q-link sn-q-add-tag", type: "button", onclick: () => newTag().querySelector("input").focus() }, "+ Any tag");
  const anywhere = h("input", { type: "checkbox", class: "sn-q-anywhere", onchange: typed });
  anywhere.checked = true;
  const limit = h("input", { class: "sn-q-input sn-q-limit", type: "number", min: "1", max: "20000", step: "1", value: String(LIMIT), oninput: typed });
  const hints = h("span", { class: "sn-hint sn-q-hint", id: `${ids}-hint` });
  const problem = h("div", { class: "sn-q-note sn-q-bad", role: "alert", hidden: true });
  const go = h("button", { class: "sn-button sn-button-main sn-q-search", type: "submit" }, "Search");
  const halt = h("button", { class: "sn-button sn-q-stop", type: "button", hidden: true, onclick: () => stop() }, "Stop");
  const node = h(
    "form",
    {
      class: "sn-q-form",
      role: "search",
      "aria-label": "Search PACS",
      novalidate: true,
      onsubmit: (event) => {
        event.preventDefault();
        search();
      },
      // JupyterLab keeps the key press from the browser, which would submit the form.
      onkeydown: (event) => {
        if (event.key !== "Enter" || event.isComposing || !event.target.matches("input, select")) return;
        event.preventDefault();
        event.stopPropagation();
        search();
      },
    },
    h(
      "div",
      { class: "sn-q-fields" },
      labelled(TEXT_FIELDS.name, inputs.name),
      labelled(TEXT_FIELDS.id, inputs.id),
      labelled(TEXT_FIELDS.accession, inputs.accession),
      h("div", { class: "sn-q-field sn-q-dates" }, h("label", { class: "sn-q-date" }, h("span", { class: "sn-q-label" }, "Study date"), when), range),
      labelled(TEXT_FIELDS.description, inputs.description),
      labelled(TEXT_FIELDS.referring, inputs.referring),
      labelled(TEXT_FIELDS.institution, inputs.institution),
    ),
    chips,
    tags,
    keywords,
    h(
      "div",
      { class: "sn-q-actions" },
      addTag,
      h("label", { class: "sn-q-switch", title: "Names and texts without * or ? are looked for anywhere in the attribute" }, anywhere, "Match anywhere"),
      h("label", { class: "sn-q-switch", title: "Studies of each PACS, at most" }, "Limit", limit),
      hints,
      h("span", { class: "sn-q-buttons" }, halt, go),
    ),
    problem,
  );

  function takeDates() {
    range.hidden = when.value !== "range";
    typed();
  }

  function hint() {
    const name = inputs.name.value.trim();
    // Nothing that is typed is changed, so it has to be said how names are written there.
    if (/\S\s+\S/.test(name) && !/[\^*?,]/.test(name)) hints.textContent = `Names are kept as Family^Given: try ${name.split(/\s+/).join("*")}`;
    else hints.textContent = "* stands for anything, ? for one character";
  }

  function drawChips() {
    const focused = chips.contains(document.activeElement) ? document.activeElement.dataset.modality : null;
    fill(chips, ...shownModalities.map((name) => h("button", { class: "sn-q-chip sn-q-modality", type: "button", "data-modality": name, "aria-pressed": String(modalities.has(name)), onclick: () => pick(name) }, name)));
    if (focused) chips.querySelector(`[data-modality="${CSS.escape(focused)}"]`)?.focus();
  }

  function pick(name) {
    if (modalities.has(name)) modalities.delete(name);
    else modalities.add(name);
    drawChips();
    typed();
  }

  function newTag({ keyword = "", value = "" } = {}) {
    const name = h("input", { class: "sn-q-input sn-q-keyword", type: "text", list: `${ids}-keywords`, placeholder: "Keyword, or 0019,100C", "aria-label": "Attribute", spellcheck: "false", autocomplete: "off", oninput: typed });
    const what = h("input", { class: "sn-q-input sn-q-value", type: "text", placeholder: "Value", "aria-label": "Value", spellcheck: "false", autocomplete: "off", oninput: typed });
    name.value = keyword;
    what.value = value;
    const away = h("button", { class: "sn-icon-button", type: "button", title: "Take this row away", "aria-label": "Take this row away", onclick: () => {
      row.remove();
      typed();
      addTag.focus();
    } }, icon("close"));
    const row = h("div", { class: "sn-q-tag" }, name, what, away);
    tags.append(row);
    return row;
  }

  /** What is wrong with the form; null when nothing is. */
  function say(words) {
    problem.hidden = !words;
    fill(problem, ...(words ? [icon("error"), h("span", {}, words.message, " ", h("span", { class: "sn-hint" }, words.hint ?? ""))] : []));
  }

  drawChips();
  hint();
  return {
    node,
    say,
    /** What is typed and chosen, without the PACS. */
    value: () => ({
      ...Object.fromEntries(Object.entries(inputs).map(([field, input]) => [field, input.value])),
      modalities: shownModalities.filter((name) => modalities.has(name)),
      when: when.value,
      first: first.value,
      last: last.value,
      tags: [...tags.children].map((row) => ({ keyword: row.querySelector(".sn-q-keyword").value, value: row.querySelector(".sn-q-value").value })),
      anywhere: anywhere.checked,
      limit: Number(limit.value) || 0,
    }),
    /** Another form. */
    take(form) {
      for (const [field, input] of Object.entries(inputs)) input.value = form[field];
      modalities = new Set(form.modalities);
      shownModalities = [...MODALITIES, ...form.modalities.filter((name) => !MODALITIES.includes(name))];
      when.value = form.when;
      first.value = form.first;
      last.value = form.last;
      range.hidden = form.when !== "range";
      tags.replaceChildren();
      form.tags.forEach(newTag);
      anywhere.checked = form.anywhere;
      limit.value = String(form.limit);
      drawChips();
      hint();
      say(null);
    },
    /** Whether a search goes on. */
    going(on) {
      const focused = document.activeElement === halt;
      halt.hidden = !on;
      if (focused && !on) go.focus();
    },
    focus: () => inputs.name.focus(),
    close: () => clearTimeout(keeping),
  };
}
