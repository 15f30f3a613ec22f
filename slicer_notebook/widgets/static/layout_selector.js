// A menu of layouts.

function render({ model, el }) {
  const name = model.get("_label") || "Layout";
  const root = rootElement(el, "sn-ls", name, model);
  const line = banner();
  const questions = asker(model, line.waiting);
  const listId = freshId("layouts");
  const sign = h("span", { class: "sn-ls-sign" });
  const shown = h("span", { class: "sn-sp-chooser-name" });
  const button = h("button", { class: "sn-sp-chooser", type: "button", "aria-haspopup": "listbox", "aria-controls": listId }, sign, shown,
    h("svg", { viewBox: "0 0 24 24", class: "sn-icon sn-sp-chooser-mark", "aria-hidden": "true" }, h("path", { d: ICONS.chevron })));
  const list = h("div", { class: "sn-ls-list", id: listId, role: "listbox", tabindex: "0", "aria-label": "Layouts" });
  const panel = h("div", { class: "sn-ls-panel" }, list);
  const trouble = h("div", { class: "sn-sp-trouble", role: "alert", hidden: true });
  const label = model.get("_label") ? h("span", { class: "sn-sp-field-label" }, model.get("_label")) : null;
  root.append(h("div", { class: "sn-sp-field" }, label, button), trouble, line.node, panel);

  let layouts = [];
  let present = "";
  let other = null;
  let active = 0;
  let drawn = false;

  const gone = () => (model.get("_status")?.state ?? "live") !== "live";
  const over = panelOf(button, panel, {
    opened() {
      trouble.hidden = true;
      // Thirty drawings: made when somebody wants to see them.
      if (!drawn) {
        fill(list, layouts.map(option));
        drawn = true;
      }
      go(Math.max(0, layouts.findIndex((each) => each.name === present)));
      list.focus();
    },
    closed() {
      if (panel.contains(document.activeElement)) button.focus();
    },
  });

  function option(each, index) {
    return h("div", { class: "sn-ls-option", role: "option", id: `${listId}-${index}`, "data-layout": each.name, "aria-selected": "false", onclick: () => choose(each) },
      layoutDrawing(each.arrangement), h("span", { class: "sn-ls-title" }, each.title));
  }

  function go(index) {
    active = Math.max(0, Math.min(layouts.length - 1, index));
    [...list.children].forEach((node, at) => {
      node.classList.toggle("sn-ls-active", at === active);
      node.setAttribute("aria-selected", String(layouts[at].name === present));
    });
    if (!layouts.length) return;
    list.setAttribute("aria-activedescendant", `${listId}-${active}`);
    list.children[active]?.scrollIntoView({ block: "nearest" });
  }

  function choose(each) {
    over.hide();
    if (each.name === present) return;
    present = each.name;
    drawButton();
    questions.ask({ type: "choose", name: each.name });
  }

  function drawButton() {
    const known = layouts.find((each) => each.name === present);
    const arrangement = known?.arrangement ?? other;
    fill(sign, arrangement ? layoutDrawing(arrangement) : null);
    shown.textContent = known?.title ?? (present ? `Layout ${present}` : "");
    button.disabled = gone() || layouts.length === 0;
    button.dataset.layout = present;
    button.setAttribute("aria-label", `${name}: ${shown.textContent}`);
  }

  /** How many drawings are side by side. */
  function columns() {
    const top = list.children[0]?.offsetTop;
    const next = [...list.children].findIndex((node) => node.offsetTop !== top);
    return next > 0 ? next : layouts.length;
  }

  list.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns(), ArrowUp: -columns() };
    if (event.key in steps) {
      const to = active + steps[event.key];
      if (to >= 0 && to < layouts.length) go(to);
    } else if (event.key === "Home") go(0);
    else if (event.key === "End") go(layouts.length - 1);
    else if (event.key === "Enter" || event.key === " ") choose(layouts[active]);
    else if (event.key.length === 1) {
      const order = [...layouts.keys()].map((index) => (index + active + 1) % layouts.length);
      const next = order.find((index) => layouts[index].title.toLowerCase().startsWith(event.key.toLowerCase()));
      if (next !== undefined) go(next);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  button.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    over.show();
    event.preventDefault();
    event.stopPropagation();
  });

  function takeStatus() {
    line.status(model.get("_status"));
    root.classList.toggle("sn-gone", gone());
    if (gone()) over.hide();
    drawButton();
  }

  const heard = listener(model);
  heard.on("change:_status", takeStatus);
  heard.on("msg:custom", (message) => {
    if (message.type === "layouts") {
      layouts = message.layouts;
      drawn = false;
      if (over.open) {
        fill(list, layouts.map(option));
        drawn = true;
        go(active);
      }
    } else if (message.type === "layout") {
      [present, other] = [message.name, message.arrangement];
      if (over.open) go(active);
    } else if (message.type === "trouble") {
      fill(trouble, icon("error"), h("span", {}, message.message, " ", h("span", { class: "sn-hint" }, message.hint)));
      trouble.hidden = false;
    } else return;
    drawButton();
  });
  takeStatus();
  questions.ask({ type: "hello" });
  return () => {
    over.close();
    heard.close();
    questions.close();
  };
}

export default { render };
