// Series as cards: a picture, what it is, what will be loaded and what will not. Used by the picker and by SeriesThumbnails.

/** Details of so many series are kept; older ones that are not shown are asked for again. */
const KEPT_DETAILS = 1500;
/** Cards that are made at once; those of longer studies follow a few at a time, while the first are looked at. */
const AT_ONCE = 24;
/** Milliseconds until the cards that came into view are asked for: what flies by is not. */
const LOOK = 60;

/** What a plan says, for a screen reader. */
function planWords(plan) {
  if (!plan) return [];
  if (plan.volumes.length === 0) return ["cannot be loaded", ...plan.refused.map((each) => each.message)];
  return [...plan.volumes.slice(0, 3).map((volume) => volume.size), ...plan.warnings.map((text) => `warning: ${text}`)];
}

/** Which card lies above or below another one, in a grid of equal cards. */
function step(nodes, from, by) {
  return nodes[Math.max(0, Math.min(nodes.length - 1, nodes.indexOf(from) + by))];
}

/**
 * @param ask ask([uid, ...]): details of these are wanted, in this order
 * @param selected a Set of UIDs, changed here
 * @param changed called when `selected` has changed
 * @param open called with the UIDs to load and show: a double click, Enter; without it cards are only looked at
 * @param leave called when the keyboard goes back to where it came from
 * @param mark mark(uid): {loaded, state, error} of a card
 */
