// The segment editor: effects and their options, masks, the segments; and a live view to paint in.

/** Milliseconds of work that nobody needs to hear of. */
const QUICK = 300;
/** How much the wheel changes the brush. */
const BRUSH_STEP = 1.15;
const UNDO_ICON = "M12.500 8c-2.700 0-5.100 1-6.900 2.600L2 7v9h9l-3.600-3.600a8 8 0 0 1 12.700 3.900l2.400-.8A10.500 10.500 0 0 0 12.500 8z";

/** Whether keys are text where the event is. */
const typed = (node) => node.matches?.("select, textarea, input:not([type=range], [type=checkbox], [type=color])");

/** Where editing may change something, and what it overwrites. `ask({type: "mask", ...})`. */
function maskForm(ask) {
  const areas = [["everywhere", "Everywhere"], ["inside:all", "Inside all segments"], ["inside:visible", "Inside the visible ones"],
    ["outside:all", "Outside all others"], ["outside:visible", "Outside the visible ones"]];
  const overwrites = [["all", "All other segments"], ["visible", "The visible ones"], ["none", "Nothing: allow overlap"]];
  let told = null;
  const say = (what) => ask({ type: "mask", area: told.area, intensity: told.intensity, overwrite: told.overwrite, ...what });
  const area = optionMenu("Editable area", (value) => say({ area: value }));
  const overwrite = optionMenu("Overwrite", (value) => say({ overwrite: value }));
  const range = () => [low, high].map((each) => Number(each.value));
  const box = h("input", { type: "checkbox", onchange: () => say({ intensity: box.checked ? range() : null }) });
  const bound = (label) => {
    const node = h("input", { type: "number", step: "any", class: "sn-num-input", "aria-label": label });
    onTyped(node, () => box.checked && say({ intensity: range() }));
    return node;
  };
  const [low, high] = [bound("Lowest intensity"), bound("Highest intensity")];
  const summary = h("span", { class: "sn-hint" });
  const node = h("details", { class: "sn-masks" },
    h("summary", { tabindex: "0" }, h("strong", {}, "Masking"), " ", summary),
    optionLine("Editable area", area.node),
    optionLine("Overwrite", overwrite.node),
    h("div", { class: "sn-option" }, h("label", { class: "sn-option-title sn-option-flag" }, box, " Intensity"), low, "to", high));
  return {
    node,
    take(now, segments) {
      told = now;
      area.take([...areas, ...segments.map(([id, name]) => [`inside:${id}`, `Inside ${name}`])], now.area);
      overwrite.take(overwrites, now.overwrite);
      box.checked = now.intensity !== null;
      const shown = now.intensity ?? now.intensities;
      [low, high].forEach((each, at) => {
        const empty = each.value === "";
        if (shown && document.activeElement !== each && (now.intensity || empty)) each.value = shown[at];
      });
      const words = now.area === "everywhere" ? [] : [area.node.selectedOptions[0]?.textContent.toLowerCase()];
      if (now.intensity) words.push(`${now.intensity[0]} to ${now.intensity[1]}`);
      if (now.overwrite !== "all") words.push(now.overwrite === "none" ? "overlap allowed" : "overwrites visible ones");
      summary.textContent = words.join(", ") || "everywhere";
    },
    disable(off, bare) {
      for (const each of [area.node, overwrite.node]) each.disabled = off;
      for (const each of [box, low, high]) each.disabled = off || bare;
    },
  };
}

