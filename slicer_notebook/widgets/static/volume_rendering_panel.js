// Volume rendering: a gallery of presets, the shift, transfer functions over the histogram, the box, the light.

/** Part of the values that are shown by which an arrow key moves a point; ten times that with Shift. */
const STEP = 1 / 200;
/** Points of a function that get a handle: a label map has a hundred. */
const MOST_HANDLES = 40;
/** The most that the values can be zoomed. */
const MOST_ZOOM = 200;

const hex = (color) => `#${color.map((part) => Math.round(Math.min(1, Math.max(0, part)) * 255).toString(16).padStart(2, "0")).join("")}`;
const unhex = (text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16) / 255);
const within = (value, low, high) => Math.min(high, Math.max(low, value));

/** The numbers behind the value of points, interpolated at x. */
function at(points, x) {
  if (points.length === 0) return [];
  const next = points.findIndex((each) => each[0] >= x);
  if (next === 0) return points[0].slice(1);
  if (next < 0) return points.at(-1).slice(1);
  const [a, b] = [points[next - 1], points[next]];
  const part = (x - a[0]) / (b[0] - a[0]);
  return a.slice(1).map((each, n) => each + part * (b[n + 1] - each));
}

/** Presets as a group of radio buttons: a click or an arrow key takes one. */
function gallery(choose) {
  const node = h("div", { class: "sn-render-gallery", role: "radiogroup", "aria-label": "Presets" });
  let buttons = new Map();
  let urls = [];
  let chosen = null;

  function mark() {
    const first = buttons.has(chosen) ? chosen : buttons.keys().next().value;
    for (const [name, button] of buttons) {
      button.setAttribute("aria-checked", String(name === chosen));
      button.setAttribute("tabindex", name === first ? "0" : "-1");
    }
  }

  function onKey(event) {
    const names = [...buttons.keys()];
    const now = names.findIndex((name) => buttons.get(name) === document.activeElement);
    // Up and down go to the same column of the next row.
    const row = names.filter((name) => buttons.get(name).offsetTop === buttons.get(names[0]).offsetTop).length;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: row, ArrowUp: -row };
    const to = event.key === "Home" ? 0 : event.key === "End" ? names.length - 1 : event.key in steps ? now + steps[event.key] : null;
    if (to === null || now < 0) return;
    event.preventDefault();
    event.stopPropagation();
    if (to < 0 || to >= names.length) return;
    buttons.get(names[to]).focus();
    choose(names[to]);
  }
  node.addEventListener("keydown", onKey);

  return {
    node,
    take(names, pictures) {
      const fresh = new Map();
      if (pictures.size > 0) {
        urls.forEach((url) => URL.revokeObjectURL(url));
        urls = [...pictures.values()];
      }
      for (const name of names) {
        const known = buttons.get(name);
        const url = pictures.get(name);
        if (known && !url) {
          fresh.set(name, known);
          continue;
        }
        fresh.set(name, h("button", { type: "button", role: "radio", class: "sn-render-preset", title: name, "aria-label": name, onclick: () => choose(name) },
          url ? h("img", { src: url, alt: "", width: "64", height: "50" }) : h("span", { class: "sn-render-no-icon" }, icon("cube")),
          h("span", { class: "sn-render-preset-name", "aria-hidden": "true" }, name)));
      }
      buttons = fresh;
      fill(node, [...buttons.values()]);
      mark();
    },
    choose(name) {
      if (name === chosen) return;
      chosen = name;
      mark();
      const button = buttons.get(name);
      if (!button) return;
      // Not scrollIntoView, which would scroll the notebook, too.
      const [top, height] = [button.offsetTop - node.offsetTop, button.offsetHeight];
      if (top < node.scrollTop) node.scrollTop = top;
      else if (top + height > node.scrollTop + node.clientHeight) node.scrollTop = top + height - node.clientHeight;
    },
    enable(yes) {
      node.toggleAttribute("inert", !yes);
    },
    close: () => urls.forEach((url) => URL.revokeObjectURL(url)),
  };
}

