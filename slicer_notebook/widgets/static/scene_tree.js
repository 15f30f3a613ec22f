// The subject hierarchy as a tree.

/** CSS pixels. */
const ROW_HEIGHT = 28;
/** Rows that the tree has room for at least: something can be dropped below the last one. */
const LEAST_ROWS = 4;
/** Milliseconds: above a closed row while dragging, until it opens; until a letter begins another word. */
const OPEN_AFTER = 700;
const WORD_PAUSE = 800;
const DRAGGED = "application/x-slicer-notebook-items";

function render({ model, el }) {
  const root = rootElement(el, "sn-st", "Scene", model);
  const line = banner();
  const questions = asker(model, line.waiting);
  const view = freshId("view");
  const tree = sceneItems();
  const input = h("input", { class: "sn-sp-filter sn-st-filter", type: "search", "aria-label": "Search by name", placeholder: "Search…", spellcheck: "false", autocomplete: "off" });
  const tally = h("span", { class: "sn-hint sn-st-tally", role: "status" });
  const tool = (sign, text, act) => h("button", { class: "sn-icon-button", type: "button", title: text, "aria-label": text, onclick: act }, icon(sign));
  const newFolder = tool("add", "New folder", () => questions.ask({ type: "folder", parent: folderParent(), view }));
  const renameTool = tool("rename", "Rename (F2)", () => rename(active));
  const removeTool = tool("trash", "Remove (Delete)", () => askRemove());
  const body = h("div", { class: "sn-st-body", role: "presentation" });
  const list = h("div", { class: "sn-st-list", role: "tree", tabindex: "0", "aria-label": "Items of the scene", "aria-multiselectable": "true" }, body);
  const empty = h("div", { class: "sn-empty sn-st-empty", hidden: true });
  const asking = h("div", { class: "sn-st-asking", role: "group", "aria-label": "Remove", hidden: true });
  const trouble = h("div", { class: "sn-sp-trouble", role: "alert", hidden: true });
  root.append(h("div", { class: "sn-st-head" }, input, tally, newFolder, renameTool, removeTool), list, empty, asking, trouble, line.node);

  let rows = [];
  let words = [];
  let selected = new Set();
  let active = 0;
  /** Where a range begins. */
  let anchor = 0;
  let cut = [];
  let editing = null;
  let said = 0;
  let planned = 0;
  let dragged = null;
  /** While something is dragged, its row stays the element that it is: a drag ends with it. */
  let undrawn = false;
  let hovering = null;
  let typed = "";
  let typedAt = 0;
  let toRename = 0;
  let toReveal = 0;

  const gone = () => (model.get("_status")?.state ?? "live") !== "live";
  const indexOf = (id) => rows.findIndex((row) => row.item.id === id);
  const rowId = (id) => `${view}-${id}`;

  const lines = virtualList({ scroller: list, body, rowHeight: ROW_HEIGHT, draw: (index) => drawRow(rows[index]), drawn: named });

  function named() {
    // Only a row that is in the page can be named.
    if (root.querySelector(`#${rowId(active)}`)) list.setAttribute("aria-activedescendant", rowId(active));
    else list.removeAttribute("aria-activedescendant");
  }

  // -- rows

  function drawRow({ item, level, position, size, branch, open, dim, hit }) {
    const hidden = item.eye === false;
    const classes = ["sn-st-row"];
    if (selected.has(item.id)) classes.push("sn-st-selected");
    if (item.id === active) classes.push("sn-st-active");
    if (hidden || dim) classes.push("sn-st-dim");
    if (cut.includes(item.id)) classes.push("sn-st-cut");
    if (hit) classes.push("sn-st-hit");
    const sign = h("span", { class: `sn-st-sign${item.color ? " sn-st-colored" : ""}` }, icon(ICONS[item.kind] ? item.kind : "other"));
    if (/^#[0-9a-f]{6}$/.test(item.color)) sign.style.setProperty("--sn-st-color", item.color);
    const eye = item.eye === null ? null : h("button", {
      class: "sn-st-eye", type: "button", tabindex: "-1", "aria-pressed": String(!hidden), "aria-label": `${hidden ? "Show" : "Hide"} ${item.name}`, title: hidden ? "Show" : "Hide",
    }, icon(hidden ? "hidden" : "eye"));
    return h("div", {
      class: classes.join(" "), role: "treeitem", id: rowId(item.id), "data-item": item.id, "data-kind": item.kind, draggable: "true",
      "aria-level": level, "aria-posinset": position, "aria-setsize": size, "aria-expanded": branch ? String(open) : null,
      "aria-selected": String(selected.has(item.id)), "aria-label": `${item.name}, ${item.kind}${hidden ? ", hidden" : ""}`, style: `--sn-st-level:${level - 1}`,
    }, h("span", { class: "sn-st-toggle" }, branch ? icon("chevron") : null), sign, editing?.id === item.id ? editor(item) : h("span", { class: "sn-st-name", title: item.name }, item.name), eye);
  }

  function draw() {
    cancelAnimationFrame(planned);
    planned = 0;
    undrawn = dragged !== null;
    if (undrawn) return;
    rows = tree.rows(words);
    if (indexOf(active) < 0) active = rows[0]?.item.id ?? 0;
    const height = Math.max(LEAST_ROWS, rows.length) * ROW_HEIGHT;
    list.style.height = `${Math.min(model.get("_height"), height)}px`;
    const writes = editing !== null && list.contains(document.activeElement) && document.activeElement !== list;
    lines.show(rows.length);
    if (writes) focusEditor();
    list.hidden = tree.items.size === 0 || (words.length > 0 && rows.length === 0);
    empty.hidden = !list.hidden;
    if (!empty.hidden) fill(empty, words.length ? h("strong", {}, `Nothing is called “${input.value.trim()}”`) : h("strong", {}, "The scene is empty"));
    const hits = rows.filter((row) => row.hit).length;
    tally.textContent = words.length ? `${hits.toLocaleString("en")} of ${count(tree.items.size, "item")}` : count(tree.items.size, "item");
    tools();
  }

  function tools() {
    newFolder.disabled = gone();
    renameTool.disabled = gone() || !tree.get(active);
    removeTool.disabled = gone() || chosen().length === 0;
  }

  function later() {
    if (!planned) planned = requestAnimationFrame(draw);
  }

  /** Draw the signs of what is selected anew, without other rows. */
  function mark() {
    lines.each((index, node) => {
      const id = rows[index].item.id;
      node.classList.toggle("sn-st-selected", selected.has(id));
      node.classList.toggle("sn-st-active", id === active);
      node.classList.toggle("sn-st-cut", cut.includes(id));
      node.setAttribute("aria-selected", String(selected.has(id)));
    });
    named();
    tools();
  }

  // -- what is selected

  /** What is done is done to these: what is selected, in the order of the rows. */
  function chosen() {
    const ids = rows.map((row) => row.item.id).filter((id) => selected.has(id));
    // Also what is folded away or not found.
    return [...ids, ...[...selected].filter((id) => tree.get(id) && !ids.includes(id))];
  }

  function select(ids) {
    selected = new Set(ids);
    said++;
    mark();
    questions.ask({ type: "select", ids: [...selected], view, number: said });
  }

  function reveal(id) {
    const index = indexOf(id);
    if (index >= 0) lines.reveal(index);
  }

  /** Go to a row, and select it: alone, with all between (range), or not at all (only). */
  function go(id, { range = false, only = false } = {}) {
    if (!tree.get(id)) return;
    active = id;
    reveal(id);
    if (only) mark();
    else if (range && indexOf(anchor) >= 0) {
      const [from, to] = [indexOf(anchor), indexOf(id)].sort((a, b) => a - b);
      select(rows.slice(from, to + 1).map((row) => row.item.id));
    } else {
      anchor = id;
      select([id]);
    }
  }

  function toggleFold(id, open) {
    tree.fold(id, open);
    draw();
  }

  /** Open all that an item is in. */
  function unfoldTo(id) {
    for (const each of tree.above(id)) tree.fold(each.id, true);
  }

  // -- what is done

  function setEyes(ids, visible) {
    const known = ids.filter((id) => tree.get(id)?.eye !== null && tree.get(id)?.eye !== undefined);
    if (!known.length) return;
    // A volume's eye says what the slice views show: that is for Slicer to say of all of them.
    for (const id of known) tree.get(id).eye = visible;
    draw();
    questions.ask({ type: "visible", ids: known, visible });
  }

  function toggleEye(id) {
    const visible = tree.get(id).eye === false;
    setEyes(selected.has(id) && selected.size > 1 ? chosen() : [id], visible);
  }

  function show(ids) {
    const known = ids.filter((id) => tree.get(id)?.eye !== null);
    if (known.length) questions.ask({ type: "show", ids: known });
  }

  function rename(id) {
    const item = tree.get(id);
    if (!item || gone()) return;
    editing = { id, text: item.name, from: 0, to: item.name.length };
    reveal(id);
    draw();
    focusEditor();
  }

  function editor(item) {
    const field = h("input", { class: "sn-st-editor", type: "text", "aria-label": `Name of ${item.name}`, spellcheck: "false" });
    field.value = editing.text;
    field.addEventListener("input", () => {
      if (editing) Object.assign(editing, { text: field.value, from: field.selectionStart, to: field.selectionEnd });
    });
    field.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter") endRename(true);
      else if (event.key === "Escape") endRename(false);
      else return;
      event.preventDefault();
    });
    field.addEventListener("blur", () => {
      // A row that is drawn anew loses it, too, and gets it back.
      if (field.isConnected) endRename(true, false);
    });
    return field;
  }

  function focusEditor() {
    const field = list.querySelector(".sn-st-editor");
    if (!field) return;
    field.focus({ preventScroll: true });
    field.setSelectionRange(editing.from, editing.to);
  }

  function endRename(keep, back = true) {
    if (!editing) return;
    const { id, text } = editing;
    const item = tree.get(id);
    editing = null;
    if (keep && item && text.trim() && text.trim() !== item.name) {
      [item.name, item.plain] = [text.trim(), plainText(text.trim())];
      questions.ask({ type: "rename", id, name: text.trim() });
    }
    draw();
    if (back) list.focus({ preventScroll: true });
  }

  function askRemove() {
    const ids = tree.outermost(chosen());
    if (!ids.length || gone()) return;
    const inside = ids.reduce((sum, id) => sum + tree.below(id), 0);
    const what = ids.length === 1 ? `“${tree.get(ids[0]).name}”` : count(ids.length, "item");
    const end = () => {
      asking.hidden = true;
      list.focus({ preventScroll: true });
    };
    const no = h("button", { class: "sn-button", type: "button", onclick: end }, "Cancel");
    fill(asking, h("span", { class: "sn-st-question" }, `Remove ${what}${inside ? ` and ${count(inside, "item")} in it` : ""} from the scene?`),
      h("button", { class: "sn-button sn-button-main", type: "button", onclick: () => (questions.ask({ type: "remove", ids }), end()) }, "Remove"), no);
    asking.hidden = false;
    no.focus();
  }
  asking.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    asking.hidden = true;
    list.focus({ preventScroll: true });
    event.preventDefault();
    event.stopPropagation();
  });

  function move(ids, parent, before = null) {
    const moved = tree.outermost(ids);
    if (!moved.length || !tree.mayGo(moved, parent)) return false;
    if (parent !== tree.root) tree.fold(parent, true);
    toReveal = moved[0];
    questions.ask({ type: "move", ids: moved, parent, before });
    return true;
  }

  /** Where a new folder goes: into the folder, patient or study that is chosen, or beside what is. */
  function folderParent() {
    const item = tree.get(active);
    if (!item || !selected.has(active)) return tree.root;
    if (["folder", "patient", "study"].includes(item.kind)) return item.id;
    return item.kind === SEGMENT ? tree.get(item.parent).parent : item.parent;
  }

  function paste() {
    const item = tree.get(active);
    const beside = !item || ["segmentation", SEGMENT].includes(item.kind) || cut.includes(item.id);
    const parent = beside ? (item ? (item.kind === SEGMENT ? tree.get(item.parent).parent : item.parent) : tree.root) : item.id;
    if (move(cut, parent)) cut = [];
    mark();
  }

  /** Move what is selected by a step: up, down, in, out. */
  function step(key) {
    const ids = tree.outermost(chosen());
    if (!ids.length) return;
    const [first, last] = [ids[0], ids.at(-1)];
    const parent = tree.get(first).parent;
    if (ids.some((id) => tree.get(id).parent !== parent)) return;
    const previous = tree.previous(first);
    if (key === "ArrowUp" && previous) move(ids, parent, previous.id);
    else if (key === "ArrowDown" && tree.next(last)) move(ids, parent, tree.next(tree.next(last).id)?.id ?? null);
    else if (key === "ArrowRight" && previous) move(ids, previous.id);
    else if (key === "ArrowLeft" && parent !== tree.root) move(ids, tree.get(parent).parent, tree.next(parent)?.id ?? null);
  }

  // -- mouse

  const itemAt = (event) => Number(event.target.closest?.(".sn-st-row")?.dataset.item ?? 0);

  list.addEventListener("mousedown", (event) => {
    // The focus stays with the tree; a row's eye has none.
    if (event.target.closest(".sn-st-eye, .sn-st-toggle")) {
      event.preventDefault();
      list.focus({ preventScroll: true });
    }
  });
  list.addEventListener("click", (event) => {
    const id = itemAt(event);
    if (!id) {
      if (event.target === list || event.target === body) select([]);
      return;
    }
    if (event.target.closest(".sn-st-editor")) return;
    if (event.target.closest(".sn-st-eye")) toggleEye(id);
    else if (event.target.closest(".sn-st-toggle")) {
      const row = rows[indexOf(id)];
      if (row.branch) toggleFold(id, !row.open);
    } else if (event.shiftKey) go(id, { range: true });
    else if (event.ctrlKey || event.metaKey) {
      const more = new Set(selected);
      if (!more.delete(id)) more.add(id);
      active = anchor = id;
      select(more);
    } else go(id);
  });
  list.addEventListener("dblclick", (event) => {
    if (event.target.closest(".sn-st-eye, .sn-st-toggle, .sn-st-editor")) return;
    const id = itemAt(event);
    if (id) show([id]);
  });

  // -- dragging

  /** Where what is dragged would go: {parent, before, id, place}; null where it may not. */
  function target(event) {
    const node = event.target.closest?.(".sn-st-row");
    if (!node) return tree.mayGo(dragged, tree.root) ? { parent: tree.root, before: null, id: 0, place: "into" } : null;
    const item = tree.get(Number(node.dataset.item));
    if (!item) return null;
    const box = node.getBoundingClientRect();
    const at = (event.clientY - box.top) / box.height;
    const places = at < 0.28 ? ["before", "into", "after"] : at > 0.72 ? ["after", "into", "before"] : ["into", at < 0.5 ? "before" : "after"];
    for (const place of places) {
      const parent = place === "into" ? item.id : item.parent;
      const before = place === "before" ? item.id : place === "after" ? (tree.next(item.id)?.id ?? null) : null;
      if (tree.mayGo(dragged, parent)) return { parent, before, id: item.id, place };
    }
    return null;
  }

  function unmark() {
    for (const node of list.querySelectorAll(".sn-st-into, .sn-st-before, .sn-st-after")) node.classList.remove("sn-st-into", "sn-st-before", "sn-st-after");
  }

  function endHover() {
    clearTimeout(hovering?.timer);
    hovering = null;
  }

  list.addEventListener("dragstart", (event) => {
    const id = itemAt(event);
    if (!id || gone() || editing) return event.preventDefault();
    if (!selected.has(id)) go(id);
    dragged = tree.outermost(chosen());
    document.addEventListener("pointermove", endDrag, { capture: true });
    event.dataTransfer.setData(DRAGGED, JSON.stringify(dragged));
    event.dataTransfer.effectAllowed = "move";
  });
  list.addEventListener("dragover", (event) => {
    if (!dragged) return;
    event.stopPropagation();
    const to = target(event);
    unmark();
    const over = to?.place === "into" ? to.id : 0;
    if (hovering?.id !== over) {
      endHover();
      if (over && rows[indexOf(over)]?.branch && !rows[indexOf(over)].open) hovering = { id: over, timer: setTimeout(() => openWhileDragging(over), OPEN_AFTER) };
    }
    if (!to) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "move";
    root.querySelector(`#${rowId(to.id)}`)?.classList.add(`sn-st-${to.place}`);
  });
  list.addEventListener("dragleave", unmark);
  list.addEventListener("drop", (event) => {
    if (!dragged) return;
    event.preventDefault();
    event.stopPropagation();
    const to = target(event);
    const ids = dragged;
    endDrag();
    if (to) move(ids, to.parent, to.before);
  });
  list.addEventListener("dragend", endDrag);

  /** No pointer moves while something is dragged: the first one that does ends it, too, if its row is not there to say so. */
  function endDrag() {
    document.removeEventListener("pointermove", endDrag, { capture: true });
    if (dragged === null) return;
    dragged = null;
    endHover();
    unmark();
    if (undrawn) settled();
  }

  function openWhileDragging(id) {
    const ids = dragged;
    dragged = null;
    toggleFold(id, true);
    dragged = ids;
  }

  // -- keys

  function keyDown(event) {
    if (event.target !== list) return;
    const index = indexOf(active);
    const row = rows[index];
    const control = event.ctrlKey || event.metaKey;
    const how = { range: event.shiftKey, only: control && !event.shiftKey };
    const to = (at) => rows.length && go(rows[Math.max(0, Math.min(rows.length - 1, at))].item.id, how);
    const page = lines.pageLength();
    const moves = { ArrowDown: index + 1, ArrowUp: index - 1, PageDown: index + page, PageUp: index - page, Home: 0, End: rows.length - 1 };
    if (event.altKey) {
      if (!event.key.startsWith("Arrow")) return;
      step(event.key);
    } else if (event.key in moves) to(moves[event.key]);
    else if (control && event.key === "a") select(rows.map((each) => each.item.id));
    else if (control && event.key === "x") {
      cut = tree.outermost(chosen());
      mark();
    } else if (control && event.key === "v") paste();
    else if (control && event.key === " " && row) {
      const more = new Set(selected);
      if (!more.delete(active)) more.add(active);
      anchor = active;
      select(more);
    } else if (control) return;
    else if (event.key === "ArrowRight" && row) row.branch && !row.open ? toggleFold(active, true) : row.branch && to(index + 1);
    else if (event.key === "ArrowLeft" && row) row.open && !words.length ? toggleFold(active, false) : tree.get(row.item.parent) && go(row.item.parent, how);
    else if (event.key === " " && row) {
      if (row.item.eye !== null) toggleEye(active);
    } else if (event.key === "Enter") show(selected.size ? chosen() : [active]);
    else if (event.key === "F2") rename(active);
    else if (event.key === "Delete" || event.key === "Backspace") askRemove();
    else if (event.key === "Escape" && cut.length) {
      cut = [];
      mark();
    } else if (event.key.length === 1) letter(event.key, index);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
  list.addEventListener("keydown", keyDown);

  /** The next row whose name begins with what was typed. */
  function letter(key, index) {
    const now = performance.now();
    typed = now - typedAt < WORD_PAUSE ? typed + plainText(key) : plainText(key);
    typedAt = now;
    const from = typed.length > 1 ? index : index + 1;
    const next = [...rows.keys()].map((at) => (at + from) % rows.length).find((at) => rows[at].item.plain.startsWith(typed));
    if (next !== undefined) go(rows[next].item.id);
  }

  input.addEventListener("input", () => {
    words = searchWords(input.value);
    list.scrollTop = 0;
    draw();
    mark();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || (event.key === "Enter" && words.length)) {
      list.focus();
      const first = rows.find((row) => row.hit) ?? rows[0];
      if (first) go(first.item.id);
    } else if (event.key === "Escape" && input.value) {
      input.value = "";
      words = [];
      draw();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });

  // -- what Slicer says

  function takeSelected({ ids, view: who, number }) {
    // What was chosen here meanwhile is newer.
    if (who === view && number < said) return;
    const same = ids.length === selected.size && ids.every((id) => selected.has(id));
    if (same) return;
    selected = new Set(ids);
    if (who !== view && ids.length) {
      ids.forEach(unfoldTo);
      active = anchor = toReveal = ids[0];
      later();
    } else mark();
  }

  function takeStatus() {
    line.status(model.get("_status"));
    root.classList.toggle("sn-gone", gone());
    if (gone()) {
      editing = null;
      asking.hidden = true;
    }
    later();
  }

  const heard = listener(model);
  heard.on("change:_status", takeStatus);
  heard.on("change:_height", later);
  heard.on("msg:custom", (message) => {
    if (message.type === "all" || message.type === "news") {
      tree.take(message);
      selected = new Set([...selected].filter((id) => tree.get(id)));
      cut = cut.filter((id) => tree.get(id));
      if (editing && !tree.get(editing.id)) editing = null;
      if (toReveal && message.items.some(([id]) => id === toReveal)) unfoldTo(toReveal);
    } else if (message.type === "selected") return takeSelected(message);
    else if (message.type === "made") {
      if (message.view === view) toRename = message.id;
    } else if (message.type === "trouble") {
      fill(trouble, icon("error"), h("span", {}, message.message, " ", h("span", { class: "sn-hint" }, message.hint)),
        h("button", { class: "sn-icon-button", type: "button", "aria-label": "Close this message", onclick: () => (trouble.hidden = true) }, icon("close")));
      trouble.hidden = false;
    } else return;
    cancelAnimationFrame(planned);
    planned = requestAnimationFrame(settled);
  });

  function settled() {
    draw();
    if (undrawn) return;
    if (toReveal && tree.get(toReveal)) {
      reveal(toReveal);
      toReveal = 0;
    }
    if (toRename && tree.get(toRename)) {
      const id = toRename;
      toRename = 0;
      unfoldTo(id);
      draw();
      go(id);
      rename(id);
    }
  }

  takeStatus();
  questions.ask({ type: "hello" });
  return () => {
    cancelAnimationFrame(planned);
    endDrag();
    lines.close();
    heard.close();
    questions.close();
  };
}

export default { render };