/** What is at work: a bar and a button that ends it. */
function workLine(cancel) {
  const bar = h("div", { class: "sn-bar-fill" });
  const track = h("div", { class: "sn-bar", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100", "aria-label": "Progress" }, bar);
  const text = h("span", { class: "sn-editor-work-text" });
  const node = h("div", { class: "sn-editor-work", hidden: true }, text, track, h("button", { class: "sn-button", type: "button", onclick: cancel }, "Cancel"));
  let timer = null;
  return {
    node,
    take(work) {
      if (!work) {
        clearTimeout(timer);
        timer = null;
        node.hidden = true;
        return;
      }
      timer ??= setTimeout(() => (node.hidden = false), QUICK);
      text.textContent = `${work.title}…`;
      const known = work.progress >= 0;
      track.classList.toggle("sn-bar-unknown", !known);
      bar.style.width = `${Math.round(100 * (known ? work.progress : 0))}%`;
      if (known) track.setAttribute("aria-valuenow", Math.round(100 * work.progress));
      else track.removeAttribute("aria-valuenow");
    },
    close: () => clearTimeout(timer),
  };
}

/** The live view, one of those that can be chosen. `hand` tells what the mouse is for. */
function viewPane(model, show, hand) {
  const me = Math.random().toString(36).slice(2);
  const say = (message) => model.send(message);
  const menu = optionMenu("View", show);
  const above = h("div", { class: "sn-editor-above" }, menu.node);
  const place = h("div", { class: "sn-live-place sn-editor-canvas" });
  const spot = new SpotLine();
  const node = h("div", { class: "sn-editor-view" }, above, place, spot.node);
  let views = [];
  let name = null;
  let canvas = null;
  let bar = null;

  function use() {
    if (name === model.get("view")) return;
    close();
    name = model.get("view");
    const title = views.find((each) => each.name === name)?.title ?? name;
    canvas = new LiveCanvas(place, name, title, me, say);
    canvas.setCssWidth("100%");
    canvas.setCssHeight(model.get("_height"));
    canvas.setResizable(true);
    canvas.onSpot = (found) => spot.show(name, found);
    menu.take(views.map((each) => [each.name, each.title]), name);
  }

  function close() {
    canvas?.close();
    bar?.close();
    bar?.node.remove();
    place.replaceChildren();
    canvas = bar = null;
  }

  // Before the canvas itself, which would send it to Slicer.
  const first = { capture: true, passive: false };
  place.addEventListener("pointerdown", (event) => {
    if (!hand.picks() || event.button !== 0 || event.target !== canvas?.viewElement) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const size = (canvas.viewElement.dataset.size ?? "1x1").split("x").map(Number);
    const [x, y] = canvas._place(event.offsetX, event.offsetY).map((part, at) => Math.floor(part * size[at]));
    hand.pick(name, x, y);
  }, first);
  place.addEventListener("wheel", (event) => {
    if (!event.shiftKey || !hand.brushes()) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    hand.brush((event.deltaY || event.deltaX) < 0 ? BRUSH_STEP : 1 / BRUSH_STEP);
  }, first);

  return {
    node,
    use,
    close,
    views(found) {
      views = found;
      menu.take(views.map((each) => [each.name, each.title]), name);
    },
    hear(message, buffers) {
      if (message.view !== undefined && message.view !== name) return;
      if (!message.type.startsWith("slice")) return canvas?.hear(message, buffers);
      if (!bar) above.append((bar = new SliceBar((what) => say({ ...what, view: name }))).node);
      bar.take(message);
    },
    gone(yes) {
      menu.node.disabled = yes;
      bar?.gone(yes);
    },
    hello: () => say({ type: "hello", who: me }),
  };
}

function render({ model, el }) {
  const root = rootElement(el, "sn-editor", "Segment editor", model);
  const line = banner();
  const questions = asker(model, line.waiting);
  const trouble = h("div", { class: "sn-warn sn-editor-trouble", role: "alert", hidden: true });
  const ask = (message) => {
    trouble.hidden = true;
    questions.ask(message);
  };
  let told = null;
  let shown = true;
  let gone = false;
  let working = false;
  const names = new Map();

  const palette = new EffectPalette((effect) => ask({ type: "choose", effect }));
  const options = new EffectOptions((effect, name, value) => ask({ type: "option", effect, name, value }), (type) => {
    const { lower, upper } = told.values.threshold;
    ask(type === "mask_by_threshold" ? { type: "mask", area: told.area, overwrite: told.overwrite, intensity: [lower, upper] } : { type });
  });
  const masks = maskForm(ask);
  const list = new SegmentList({ ask });
  const work = workLine(() => ask({ type: "cancel" }));
  const said = h("div", { class: "sn-hint sn-editor-said", role: "status" });
  const stepper = (type, title) => h("button", { class: "sn-icon-button", type: "button", "aria-label": title, onclick: () => ask({ type }) },
    h("svg", { viewBox: "0 0 24 24", class: `sn-icon sn-editor-${type}`, "aria-hidden": "true" }, h("path", { d: UNDO_ICON })));
  const steps = { undo: stepper("undo", "Undo"), redo: stepper("redo", "Redo") };
  const title = h("strong", { class: "sn-editor-title" });
  const all = h("button", { class: "sn-icon-button", type: "button", "aria-label": "Show the segmentation", onclick: () => ask({ type: "show_all", visible: !shown }) });
  const add = h("button", { class: "sn-button", type: "button", onclick: () => ask({ type: "add" }) }, "Add");
  const empty = h("div", { class: "sn-hint sn-editor-empty" }, "No segments yet: “Add” makes the first one.");
  const pane = viewPane(model, (name) => ask({ type: "show_view", name }), {
    picks: () => Boolean(told?.picks) && !dead(),
    pick: (view, x, y) => ask({ type: "pick", view, x, y }),
    brushes: () => ["paint", "erase"].includes(told?.effect),
    brush: (factor) => options.scale("radius", factor),
  });
  root.append(line.node, h("div", { class: "sn-editor-body" },
    h("div", { class: "sn-editor-side" },
      palette.node,
      h("div", { class: "sn-editor-box" }, options.node, work.node, trouble, said),
      masks.node,
      h("div", { class: "sn-editor-segments" },
        h("div", { class: "sn-editor-bar" }, all, title, steps.undo, steps.redo, add),
        h("div", { class: "sn-editor-scroll" }, list.element), empty)),
    pane.node));

  const dead = () => gone || (model.get("_status")?.state ?? "live") !== "live";
  const segments = () => list.order.map((id) => [id, names.get(id)]);

  function draw() {
    const off = dead();
    list.disable(off);
    all.disabled = add.disabled = off;
    fill(all, icon(shown ? "eye" : "hidden"));
    all.setAttribute("aria-pressed", String(shown));
    empty.hidden = gone || list.order.length > 0;
    list.element.hidden = list.order.length === 0;
    root.classList.toggle("sn-gone", off);
    pane.gone(off);
    if (gone) said.textContent = "The segmentation is no more in the scene.";
    if (!told) return;
    palette.take(told.effect);
    options.take(told, segments());
    masks.take(told, segments());
    list.select(told.segment);
    const bare = told.segment === null;
    palette.disable(off, bare);
    options.disable(off || bare, working);
    masks.disable(off, told.volume === null);
    for (const [type, button] of Object.entries(steps)) {
      button.disabled = off || !told[type];
      button.title = `${type === "undo" ? "Undo" : "Redo"}${told[type] ? `: ${told[type]}` : ""} (Ctrl+${type === "undo" ? "Z" : "Y"})`;
    }
    root.classList.toggle("sn-editor-picks", told.picks);
  }

  const takes = {
    effects(message) {
      palette.describe(message.effects);
      options.describe(message.effects);
    },
    views: (message) => pane.views(message.views),
    all: (message) => takes.news(message),
    news(message) {
      shown = message.visible;
      title.textContent = title.title = message.name;
      for (const row of message.rows) names.set(row.id, row.name);
      list.take(message);
      draw();
    },
    editor(message) {
      // What was said is of the effect before.
      if (told && told.effect !== message.effect) said.textContent = "";
      told = message;
      draw();
    },
    work(message) {
      working = message.work !== null;
      work.take(message.work);
      draw();
    },
    said: (message) => (said.textContent = message.text),
    trouble(message) {
      said.textContent = "";
      fill(trouble, icon("warning"), h("span", {}, message.message, message.hint ? h("span", { class: "sn-hint" }, ` ${message.hint}`) : null));
      trouble.hidden = false;
    },
    gone() {
      gone = true;
      draw();
    },
  };

  /** The keys of Slicer's editor; before the view, which would send them to Slicer. */
  function key(event) {
    if (dead() || !told || typed(event.target)) return;
    const letter = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && !event.altKey && (letter === "z" || letter === "y")) {
      const type = letter === "y" || event.shiftKey ? "redo" : "undo";
      if (told[type]) ask({ type });
    } else if (event.ctrlKey || event.metaKey || event.altKey) return;
    else if (event.key === "Escape" && !list.element.contains(event.target)) ask({ type: "choose", effect: null });
    else if (/^[0-9]$/.test(event.key)) {
      const button = [...palette.buttons.values()][Number(event.key)];
      if (button && !button.disabled) button.click();
    } else if (letter === "q" || letter === "w") {
      const to = list.order.indexOf(told.segment) + (letter === "q" ? -1 : 1);
      if (to >= 0 && to < list.order.length) list.choose(list.order[to]);
    } else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }
  root.addEventListener("keydown", key, { capture: true });

  const heard = listener(model);
  heard.on("change:_status", () => {
    line.status(model.get("_status"));
    draw();
  });
  heard.on("change:view", () => {
    pane.use();
    pane.hello();
  });
  heard.on("msg:custom", (message, buffers) => {
    const own = message.view === undefined ? takes[message?.type] : null;
    if (own) own(message);
    else pane.hear(message, buffers);
  });
  root.querySelector(".sn-editor-body").style.maxWidth = model.get("_width");
  line.status(model.get("_status"));
  pane.use();
  draw();
  pane.hello();
  return () => {
    list.close();
    options.close();
    work.close();
    heard.close();
    questions.close();
    pane.close();
  };
}

export default { render };