/**
 * The opacity over the histogram and the colours below it. `state()` gives {opacity, color, colored}; `change(name,
 * points)` is called with what they are to be. `busy(true|false)`: something is dragged.
 */
function editor(state, change, busy) {
  const histogram = h("path", { class: "sn-render-histogram" });
  const curve = h("path", { class: "sn-render-curve", "vector-effect": "non-scaling-stroke" });
  const area = h("div", { class: "sn-render-area" });
  const drawing = (path) => h("svg", { viewBox: "0 0 1000 100", preserveAspectRatio: "none", "aria-hidden": "true" }, path);
  const dots = { opacity: h("div", { class: "sn-render-dots" }), color: h("div", { class: "sn-render-dots" }) };
  const box = h("div", { class: "sn-render-box", role: "group", "aria-label": "Opacity over the values: double click adds a point" },
    drawing(histogram), area, drawing(curve), dots.opacity);
  const strip = h("div", { class: "sn-render-strip", role: "group", "aria-label": "Colours over the values: double click adds one" }, dots.color);
  const low = h("span");
  const high = h("span");
  const value = h("input", { type: "number", step: "any", class: "sn-num-input", "aria-label": "Value of the point" });
  const opacity = h("input", { type: "number", min: 0, max: 1, step: 0.01, class: "sn-num-input", "aria-label": "Opacity of the point" });
  const colour = h("input", { type: "color", "aria-label": "Colour of the point" });
  const remove = h("button", { type: "button", class: "sn-button", onclick: () => drop() }, "Delete");
  const add = (name, words) => h("button", { type: "button", class: "sn-button", onclick: () => addBeside(name) }, words);
  const adders = { opacity: add("opacity", "Add point"), color: add("color", "Add colour") };
  const hint = h("span", { class: "sn-hint" }, "Choose a point to change it.");
  const inspector = h("div", { class: "sn-render-line" }, hint, value, opacity, colour, remove, adders.opacity, adders.color);
  const zooms = h("div", { class: "sn-render-zooms" },
    ["−", "+", "All"].map((sign, n) => h("button", {
      type: "button", class: "sn-button", title: ["Show more values", "Show fewer values", "Show all values"][n],
      "aria-label": ["Show more values", "Show fewer values", "Show all values"][n], onclick: () => zoom([1 / 2, 2, 0][n]),
    }, sign)));
  const node = h("div", { class: "sn-render-editor" }, box, strip,
    h("div", { class: "sn-render-axis" }, low, zooms, high), inspector);

  let all = [0, 1];
  let heights = [];
  let shown = [0, 1];
  let chosen = null; // {name, index}
  let dragged = null;

  const width = () => shown[1] - shown[0];
  const percent = (x) => ((x - shown[0]) / width()) * 100;
  const points = (name) => state()[name];

  function put(name, list, index) {
    if (index !== undefined) chosen = { name, index };
    change(name, list);
    draw();
  }

  /** Where a point may be: between its neighbours. */
  function room(list, index) {
    const gap = (all[1] - all[0]) * 1e-6;
    return [index > 0 ? list[index - 1][0] + gap : -Infinity, index < list.length - 1 ? list[index + 1][0] - gap : Infinity];
  }

  function move(name, index, x, y) {
    const list = points(name).map((each) => [...each]);
    if (!list[index]) return;
    const [least, most] = room(list, index);
    if (x !== null && least <= most) list[index][0] = within(x, least, most);
    if (y !== null && name === "opacity") list[index][1] = within(y, 0, 1);
    put(name, list, index);
  }

  function insert(name, x, y) {
    const list = points(name).map((each) => [...each]);
    if (list.some((each) => each[0] === x)) return;
    const made = name === "opacity" ? [x, within(y ?? at(list, x)[0] ?? 0, 0, 1)] : [x, ...(list.length ? at(list, x) : [1, 1, 1])];
    const index = list.filter((each) => each[0] < x).length;
    list.splice(index, 0, made);
    put(name, list, index);
    focusChosen();
  }

  function addBeside(name) {
    const list = points(name);
    const seen = list.map((each) => each[0]).filter((x) => x > shown[0] && x < shown[1]);
    const edges = [shown[0], ...seen, shown[1]];
    let from = chosen?.name === name ? edges.indexOf(list[chosen.index]?.[0]) : -1;
    if (from < 0 || from >= edges.length - 1) {
      // The widest gap.
      from = edges.slice(1).reduce((best, x, n) => (x - edges[n] > edges[best + 1] - edges[best] ? n : best), 0);
    }
    insert(name, (edges[from] + edges[from + 1]) / 2);
  }

  function drop() {
    if (!chosen) return;
    const { name, index } = chosen;
    if (points(name).length < 2) return;
    const list = points(name).filter((_, n) => n !== index);
    put(name, list, Math.max(0, index - 1));
    focusChosen();
  }

  function focusChosen() {
    if (chosen) dots[chosen.name].querySelector(`[data-index="${chosen.index}"]`)?.focus({ preventScroll: true });
  }

  function zoom(by) {
    const list = chosen ? points(chosen.name) : [];
    const center = list[chosen?.index]?.[0] ?? (shown[0] + shown[1]) / 2;
    const whole = all[1] - all[0];
    const wide = by === 0 ? whole : within(width() / by, whole / MOST_ZOOM, whole);
    const from = within(center - wide / 2, all[0], all[1] - wide);
    shown = [from, from + wide];
    draw();
  }

  function onKey(event, name, index) {
    const many = event.shiftKey ? 10 : 1;
    const [x, y] = points(name)[index] ?? [];
    const moves = {
      ArrowLeft: [x - width() * STEP * many, null], ArrowRight: [x + width() * STEP * many, null],
      ArrowUp: [null, y + 0.01 * many], ArrowDown: [null, y - 0.01 * many],
    };
    if (event.key === "Delete" || event.key === "Backspace") drop();
    else if (event.key in moves) move(name, index, ...moves[event.key]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Handles are kept while they are dragged or have the focus: they are moved, not made anew. */
  function drawDots(name) {
    const list = points(name);
    const few = list.length <= MOST_HANDLES ? list : [];
    while (dots[name].children.length > few.length) dots[name].lastChild.remove();
    while (dots[name].children.length < few.length) {
      const index = dots[name].children.length;
      const dot = h("button", { type: "button", class: `sn-render-dot sn-render-dot-${name}`, "data-index": index });
      dot.addEventListener("pointerdown", (event) => grab(event, name, index, dot));
      dot.addEventListener("focus", () => {
        chosen = { name, index };
        draw();
      });
      dot.addEventListener("keydown", (event) => onKey(event, name, index));
      dots[name].append(dot);
    }
    few.forEach((each, index) => {
      const dot = dots[name].children[index];
      const x = percent(each[0]);
      dot.hidden = x < -0.5 || x > 100.5;
      dot.style.left = `${x}%`;
      if (name === "opacity") dot.style.top = `${(1 - each[1]) * 100}%`;
      dot.style.background = name === "opacity" ? "" : hex(each.slice(1, 4));
      dot.classList.toggle("sn-render-chosen", chosen?.name === name && chosen.index === index);
      const what = name === "opacity" ? `opacity ${each[1].toFixed(2)}` : `colour ${hex(each.slice(1, 4))}`;
      dot.setAttribute("aria-label", `Point ${index + 1} of ${list.length}: value ${rounded(each[0], width())}, ${what}`);
    });
  }

  function grab(event, name, index, dot) {
    if (event.button !== 0) return;
    event.preventDefault();
    dot.focus({ preventScroll: true });
    dot.setPointerCapture(event.pointerId);
    const place = box.getBoundingClientRect();
    // From where in the dot it was taken, so that it does not jump.
    const [x0, y0] = points(name)[index];
    const from = [event.clientX, event.clientY];
    dragged = name;
    busy(true);
    const onMove = (moved) => {
      const x = x0 + ((moved.clientX - from[0]) / place.width) * width();
      const y = y0 - (moved.clientY - from[1]) / place.height;
      move(name, index, within(x, Math.min(x0, all[0]), Math.max(x0, all[1])), name === "opacity" ? y : null);
    };
    const onEnd = () => {
      dot.removeEventListener("pointermove", onMove);
      dragged = null;
      busy(false);
    };
    dot.addEventListener("pointermove", onMove);
    dot.addEventListener("lostpointercapture", onEnd, { once: true });
  }

  function onDouble(event, name) {
    if (event.target.closest(".sn-render-dot")) return;
    const place = box.getBoundingClientRect();
    const x = shown[0] + ((event.clientX - place.left) / place.width) * width();
    insert(name, x, 1 - (event.clientY - place.top) / place.height);
  }
  box.addEventListener("dblclick", (event) => onDouble(event, "opacity"));
  strip.addEventListener("dblclick", (event) => state().colored || onDouble(event, "color"));
  onTyped(value, (x) => chosen && move(chosen.name, chosen.index, x, null));
  onTyped(opacity, (y) => chosen && move(chosen.name, chosen.index, null, y));
  colour.addEventListener("input", () => {
    if (chosen?.name !== "color") return;
    const list = points("color").map((each, n) => (n === chosen.index ? [each[0], ...unhex(colour.value)] : [...each]));
    put("color", list, chosen.index);
  });

  function drawCurve() {
    const list = points("opacity");
    const ends = list.length ? [[Math.min(shown[0], list[0][0]), list[0][1]], ...list, [Math.max(shown[1], list.at(-1)[0]), list.at(-1)[1]]] : [];
    // Cut at the edges: a point may be a thousand widths away.
    const inside = [[shown[0], at(ends, shown[0])[0]], ...ends.filter(([x]) => x > shown[0] && x < shown[1]), [shown[1], at(ends, shown[1])[0]]];
    if (!list.length) {
      curve.removeAttribute("d");
      area.style.background = "none";
      return;
    }
    curve.setAttribute("d", `M${inside.map(([x, y]) => `${(percent(x) * 10).toFixed(2)} ${((1 - y) * 100).toFixed(2)}`).join("L")}`);
    area.style.clipPath = `polygon(0 100%, ${inside.map(([x, y]) => `${percent(x).toFixed(3)}% ${((1 - y) * 100).toFixed(2)}%`).join(", ")}, 100% 100%)`;
    const colors = state().colored ? [] : points("color");
    const stops = colors.map((each) => `${hex(each.slice(1, 4))} ${percent(each[0]).toFixed(3)}%`);
    const paint = stops.length > 1 ? `linear-gradient(to right, ${stops.join(", ")})` : stops.length ? hex(colors[0].slice(1, 4)) : "";
    area.style.background = paint;
    strip.style.background = paint;
  }

  function drawHistogram() {
    const step = (all[1] - all[0]) / Math.max(1, heights.length);
    const parts = [];
    heights.forEach((height, n) => {
      const [a, b] = [percent(all[0] + n * step), percent(all[0] + (n + 1) * step)];
      if (b < 0 || a > 100) return;
      parts.push(`L${(a * 10).toFixed(1)} ${(100 - height * 100).toFixed(1)}L${(b * 10).toFixed(1)} ${(100 - height * 100).toFixed(1)}`);
    });
    if (parts.length) histogram.setAttribute("d", `M0 100${parts.join("")}L1000 100Z`);
  }

  function draw() {
    if (chosen && !points(chosen.name)[chosen.index]) chosen = null;
    const point = chosen ? points(chosen.name)[chosen.index] : null;
    drawHistogram();
    drawCurve();
    drawDots("opacity");
    drawDots("color");
    low.textContent = rounded(shown[0], width()).toLocaleString("en");
    high.textContent = rounded(shown[1], width()).toLocaleString("en");
    hint.hidden = point !== null;
    for (const each of [value, remove]) each.hidden = point === null;
    opacity.hidden = chosen?.name !== "opacity";
    colour.hidden = chosen?.name !== "color";
    strip.hidden = adders.color.hidden = state().colored;
    remove.disabled = !chosen || points(chosen.name).length < 2;
    if (point && document.activeElement !== value) value.value = rounded(point[0], width());
    if (point && chosen.name === "opacity" && document.activeElement !== opacity) opacity.value = point[1].toFixed(2);
    if (point && chosen.name === "color") colour.value = hex(point.slice(1, 4));
  }

  return {
    node,
    draw,
    get dragged() {
      return dragged;
    },
    histogram(range, counts) {
      const whole = shown[0] === all[0] && shown[1] === all[1];
      all = range[1] > range[0] ? range : [range[0] - 1, range[0] + 1];
      heights = counts;
      if (whole || shown[0] < all[0] || shown[1] > all[1]) shown = [...all];
      draw();
    },
    get range() {
      return all;
    },
  };
}

function render({ model, el }) {
  const root = rootElement(el, "sn-render", "Volume rendering", model);
  const line = banner();
  const questions = asker(model, line.waiting);
  const view = `${Math.random().toString(36).slice(2, 10)}`;
  let state = { exists: false, opacity: [], color: [], shift: 0, shift_range: [-1, 1] };
  let sent = 0;
  let held = 0; // what is being dragged: news wait until it is let go

  /** Show a change here at once, and have it made. */
  function change(changes) {
    Object.assign(state, changes);
    questions.ask({ type: "set", view, number: (sent += 1), changes });
    draw();
  }

  const eye = h("button", { type: "button", class: "sn-icon-button", onclick: () => change({ visible: !state.visible }) });
  const title = h("strong");
  const words = h("span", { class: "sn-hint", role: "status" });
  const problem = h("p", { class: "sn-warn sn-render-problem", role: "alert", hidden: true });
  const presets = gallery((name) => change({ preset: name, shift: 0, visible: true }));
  const shift = slider("Shift", (value) => change({ shift: value }));
  const reset = h("button", { type: "button", class: "sn-button", onclick: () => change({ shift: 0 }) }, "Reset");
  const edit = editor(() => state, (name, points) => {
    state.preset = null;
    change({ [name]: points });
  }, (begins) => {
    held += begins ? 1 : -1;
    if (held === 0 && waiting) takeState(waiting);
  });
  const toggle = (name, label) => {
    const box = h("input", { type: "checkbox", onchange: () => change({ [name]: box.checked }) });
    return { box, node: h("label", { class: "sn-render-check" }, box, label) };
  };
  const choice = (name, label, options) => {
    const select = h("select", { "aria-label": label, onchange: () => change({ [name]: select.value }) },
      Object.entries(options).map(([value, text]) => h("option", { value }, text)));
    return { select, node: h("label", { class: "sn-render-check" }, label, select) };
  };
  const cropped = toggle("cropped", "Crop");
  const boxSeen = toggle("roi_visible", "Show box");
  const fit = h("button", { type: "button", class: "sn-button", title: "Put the box around the volume",
    onclick: () => questions.ask({ type: "fit", view, number: (sent += 1) }) }, "Fit box");
  const shade = toggle("shade", "Shaded");
  const quality = choice("quality", "Quality", { adaptive: "Adaptive", normal: "Normal", maximum: "Maximum" });
  const method = choice("method", "Drawn by", { cpu: "CPU", gpu: "GPU" });
  const lights = Object.fromEntries(["ambient", "diffuse", "specular", "power"].map((name) => [
    name, slider(name[0].toUpperCase() + name.slice(1), (value) => change({ [name]: value }), name === "power" ? { min: 1, max: 128, step: 1 } : {}),
  ]));
  const lit = h("div", { class: "sn-render-lights" }, Object.entries(lights).map(([name, each]) =>
    h("div", { class: "sn-render-line" }, h("span", { class: "sn-render-label" }, name[0].toUpperCase() + name.slice(1)), each.node)));
  const controls = h("div", { class: "sn-render-controls" }, presets.node,
    h("div", { class: "sn-render-line" }, h("span", { class: "sn-render-label" }, "Shift"), shift.node, reset),
    edit.node,
    h("div", { class: "sn-render-line" }, cropped.node, fit, boxSeen.node, quality.node, method.node),
    h("details", { class: "sn-render-more" }, h("summary", {}, "Shading"), shade.node, lit));
  root.append(line.node, h("div", { class: "sn-render-head" }, eye, title, words), problem, controls);

  for (const each of [shift, ...Object.values(lights)]) {
    // Also a key that is kept down: what comes back late must not move it.
    let down = false;
    const set = (yes) => {
      if (yes === down) return;
      down = yes;
      held += yes ? 1 : -1;
      if (held === 0 && waiting) takeState(waiting);
    };
    each.range.addEventListener("pointerdown", () => set(true));
    for (const end of ["pointerup", "pointercancel", "blur"]) each.range.addEventListener(end, () => set(false));
  }

  const gone = () => (model.get("_status")?.state ?? "live") !== "live";
  let waiting = null;

  function draw() {
    fill(eye, icon(state.visible ? "eye" : "hidden"));
    const action = state.visible ? "Hide in the 3-D views" : "Show in the 3-D views";
    eye.title = action;
    eye.setAttribute("aria-label", action);
    eye.setAttribute("aria-pressed", String(Boolean(state.visible)));
    words.textContent = state.preset ?? (state.exists ? "edited" : "not rendered yet");
    presets.choose(state.preset);
    const data = edit.range[1] - edit.range[0];
    const most = Math.max(Math.min(state.shift_range[1], data), Math.abs(state.shift));
    shift.take(state.shift, -most, most);
    reset.disabled = state.shift === 0;
    edit.node.hidden = !state.exists && state.opacity.length === 0;
    cropped.box.checked = Boolean(state.cropped);
    boxSeen.box.checked = Boolean(state.roi_visible);
    shade.box.checked = Boolean(state.shade);
    lit.hidden = !state.shade;
    for (const [name, each] of Object.entries(lights)) if (typeof state[name] === "number") each.take(state[name]);
    if (state.quality) quality.select.value = state.quality;
    if (state.method) method.select.value = state.method;
    method.node.hidden = !state.method;
    edit.draw();
  }

  function takeState(message) {
    // What is on its way to Slicer is shown already: not what was before it.
    if ((message.done[view] ?? 0) < sent) return;
    if (held > 0) {
      waiting = message;
      return;
    }
    waiting = null;
    title.textContent = message.name;
    state = message.state;
    draw();
  }

  function takeProblem({ message = "", hint = "" }) {
    problem.hidden = !message;
    fill(problem, message ? [icon("warning"), h("span", {}, `${message} ${hint}`)] : []);
  }

  function takeStatus() {
    line.status(model.get("_status"));
    root.classList.toggle("sn-gone", gone());
    controls.toggleAttribute("inert", gone());
    eye.disabled = gone();
  }

  const heard = listener(model);
  heard.on("change:_status", takeStatus);
  heard.on("msg:custom", (message, buffers) => {
    if (message.type === "state") takeState(message);
    else if (message.type === "problem") takeProblem(message);
    else if (message.type === "presets") {
      presets.take(message.names, new Map(message.pictures.map((name, n) => [name, pngUrl(buffers[n])])));
    } else if (message.type === "histogram") {
      edit.histogram(message.range, message.heights);
      draw();
    }
  });
  draw();
  takeStatus();
  questions.ask({ type: "hello" });
  return () => {
    heard.close();
    questions.close();
    presets.close();
  };
}

export default { render };
