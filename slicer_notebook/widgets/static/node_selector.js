// A menu of nodes.

/** From so many nodes on there is a field to search in. */
const SEARCH_FROM = 9;
/** CSS pixels. */
const OPTION_HEIGHT = 30;
/** Milliseconds after which a letter begins another word. */
const WORD_PAUSE = 800;

function render({ model, el }) {
  const options = model.get("_options");
  const root = rootElement(el, "sn-ns", options.label || "Nodes", model);
  const line = banner();
  const questions = asker(model, line.waiting);
  const listId = freshId("list");
  const sign = h("span", { class: "sn-ns-option-sign" });
  const shown = h("span", { class: "sn-sp-chooser-name" });
  const button = h("button", { class: "sn-sp-chooser", type: "button", "aria-haspopup": "listbox", "aria-controls": listId }, sign, shown,
    h("svg", { viewBox: "0 0 24 24", class: "sn-icon sn-sp-chooser-mark", "aria-hidden": "true" }, h("path", { d: ICONS.chevron })));
  const input = h("input", { class: "sn-sp-filter", type: "search", role: "combobox", "aria-expanded": "true", "aria-controls": listId, "aria-autocomplete": "list", "aria-label": "Search by name", placeholder: "Search…", spellcheck: "false", autocomplete: "off" });
  const body = h("div", { class: "sn-ns-options-body", role: "presentation" });
  const list = h("div", { class: "sn-ns-options", id: listId, role: "listbox", tabindex: "0", "aria-label": options.label || "Nodes" }, body);
  const none = h("div", { class: "sn-ns-options-none sn-hint", hidden: true });
  const doings = h("div", { class: "sn-ns-doings" });
  const head = h("div", { class: "sn-ns-options-head" }, input);
  const panel = h("div", { class: "sn-ns-options-panel" }, head, list, none, doings);
  const trouble = h("div", { class: "sn-sp-trouble", role: "alert", hidden: true });
  const label = options.label ? h("span", { class: "sn-sp-field-label" }, options.label) : null;
  root.append(h("div", { class: "sn-sp-field" }, label, button), trouble, line.node, panel);

  const nodes = new Map();
  let value = "";
  let found = [];
  let active = 0;
  let typed = "";
  let typedAt = 0;
  let planned = 0;

  const gone = () => (model.get("_status")?.state ?? "live") !== "live";
  const picture = (each) => (each ? icon(each.kind) : null);

  const rows = virtualList({ scroller: list, body, rowHeight: OPTION_HEIGHT, draw: option });
  const over = panelOf(button, panel, {
    opened() {
      input.value = "";
      trouble.hidden = true;
      drawDoings();
      search();
      active = Math.max(0, found.findIndex((each) => each.id === value));
      // The panel has its size only now.
      rows.show(found.length);
      go(active);
      (head.hidden ? list : input).focus();
    },
    closed() {
      if (panel.contains(document.activeElement)) button.focus();
    },
  });

  function option(index) {
    const each = found[index];
    return h("div", {
      class: `sn-ns-option${index === active ? " sn-ns-active" : ""}`, role: "option", id: `${listId}-${index}`,
      "aria-selected": String(each.id === value), "aria-setsize": found.length, "aria-posinset": index + 1, title: each.name,
      onclick: () => choose(each.id),
    }, h("span", { class: "sn-ns-option-sign" }, each.id ? picture(each) : null), h("span", { class: "sn-ns-option-name" }, each.name), each.id === value ? icon("check") : null);
  }

  function search() {
    const words = searchWords(input.value);
    const all = [...nodes.values()];
    found = words.length ? all.filter((each) => words.every((word) => each.plain.includes(word))) : all;
    if (options.none && !words.length) found = [{ id: "", name: "None", plain: "none" }, ...found];
    head.hidden = nodes.size < SEARCH_FROM;
    list.hidden = found.length === 0;
    list.style.height = `${Math.max(1, found.length) * OPTION_HEIGHT}px`;
    none.hidden = found.length > 0;
    none.textContent = nodes.size ? `Nothing is called “${input.value.trim()}”.` : "There is no such node in the scene.";
    active = Math.min(active, Math.max(0, found.length - 1));
  }

  function draw() {
    search();
    rows.show(found.length);
    mark();
  }

  function mark() {
    const focused = head.hidden ? list : input;
    (head.hidden ? input : list).removeAttribute("aria-activedescendant");
    if (found.length) focused.setAttribute("aria-activedescendant", `${listId}-${active}`);
    else focused.removeAttribute("aria-activedescendant");
    rows.each((index, node) => node.classList.toggle("sn-ns-active", index === active));
  }

  function go(index) {
    active = Math.max(0, Math.min(found.length - 1, index));
    if (found.length) rows.reveal(active);
    mark();
  }

  function choose(id) {
    over.hide();
    if (id === value) return;
    value = id;
    drawButton();
    questions.ask({ type: "choose", id });
  }

  function drawButton() {
    const chosen = nodes.get(value);
    fill(sign, picture(chosen));
    sign.hidden = !chosen;
    shown.textContent = chosen ? chosen.name : options.none ? "None" : "No node";
    shown.title = chosen ? chosen.name : "";
    shown.classList.toggle("sn-hint", !chosen);
    button.disabled = gone();
    button.setAttribute("aria-label", `${options.label || "Node"}: ${shown.textContent}`);
  }

  /** What can be done with the list of nodes, below it. */
  function drawDoings() {
    const chosen = nodes.get(value);
    doings.hidden = !options.editable;
    if (!options.editable) return;
    const doing = (sign, text, act) => h("button", { class: "sn-ns-doing", type: "button", onclick: act }, icon(sign), text);
    const several = options.classes.length > 1;
    fill(doings,
      options.classes.map((each) => doing("plus", several ? `New ${each.label}…` : "New…", () => ask(`Name of the new ${each.label}`, "", "Make", (name) => questions.ask({ type: "create", class: each.name, name })))),
      chosen ? doing("rename", "Rename…", () => ask("Name", chosen.name, "Rename", (name) => name.trim() && questions.ask({ type: "rename", id: chosen.id, name: name.trim() }))) : null,
      chosen ? doing("trash", "Remove…", () => confirm(chosen)) : null);
  }

  function ask(what, before, verb, then) {
    const field = h("input", { class: "sn-sp-filter", type: "text", "aria-label": what, placeholder: what, spellcheck: "false" });
    field.value = before;
    const form = h("form", { class: "sn-ns-doing-form" }, field,
      h("button", { class: "sn-button sn-button-main", type: "submit" }, verb),
      h("button", { class: "sn-button", type: "button", onclick: () => (drawDoings(), doings.querySelector("button").focus()) }, "Cancel"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      then(field.value);
      over.hide();
    });
    field.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key !== "Enter") return;
      // JupyterLab keeps it from doing so by itself.
      event.preventDefault();
      form.requestSubmit();
    });
    fill(doings, form);
    over.place();
    field.focus();
    field.select();
  }

  function confirm(node) {
    fill(doings, h("div", { class: "sn-ns-doing-form", role: "group", "aria-label": "Remove" },
      h("span", { class: "sn-ns-doing-question" }, `Remove “${node.name}” from the scene?`),
      h("button", { class: "sn-button sn-button-main", type: "button", onclick: () => (questions.ask({ type: "remove", id: node.id }), over.hide()) }, "Remove"),
      h("button", { class: "sn-button", type: "button", onclick: () => (drawDoings(), doings.querySelector("button").focus()) }, "Cancel")));
    over.place();
    doings.querySelector("button:last-child").focus();
  }

  function keyDown(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const page = rows.pageLength();
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page };
    if (event.key in steps) go(active + steps[event.key]);
    else if (event.key === "Home" && event.currentTarget === list) go(0);
    else if (event.key === "End" && event.currentTarget === list) go(found.length - 1);
    else if (event.key === "Enter" || (event.key === " " && event.currentTarget === list && !typed)) {
      if (found[active]) choose(found[active].id);
    } else if (event.key.length === 1 && event.currentTarget === list) letter(event.key);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** The next node whose name begins with what was typed. */
  function letter(key) {
    const now = performance.now();
    typed = now - typedAt < WORD_PAUSE ? typed + plainText(key) : plainText(key);
    typedAt = now;
    const from = typed.length > 1 ? active : active + 1;
    const order = [...found.keys()].map((index) => (index + from) % found.length);
    const next = order.find((index) => found[index].plain.startsWith(typed));
    if (next !== undefined) go(next);
  }

  list.addEventListener("keydown", keyDown);
  input.addEventListener("keydown", keyDown);
  input.addEventListener("input", () => {
    active = 0;
    list.scrollTop = 0;
    draw();
    over.place();
  });
  button.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    over.show();
    event.preventDefault();
    event.stopPropagation();
  });

  function take([id, name, kind]) {
    nodes.set(id, { id, name, kind, plain: plainText(name) });
  }

  /** Draw what has changed, once for all that came before the next frame. */
  function later() {
    if (planned) return;
    planned = requestAnimationFrame(() => {
      planned = 0;
      drawButton();
      if (!over.open) return;
      const at = found[active]?.id;
      draw();
      const now = found.findIndex((each) => each.id === at);
      if (now >= 0 && now !== active) go(now);
    });
  }

  function takeStatus() {
    line.status(model.get("_status"));
    root.classList.toggle("sn-gone", gone());
    if (gone()) over.hide();
    drawButton();
  }

  const heard = listener(model);
  heard.on("change:_status", takeStatus);
  heard.on("msg:custom", (message) => {
    if (message.type === "all") {
      nodes.clear();
      message.nodes.forEach(take);
    } else if (message.type === "news") {
      message.removed.forEach((id) => nodes.delete(id));
      message.nodes.forEach(take);
    } else if (message.type === "value") value = message.id;
    else if (message.type === "trouble") {
      fill(trouble, icon("error"), h("span", {}, message.message, " ", h("span", { class: "sn-hint" }, message.hint)));
      trouble.hidden = false;
    } else return;
    later();
  });
  takeStatus();
  questions.ask({ type: "hello" });
  return () => {
    cancelAnimationFrame(planned);
    over.close();
    rows.close();
    heard.close();
    questions.close();
  };
}

export default { render };
