// The study picker: studies on the left, the series of the open one on the right, what is chosen below.

/** Studies drawn at a time; more when the list is scrolled to its end. */
const PAGE = 200;

/** What is searched in a study, lower case. Dates are found with and without their dashes. */
function searchText(study) {
  const parts = [study.name, study.id, study.accession, study.date, study.date.replaceAll("-", ""), study.description, study.born, ...study.modalities];
  return parts.join("\n").toLowerCase();
}

/** The text with what was searched for marked. */
function marked(text, words) {
  if (words.length === 0 || !text) return [text];
  const pattern = new RegExp(`(${words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|")})`, "gi");
  return text.split(pattern).map((part, index) => (index % 2 === 1 ? h("mark", {}, part) : part));
}

/** Studies of one patient stand together, where the first of them stands. */
function byPatient(studies) {
  const patients = new Map();
  for (const study of studies) {
    const key = study.id || study.name ? `${study.id}\n${study.name}` : study.uid;
    if (!patients.has(key)) patients.set(key, { name: study.name, id: study.id, born: study.born, sex: study.sex, studies: [] });
    patients.get(key).studies.push(study);
  }
  return [...patients.values()];
}

function render({ model, el }) {
  const root = rootElement(el, "sn-picker", "Study picker", model);
  const line = banner();
  const questions = asker(model, line.waiting);
  const state = { query: "", open: null, selected: new Set(), details: new Map(), rows: new Map(), shown: PAGE, note: "" };
  const seriesErrors = new Map();

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
      state.shown = PAGE;
      drawStudies();
    },
  });
  const tally = h("span", { class: "sn-tally", role: "status" });
  const refresh = h(
    "button",
    { class: "sn-icon-button", type: "button", title: "Look into the index again", "aria-label": "Refresh", onclick: () => questions.ask({ type: "refresh" }) },
    icon("refresh"),
  );
  const studyList = h("div", { class: "sn-studies", role: "listbox", "aria-label": "Studies" });
  const seriesHead = h("div", { class: "sn-series-head" });
  const seriesList = h("div", { class: "sn-series", role: "listbox", "aria-label": "Series", "aria-multiselectable": "true" });
  const note = h("div", { class: "sn-note", role: "status" });
  const bar = h("div", { class: "sn-bar-fill" });
  const track = h("div", { class: "sn-bar", role: "progressbar", "aria-label": "Loading", "aria-valuemin": "0", "aria-valuemax": "100", hidden: true }, bar);
  const cancel = h("button", { class: "sn-button", type: "button", hidden: true, onclick: () => questions.ask({ type: "cancel" }) }, "Cancel");
  const load = h("button", { class: "sn-button sn-button-main", type: "button", onclick: () => startLoading() }, "Load");
  const seriesPane = h("div", { class: "sn-series-pane" }, seriesHead, seriesList);
  const panes = h("div", { class: "sn-panes" }, studyList, seriesPane);
  const foot = h("div", { class: "sn-foot" }, note, track, cancel, load);
  root.append(h("div", { class: "sn-head" }, h("label", { class: "sn-search" }, icon("search"), search), tally, refresh), line.node, panes, foot);

  // -- studies --------------------------------------------------------------------------------------------------
  const words = () => state.query.toLowerCase().split(/\s+/).filter(Boolean);
  let texts = new Map();

  const matching = () => {
    const wanted = words();
    return (model.get("_studies") ?? []).filter((study) => wanted.every((word) => texts.get(study.uid).includes(word)));
  };

  const more = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) {
      state.shown += PAGE;
      drawStudies();
    }
  });

  function drawStudies() {
    const all = model.get("_studies");
    const problem = model.get("_problem") ?? {};
    more.disconnect();
    if (problem.message) {
      root.dataset.view = "problem";
      studyList.replaceChildren(h("div", { class: "sn-empty", role: "alert" }, icon("error"), h("strong", {}, problem.message), h("span", { class: "sn-hint" }, problem.hint)));
      tally.textContent = "";
      return;
    }
    if (!all) {
      root.dataset.view = "waiting";
      studyList.replaceChildren(h("div", { class: "sn-empty" }, gone() ? "Nothing to show without a Slicer." : "Reading the index…"));
      tally.textContent = "";
      return;
    }
    if (all.length === 0) {
      root.dataset.view = "empty";
      tally.textContent = "";
      studyList.replaceChildren(
        h("div", { class: "sn-empty" }, icon("cube"), h("strong", {}, "The index holds no study yet."), h("span", {}, "Index a folder of DICOM files in a cell: "), h("code", {}, 'slicer.dicom.index("/path/to/folder")')),
      );
      seriesHead.replaceChildren();
      seriesList.replaceChildren();
      return;
    }
    root.dataset.view = "studies";
    root.dataset.few = String(all.length === 1);
    const found = matching();
    const wanted = words();
    tally.textContent = wanted.length ? `${found.length.toLocaleString("en")} of ${count(all.length, "study", "studies")}` : count(all.length, "study", "studies");
    if (found.length === 0) {
      studyList.replaceChildren(
        h(
          "div",
          { class: "sn-empty" },
          h("strong", {}, `No study matches “${state.query.trim()}”.`),
          h("span", {}, `${count(all.length, "study", "studies")} ${all.length === 1 ? "was" : "were"} searched.`),
          h("button", { class: "sn-button", type: "button", onclick: clearSearch }, "Clear the search"),
        ),
      );
      return;
    }
    const shown = found.slice(0, state.shown);
    const focusable = shown.some((study) => study.uid === state.open) ? state.open : shown[0].uid;
    studyList.replaceChildren(
      ...byPatient(shown).map((patient, index) => {
        const label = `sn-${model.get("_anywidget_id") ?? ""}-p${index}-${Math.random().toString(36).slice(2, 7)}`;
        return h(
          "div",
          { class: "sn-patient", role: "group", "aria-labelledby": label },
          h(
            "div",
            { class: "sn-patient-head", id: label },
            h("span", { class: "sn-patient-name" }, ...marked(patient.name || patient.id || "No name", wanted)),
            patient.name && patient.id ? h("span", { class: "sn-patient-id" }, ...marked(patient.id, wanted)) : null,
            h("span", { class: "sn-patient-facts" }, [patient.sex, patient.born].filter(Boolean).join(" · ")),
          ),
          ...patient.studies.map((study) => studyOption(study, wanted, focusable)),
        );
      }),
    );
    if (found.length > shown.length) {
      const end = h("div", { class: "sn-more" }, `${count(found.length - shown.length, "further study", "further studies")}…`);
      studyList.append(end);
      more.observe(end);
    }
  }

  function studyOption(study, wanted, focusable) {
    const isOpen = study.uid === state.open;
    const chosen = [...(state.rows.get(study.uid) ?? [])].filter((row) => state.selected.has(row.uid)).length;
    return h(
      "div",
      {
        class: "sn-study",
        role: "option",
        tabindex: study.uid === focusable ? "0" : "-1",
        "aria-selected": isOpen ? "true" : "false",
        "data-uid": study.uid,
        onclick: () => open(study.uid),
      },
      h("span", { class: "sn-study-date" }, ...marked(study.date || "No date", wanted)),
      h("span", { class: "sn-tags" }, ...study.modalities.map((modality) => h("span", { class: "sn-tag" }, ...marked(modality, wanted)))),
      h("span", { class: study.description ? "sn-study-title" : "sn-study-title sn-hint" }, ...marked(study.description || "No description", wanted)),
      h("span", { class: "sn-study-facts" }, study.accession ? ["Acc. ", ...marked(study.accession, wanted), " · "] : null, `${count(study.series, "series", "series")}, ${count(study.images, "image")}`),
      chosen ? h("span", { class: "sn-chosen", title: `${chosen} chosen` }, String(chosen)) : null,
    );
  }

  function clearSearch() {
    search.value = state.query = "";
    drawStudies();
    search.focus();
  }

  function open(uid, focus = false) {
    if (state.open !== uid) {
      state.open = uid;
      focusSeries = false;
      if (!state.rows.has(uid)) questions.ask({ type: "open", study: uid });
      drawSeries();
    }
    for (const option of studyList.querySelectorAll(".sn-study")) {
      const isOpen = option.dataset.uid === uid;
      option.setAttribute("aria-selected", String(isOpen));
      option.tabIndex = isOpen ? 0 : -1;
      if (isOpen && focus) option.focus();
    }
  }

  // -- series ---------------------------------------------------------------------------------------------------
  const inView = new Set();
  let focusSeries = false;
  let askTimer = null;
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) inView.add(entry.target.dataset.uid);
        else inView.delete(entry.target.dataset.uid);
      }
      clearTimeout(askTimer);
      askTimer = setTimeout(askDetails, 60);
    },
    { rootMargin: "120px" },
  );

  function askDetails() {
    const missing = [...seriesList.querySelectorAll(".sn-card")].map((card) => card.dataset.uid).filter((uid) => inView.has(uid) && !complete(uid));
    if (missing.length) questions.ask({ type: "details", series: missing });
  }

  const detail = (uid) => state.details.get(uid) ?? {};
  const complete = (uid) => (detail(uid).plan || detail(uid).plan_error) && (detail(uid).url || detail(uid).png_error);
  const loadable = (uid) => !detail(uid).plan || detail(uid).plan.volumes.length > 0;

  function drawSeries() {
    watcher.disconnect();
    inView.clear();
    const study = (model.get("_studies") ?? []).find((each) => each.uid === state.open);
    if (!study) {
      seriesHead.replaceChildren();
      seriesList.replaceChildren(h("div", { class: "sn-empty" }, "Choose a study to see its series."));
      return;
    }
    const list = state.rows.get(study.uid);
    const trouble = seriesErrors.get(study.uid);
    seriesHead.replaceChildren();
    fill(
      seriesHead,
      h("span", { class: "sn-series-title" }, study.description || study.name || study.id || "Study"),
      h("span", { class: "sn-series-facts" }, [study.date, study.accession && `Acc. ${study.accession}`].filter(Boolean).join(" · ")),
      list && list.length > 1 ? h("button", { class: "sn-link", type: "button", onclick: () => selectAll(list) }, "Select all") : null,
    );
    if (trouble) {
      seriesList.replaceChildren(h("div", { class: "sn-empty", role: "alert" }, icon("error"), h("strong", {}, trouble.message), h("span", { class: "sn-hint" }, trouble.hint)));
      return;
    }
    if (!list) {
      seriesList.replaceChildren(...Array.from({ length: Math.min(study.series, 6) || 1 }, () => h("div", { class: "sn-card sn-card-waiting", "aria-hidden": "true" }, h("div", { class: "sn-thumb" }))));
      return;
    }
    seriesList.replaceChildren(...list.map((row, index) => seriesCard(row, index === 0)));
    for (const card of seriesList.children) watcher.observe(card);
    if (focusSeries && seriesList.firstChild && studyList.contains(document.activeElement)) focusCard(seriesList.firstChild);
    focusSeries = false;
  }

  function seriesCard(row, first) {
    const card = h("div", {
      class: "sn-card",
      role: "option",
      tabindex: first ? "0" : "-1",
      "data-uid": row.uid,
      onclick: (event) => {
        focusCard(card);
        toggle(row.uid, event);
      },
      ondblclick: () => loadable(row.uid) && startLoading([row.uid]),
    });
    fillCard(card, row);
    return card;
  }

  function fillCard(card, row) {
    const known = detail(row.uid);
    const loading = model.get("_loading") ?? {};
    const failed = loading.errors?.[row.uid];
    const plan = known.plan;
    const refused = plan && plan.volumes.length === 0;
    const chosen = state.selected.has(row.uid);
    const title = row.description || row.body || "No description";
    card.setAttribute("aria-selected", String(chosen));
    card.classList.toggle("sn-refused", Boolean(refused));
    if (refused) card.setAttribute("aria-disabled", "true");
    card.setAttribute("aria-label", [`Series ${row.number ?? ""}`, title, row.modality, count(row.images, "image"), ...planWords(plan)].filter(Boolean).join(", "));
    const picture = known.url
      ? h("img", { src: known.url, alt: "", draggable: "false" })
      : h("span", { class: known.png_error ? "sn-thumb-none" : "sn-thumb-wait", title: known.png_error?.message }, row.modality || "?");
    const facts = [];
    for (const volume of plan?.volumes.slice(0, 3) ?? []) facts.push([volume.size, volume.orientation].filter(Boolean).join(" · "));
    if (plan?.volumes.length === 1 && plan.volumes[0].spacing) facts.push(plan.volumes[0].spacing);
    if (plan && plan.volumes.length > 3) facts.push(`and ${plan.volumes.length - 3} further volumes`);
    fill(
      card,
      h("div", { class: "sn-thumb" }, picture, h("span", { class: "sn-tick", "aria-hidden": "true" }, icon("check"))),
      h(
        "div",
        { class: "sn-card-text" },
        h("div", { class: "sn-card-title", title }, title),
        h("div", { class: "sn-card-facts" }, h("span", { class: "sn-tag" }, row.modality || "?"), h("span", {}, count(row.images, "image")), row.number === null ? null : h("span", {}, `No. ${row.number}`)),
        plan && plan.volumes.length > 1 ? h("div", { class: "sn-card-plan" }, `Becomes ${plan.volumes.length} volumes:`) : null,
        ...facts.map((fact) => h("div", { class: "sn-card-plan" }, fact)),
        known.plan_error ? h("div", { class: "sn-card-error" }, icon("error"), h("span", {}, known.plan_error.message)) : null,
        ...(plan?.refused ?? []).slice(0, 2).map((each) =>
          h("div", { class: refused ? "sn-card-error" : "sn-card-warning" }, icon(refused ? "error" : "warning"), h("span", {}, `${refused ? "Cannot be loaded: " : `${count(each.files, "file")} left out: `}${each.message}`)),
        ),
        ...(plan?.warnings ?? []).slice(0, 2).map((text) => h("div", { class: "sn-card-warning" }, icon("warning"), h("span", {}, text))),
        (plan?.warnings.length ?? 0) > 2 ? h("div", { class: "sn-card-warning", title: plan.warnings.join("\n") }, h("span", {}, `and ${plan.warnings.length - 2} further warnings`)) : null,
        failed ? h("div", { class: "sn-card-error", role: "alert" }, icon("error"), h("span", {}, failed.message, failed.hint ? h("span", { class: "sn-hint" }, ` ${failed.hint}`) : null)) : null,
      ),
    );
  }

  function planWords(plan) {
    if (!plan) return [];
    if (plan.volumes.length === 0) return ["cannot be loaded", ...plan.refused.map((each) => each.message)];
    return [...plan.volumes.map((volume) => volume.size), ...plan.warnings.map((text) => `warning: ${text}`)];
  }

  function redrawCard(uid) {
    const card = seriesList.querySelector(`.sn-card[data-uid="${CSS.escape(uid)}"]`);
    const row = (state.rows.get(state.open) ?? []).find((each) => each.uid === uid);
    if (card && row) fillCard(card, row);
  }

  function mergeDetail(uid, part, bytes) {
    const merged = { ...detail(uid), ...part };
    delete merged.png;
    if (bytes && !merged.url) merged.url = pngUrl(bytes);
    state.details.set(uid, merged);
    if (merged.plan && merged.plan.volumes.length === 0 && state.selected.has(uid)) {
      state.selected.delete(uid);
      tell();
    }
    redrawCard(uid);
  }

  // -- choosing -------------------------------------------------------------------------------------------------
  let anchor = null;

  function toggle(uid, event = {}) {
    if (!loadable(uid)) return;
    const list = (state.rows.get(state.open) ?? []).map((row) => row.uid);
    if (event.shiftKey && anchor !== null && list.includes(anchor)) {
      const [from, to] = [list.indexOf(anchor), list.indexOf(uid)].sort((a, b) => a - b);
      for (const each of list.slice(from, to + 1)) if (loadable(each)) state.selected.add(each);
    } else if (state.selected.has(uid)) state.selected.delete(uid);
    else state.selected.add(uid);
    anchor = uid;
    tell();
  }

  function selectAll(list) {
    const all = list.map((row) => row.uid).filter(loadable);
    const every = all.every((uid) => state.selected.has(uid));
    for (const uid of all) {
      if (every) state.selected.delete(uid);
      else state.selected.add(uid);
    }
    tell();
  }

  function tell() {
    questions.ask({ type: "select", series: [...state.selected] });
    state.note = "chosen";
    drawSelection();
  }

  function drawSelection() {
    for (const card of seriesList.querySelectorAll(".sn-card[data-uid]")) card.setAttribute("aria-selected", String(state.selected.has(card.dataset.uid)));
    for (const option of studyList.querySelectorAll(".sn-study")) {
      const chosen = (state.rows.get(option.dataset.uid) ?? []).filter((row) => state.selected.has(row.uid)).length;
      const mark = option.querySelector(".sn-chosen");
      if (mark) mark.remove();
      if (chosen) option.append(h("span", { class: "sn-chosen", title: `${chosen} chosen` }, String(chosen)));
    }
    drawFoot();
  }

  // -- loading --------------------------------------------------------------------------------------------------
  const gone = () => (model.get("_status")?.state ?? "live") !== "live";

  function startLoading(series = [...state.selected]) {
    if (series.length === 0 || gone() || model.get("_loading")?.busy) return;
    state.note = "asked";
    questions.ask({ type: "load", series });
    drawFoot();
  }

  function drawFoot() {
    const loading = model.get("_loading") ?? {};
    const busy = Boolean(loading.busy);
    const rows = [...state.rows.values()].flat().filter((row) => state.selected.has(row.uid));
    const chosen = state.selected.size;
    track.hidden = !busy;
    cancel.hidden = !busy;
    cancel.disabled = Boolean(loading.cancelling);
    load.hidden = busy;
    load.disabled = chosen === 0 || gone();
    load.replaceChildren(chosen > 1 ? `Load ${chosen} series` : "Load");
    note.className = "sn-note";
    if (busy) {
      const known = loading.progress >= 0;
      track.classList.toggle("sn-bar-unknown", !known);
      bar.style.width = `${known ? Math.round(100 * loading.progress) : 0}%`;
      if (known) track.setAttribute("aria-valuenow", Math.round(100 * loading.progress));
      else track.removeAttribute("aria-valuenow");
      const which = loading.total > 1 ? `${loading.position + 1} of ${loading.total}: ` : "";
      note.replaceChildren(loading.cancelling ? "Stopping…" : `${which}${loading.text || "Loading…"}`);
      return;
    }
    const ended = loading.total !== undefined && state.note !== "chosen";
    if (ended) {
      const failures = Object.values(loading.errors ?? {});
      const names = loading.loaded ?? [];
      const what = names.length ? `Loaded ${names.slice(0, 2).join(", ")}${names.length > 2 ? ` and ${names.length - 2} more` : ""}` : "Nothing was loaded";
      if (failures.length) {
        note.classList.add("sn-note-error");
        note.replaceChildren(icon("error"), h("span", { role: "alert" }, `${what}. ${failures[0].message}`, failures[0].hint ? h("span", { class: "sn-hint" }, ` ${failures[0].hint}`) : null));
      } else if (loading.cancelled) {
        note.replaceChildren(`${what}: cancelled.`);
      } else {
        note.classList.add("sn-note-good");
        const warnings = loading.warnings ?? [];
        note.replaceChildren(icon("check"), h("span", {}, `${what}. `, h("span", { class: "sn-hint" }, "The volumes are in the picker's ", h("code", {}, "value"), "."), warnings.length ? h("span", { class: "sn-warn", title: warnings.join("\n") }, ` ${count(warnings.length, "warning")}: ${warnings[0]}`) : null));
      }
      return;
    }
    if (chosen === 0) note.replaceChildren(h("span", { class: "sn-hint" }, "Choose the series to load."));
    else {
      const images = rows.reduce((sum, row) => sum + row.images, 0);
      const warned = rows.filter((row) => (detail(row.uid).plan?.warnings.length ?? 0) + (detail(row.uid).plan?.refused.length ?? 0) > 0).length;
      note.replaceChildren(
        h("span", {}, `${chosen} series chosen`, rows.length === chosen ? `, ${count(images, "image")}` : ""),
        warned ? h("span", { class: "sn-warn" }, icon("warning"), `${warned} with warnings`) : "",
      );
    }
  }

  // -- keys -----------------------------------------------------------------------------------------------------
  function move(nodes, from, step) {
    const at = nodes.indexOf(from);
    return nodes[Math.max(0, Math.min(nodes.length - 1, at + step))];
  }

  function focusCard(card) {
    for (const each of seriesList.querySelectorAll(".sn-card")) each.tabIndex = each === card ? 0 : -1;
    card.focus({ preventScroll: false });
  }

  search.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "Enter") {
      const first = studyList.querySelector(".sn-study");
      if (first) {
        event.preventDefault();
        open(first.dataset.uid, true);
      }
    } else if (event.key === "Escape" && state.query) {
      event.preventDefault();
      clearSearch();
    }
  });

  studyList.addEventListener("keydown", (event) => {
    const option = event.target.closest?.(".sn-study");
    if (!option) return;
    const options = [...studyList.querySelectorAll(".sn-study")];
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -options.length, End: options.length };
    if (event.key in steps) {
      event.preventDefault();
      if (event.key === "ArrowUp" && option === options[0]) search.focus();
      else open(move(options, option, steps[event.key]).dataset.uid, true);
    } else if (event.key === "ArrowRight" || event.key === "Enter") {
      event.preventDefault();
      const card = seriesList.querySelector(".sn-card[data-uid]");
      if (card) focusCard(card);
      // The series are still on their way: they get the focus when they come.
      else focusSeries = true;
    }
  });

  seriesList.addEventListener("keydown", (event) => {
    const card = event.target.closest?.(".sn-card");
    if (!card) return;
    const cards = [...seriesList.querySelectorAll(".sn-card[data-uid]")];
    const across = Math.max(1, cards.filter((each) => each.offsetTop === cards[0].offsetTop).length);
    const steps = { ArrowDown: across, ArrowUp: -across, ArrowRight: 1, ArrowLeft: -1, Home: -cards.length, End: cards.length };
    if (event.key === "ArrowLeft" && card === cards[0]) {
      event.preventDefault();
      open(state.open, true);
    } else if (event.key in steps) {
      event.preventDefault();
      focusCard(move(cards, card, steps[event.key]));
    } else if (event.key === " ") {
      event.preventDefault();
      toggle(card.dataset.uid, event);
    } else if (event.key === "Enter") {
      event.preventDefault();
      startLoading(state.selected.size ? [...state.selected] : loadable(card.dataset.uid) ? [card.dataset.uid] : []);
    } else if (event.key.toLowerCase() === "a" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      selectAll(state.rows.get(state.open) ?? []);
    } else if (event.key === "Escape") {
      event.preventDefault();
      open(state.open, true);
    }
  });

  // -- what the kernel says -------------------------------------------------------------------------------------
  const heard = listener(model);

  function takeStudies() {
    const studies = model.get("_studies") ?? [];
    texts = new Map(studies.map((study) => [study.uid, searchText(study)]));
    if (!studies.some((study) => study.uid === state.open)) state.open = studies[0]?.uid ?? null;
    drawStudies();
    drawSeries();
    drawFoot();
  }

  function takeSeries() {
    const before = state.rows.get(state.open);
    state.rows = new Map(Object.entries(model.get("_series") ?? {}));
    for (const uid of state.rows.keys()) seriesErrors.delete(uid);
    if (JSON.stringify(before) !== JSON.stringify(state.rows.get(state.open))) drawSeries();
    drawSelection();
  }

  function takeAhead() {
    for (const [uid, part] of Object.entries(model.get("_ahead") ?? {})) mergeDetail(uid, part, part.png);
  }

  let failedBefore = [];
  function takeLoading() {
    const loading = model.get("_loading") ?? {};
    if (loading.busy) state.note = "asked";
    for (const uid of new Set([...failedBefore, ...Object.keys(loading.errors ?? {})])) redrawCard(uid);
    failedBefore = Object.keys(loading.errors ?? {});
    drawFoot();
  }

  function takeStatus() {
    line.status(model.get("_status"));
    root.classList.toggle("sn-gone", gone());
    if (!model.get("_studies")) drawStudies();
    drawFoot();
  }

  heard.on("change:_studies", takeStudies);
  heard.on("change:_problem", drawStudies);
  heard.on("change:_series", takeSeries);
  heard.on("change:_ahead", takeAhead);
  heard.on("change:_loading", takeLoading);
  heard.on("change:_status", takeStatus);
  heard.on("msg:custom", (message, buffers) => {
    if (message.type === "selected") {
      state.selected = new Set(message.series);
      drawSelection();
    } else if (message.type === "detail") mergeDetail(message.series, message.detail, buffers?.[0]);
    else if (message.type === "series-error") {
      seriesErrors.set(message.study, message);
      if (message.study === state.open) drawSeries();
    }
  });

  state.rows = new Map(Object.entries(model.get("_series") ?? {}));
  takeAhead();
  takeStudies();
  takeStatus();
  questions.ask({ type: "hello" });

  return () => {
    heard.close();
    questions.close();
    watcher.disconnect();
    more.disconnect();
    clearTimeout(askTimer);
    for (const each of state.details.values()) if (each.url) URL.revokeObjectURL(each.url);
  };
}

export default { render };