function seriesCards({ ask, selected = new Set(), changed = null, open = null, leave = null, mark = () => ({}) }) {
  const selectable = changed !== null;
  const node = h("div", {
    class: "sn-series",
    role: selectable ? "listbox" : "list",
    "aria-label": "Series",
    "aria-multiselectable": selectable ? "true" : null,
  });
  let rows = [];
  const details = new Map();
  const cards = new Map();
  const inView = new Set();
  let timer = null;
  let looked = -Infinity;
  let anchor = null;
  let making = 0;

  const detail = (uid) => details.get(uid) ?? {};
  const complete = (uid) => Boolean(!detail(uid).stale && (detail(uid).plan || detail(uid).plan_error) && (detail(uid).url || detail(uid).png_error));
  const loadable = (uid) => !detail(uid).plan || detail(uid).plan.volumes.length > 0;

  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) inView.add(entry.target.dataset.uid);
        else inView.delete(entry.target.dataset.uid);
      }
      // The first at once; while one scrolls, what flies by is not asked for.
      if (timer === null) timer = setTimeout(askForThoseInView, performance.now() - looked < 5 * LOOK ? LOOK : 0);
      looked = performance.now();
    },
    { rootMargin: "160px" },
  );

  function askForThoseInView() {
    clearTimeout(timer);
    timer = null;
    const missing = rows.map((row) => row.uid).filter((uid) => inView.has(uid) && !complete(uid));
    if (missing.length) ask(missing);
  }

  function makeCard(row, first) {
    const uid = row.uid;
    const card = h("div", {
      class: "sn-card",
      role: selectable ? "option" : "listitem",
      tabindex: first ? "0" : "-1",
      "data-uid": uid,
      onclick: (event) => {
        focus(card);
        if (selectable) toggle(uid, event);
      },
      ondblclick: () => {
        if (open && loadable(uid)) open([uid]);
      },
    });
    fillCard(card, row);
    return card;
  }

  function picture(row, known) {
    if (known.url) return h("img", { src: known.url, alt: "", draggable: "false", decoding: "async" });
    if (known.png_error) return h("span", { class: "sn-thumb-none", title: known.png_error.message }, row.modality || "?");
    return h("span", { class: "sn-thumb-wait" }, row.modality || "?");
  }

  function planFacts(plan) {
    const facts = [];
    for (const volume of plan?.volumes.slice(0, 3) ?? []) facts.push([volume.size, volume.orientation].filter(Boolean).join(" · "));
    if (plan?.volumes.length === 1 && plan.volumes[0].spacing) facts.push(plan.volumes[0].spacing);
    if (plan && plan.volumes.length > 3) facts.push(`and ${count(plan.volumes.length - 3, "further volume")}`);
    return facts;
  }

  function fillCard(card, row) {
    const known = detail(row.uid);
    const plan = known.plan;
    const refused = plan && plan.volumes.length === 0;
    const title = row.description || row.body || "No description";
    const { loaded, state, error } = mark(row.uid);
    if (selectable) card.setAttribute("aria-selected", String(selected.has(row.uid)));
    card.classList.toggle("sn-refused", Boolean(refused));
    if (refused && selectable) card.setAttribute("aria-disabled", "true");
    const words = [`Series ${row.number ?? ""}`.trim(), title, row.modality, count(row.images, "image"), ...planWords(plan)];
    if (loaded) words.push("in the scene");
    if (error) words.push(`failed: ${error.message}`);
    card.setAttribute("aria-label", words.filter(Boolean).join(", "));
    const notes = [];
    if (error) notes.push(["error", "sn-card-error", `${error.message}${error.hint ? ` ${error.hint}` : ""}`]);
    else if (known.plan_error) notes.push(["error", "sn-card-error", known.plan_error.message]);
    else if (refused) notes.push(["error", "sn-card-error", `Cannot be loaded. ${plan.refused[0]?.message ?? ""}`]);
    else if (plan) {
      const warnings = [...plan.warnings, ...plan.refused.map((each) => `${count(each.files, "file")} left out: ${each.message}`)];
      if (warnings.length) {
        const more = warnings.length > 1 ? ` (and ${count(warnings.length - 1, "further warning")})` : "";
        notes.push(["warning", "sn-card-warning", `${warnings[0]}${more}`, warnings.join("\n")]);
      }
    }
    const badge = { waiting: "Waiting", loading: "Loading" }[state] ?? (loaded ? "In the scene" : null);
    fill(
      card,
      h("div", { class: "sn-thumb" }, picture(row, known), h("span", { class: "sn-tick", "aria-hidden": "true" }, icon("check"))),
      h(
        "div",
        { class: "sn-card-text" },
        h("div", { class: "sn-card-title", title }, row.number !== null && row.number !== undefined ? h("span", { class: "sn-card-number" }, String(row.number)) : null, title),
        h(
          "div",
          { class: "sn-card-facts" },
          row.modality ? h("span", { class: "sn-tag" }, row.modality) : null,
          h("span", {}, count(row.images, "image")),
          row.description && row.body ? h("span", {}, row.body) : null,
          badge ? h("span", { class: `sn-badge sn-badge-${state === "waiting" || state === "loading" ? state : "loaded"}` }, badge) : null,
        ),
        ...planFacts(plan).map((text) => h("div", { class: "sn-card-plan" }, text)),
        ...notes.map(([name, kind, text, title]) => h("div", { class: kind, title: title ?? text }, icon(name), h("span", {}, text))),
      ),
    );
  }

  // -- choosing -------------------------------------------------------------------------------------------------
  function toggle(uid, event = {}) {
    if (!loadable(uid)) return;
    const list = rows.map((row) => row.uid);
    if (event.shiftKey && anchor !== null && list.includes(anchor)) {
      const [from, to] = [list.indexOf(anchor), list.indexOf(uid)].sort((a, b) => a - b);
      for (const each of list.slice(from, to + 1)) if (loadable(each)) selected.add(each);
    } else if (selected.has(uid)) selected.delete(uid);
    else selected.add(uid);
    anchor = uid;
    drawSelection();
    changed();
  }

  function selectAll() {
    const all = rows.map((row) => row.uid).filter(loadable);
    const every = all.length > 0 && all.every((uid) => selected.has(uid));
    for (const uid of all) {
      if (every) selected.delete(uid);
      else selected.add(uid);
    }
    drawSelection();
    changed();
  }

  function drawSelection() {
    if (selectable) for (const [uid, card] of cards) card.setAttribute("aria-selected", String(selected.has(uid)));
  }

  // -- keys -----------------------------------------------------------------------------------------------------
  function focus(card) {
    for (const each of cards.values()) each.tabIndex = each === card ? 0 : -1;
    card.focus();
  }

  node.addEventListener("keydown", (event) => {
    const card = event.target.closest?.(".sn-card");
    if (!card) return;
    if (cards.size < rows.length) {
      clearTimeout(making);
      makeMore(rows.length);
    }
    const all = [...cards.values()];
    const across = Math.max(1, all.filter((each) => each.offsetTop === all[0].offsetTop).length);
    const steps = { ArrowDown: across, ArrowUp: -across, ArrowRight: 1, ArrowLeft: -1, Home: -all.length, End: all.length, PageDown: 3 * across, PageUp: -3 * across };
    const key = event.key;
    if (leave && (key === "Escape" || (key === "ArrowLeft" && card === all[0]))) leave();
    else if (key in steps) focus(step(all, card, steps[key]));
    else if (key === " " && selectable) toggle(card.dataset.uid, event);
    else if (key === "Enter" && open) open(selected.size ? [...selected] : loadable(card.dataset.uid) ? [card.dataset.uid] : []);
    else if (key.toLowerCase() === "a" && (event.ctrlKey || event.metaKey) && selectable) selectAll();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  /** Cards of the next rows; the rest later. */
  function makeMore(number) {
    const next = rows.slice(cards.size, cards.size + number);
    const made = next.map((row) => {
      const card = makeCard(row, cards.size === 0);
      cards.set(row.uid, card);
      return card;
    });
    node.append(...made);
    for (const card of made) watcher.observe(card);
    if (cards.size < rows.length) making = setTimeout(() => makeMore(AT_ONCE), 0);
  }

  function forgetOld() {
    for (const [uid, known] of details) {
      if (details.size <= KEPT_DETAILS) return;
      if (cards.has(uid)) continue;
      if (known.url) URL.revokeObjectURL(known.url);
      details.delete(uid);
    }
  }

  function redraw(uid) {
    const card = cards.get(uid);
    const row = rows.find((each) => each.uid === uid);
    if (card && row) fillCard(card, row);
  }

  return {
    node,
    loadable,
    complete,
    toggle,
    selectAll,
    drawSelection,
    redraw,
    plan: (uid) => detail(uid).plan,
    get rows() {
      return rows;
    },

    /** Other series; those that are the same stay as they are. */
    show(newRows, { focusFirst = false } = {}) {
      watcher.disconnect();
      inView.clear();
      rows = newRows;
      cards.clear();
      clearTimeout(making);
      node.replaceChildren();
      makeMore(AT_ONCE);
      node.scrollTop = 0;
      anchor = null;
      forgetOld();
      if (focusFirst && cards.size) focus(node.firstChild);
    },

    /** Something in place of cards. */
    say(...children) {
      clearTimeout(making);
      watcher.disconnect();
      inView.clear();
      rows = [];
      cards.clear();
      node.replaceChildren(...children);
    },

    /** Go to the first card, if there is one. */
    enter() {
      const first = [...cards.values()].find((card) => card.tabIndex === 0) ?? cards.values().next().value;
      if (first) focus(first);
      return Boolean(first);
    },

    /** A plan, an error, a picture (bytes) of a series. */
    take(uid, part, bytes) {
      const former = detail(uid);
      const merged = { ...part, url: former.url };
      if (bytes && (former.stale || !former.url)) {
        if (former.url) URL.revokeObjectURL(former.url);
        merged.url = pngUrl(bytes);
      }
      details.delete(uid);
      details.set(uid, merged);
      if (merged.plan && merged.plan.volumes.length === 0 && selected.has(uid)) {
        selected.delete(uid);
        changed?.();
      }
      redraw(uid);
    },

    /** The index has changed: what is known of series may be out of date. It is shown until the new is there. */
    forget() {
      for (const known of details.values()) known.stale = true;
      askForThoseInView();
    },

    close() {
      watcher.disconnect();
      clearTimeout(timer);
      clearTimeout(making);
      for (const known of details.values()) if (known.url) URL.revokeObjectURL(known.url);
    },
  };
}
