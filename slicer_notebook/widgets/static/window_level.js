// Window and level: a histogram, the window as a band with two edges to drag, numbers, presets, threshold, colours.

/** Columns of the histogram's curve. */
const COLUMNS = 512;
const HEIGHT = 100;
/** Parts of the range that an arrow key moves by, where values are no whole numbers. */
const STEPS = 200;

/** A number as short as it is exact enough for a range. */
function short(number, range, whole) {
  if (whole && Math.abs(number) < 1e9) return String(Math.round(number * 2) / 2);
  const digits = Math.max(0, Math.min(12, Math.ceil(3 - Math.log10(range || 1))));
  return String(Number(number.toFixed(digits)));
}

/** "78.6 million voxels". */
function voxels(number) {
  return number >= 1e6 ? `${(number / 1e6).toFixed(1)} million` : number.toLocaleString("en");
}

function render({ model, el }) {
  const root = rootElement(el, "sn-wl", "Window and level", model);
  const line = banner();
  const questions = asker(model, line.waiting);
  const trouble = h("div", { class: "sn-wl-trouble", role: "alert", hidden: true });

  const curve = h("path", { class: "sn-wl-curve" });
  const plot = h("svg", { class: "sn-wl-plot", viewBox: `0 0 ${COLUMNS} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, curve);
  const below = h("div", { class: "sn-wl-outside", hidden: true });
  const above = h("div", { class: "sn-wl-outside", hidden: true });
  const handle = (name, label) => h("div", { class: `sn-wl-${name}`, role: "slider", tabindex: "0", "aria-label": label, "aria-orientation": "horizontal" });
  const band = handle("band", "Level");
  const left = handle("edge", "Lower edge of the window");
  const right = handle("edge", "Upper edge of the window");
  const stage = h("div", { class: "sn-wl-stage" }, plot, below, above, band, left, right);
  const colors = h("div", { class: "sn-wl-colors", "aria-hidden": "true" });
  const low = h("span");
  const high = h("span");
  const note = h("span", { class: "sn-hint" });
  const whole = h("button", { class: "sn-wl-small", type: "button", "aria-pressed": "false", title: "Show the whole range of values" }, "All values");

  const number = (label) => h("input", { class: "sn-wl-number", type: "number", step: "any", "aria-label": label });
  const window_ = number("Window");
  const level = number("Level");
  const auto = h("button", { class: "sn-wl-small", type: "button", "aria-pressed": "false", title: "Slicer chooses window and level" }, "Auto");
  const preset = h("select", { class: "sn-wl-select", "aria-label": "Preset", "data-lm-suppress-shortcuts": "true" });
  const table = h("select", { class: "sn-wl-select", "aria-label": "Colours", "data-lm-suppress-shortcuts": "true" });
  const cut = h("input", { type: "checkbox" });
  const from = number("Threshold from");
  const to = number("Threshold to");
  const thresholds = h("div", { class: "sn-wl-field" }, h("label", { class: "sn-wl-check" }, cut, "Threshold"), from, h("span", { class: "sn-hint" }, "to"), to);
  const tables = h("label", { class: "sn-wl-field" }, "Colours", table);
  const title = h("strong");
  const units = h("span", { class: "sn-hint" });
  const controls = h("div", { class: "sn-wl-controls" },
    h("label", { class: "sn-wl-field" }, "Window", window_), h("label", { class: "sn-wl-field" }, "Level", level), auto,
    h("label", { class: "sn-wl-field" }, "Preset", preset), tables, thresholds);
  const body = h("div", { class: "sn-wl-body" }, h("div", { class: "sn-wl-title" }, title, units), stage, colors,
    h("div", { class: "sn-wl-axis" }, low, note, whole, high), controls);
  root.append(line.node, trouble, body);

  let state = null;
  let histogram = null;
  let presets = {};
  let shades = [];
  let removed = false;
  let everything = false;
  /** First and last value of the plot. */
  let view = [0, 1];
  /** What is dragged, and window and level as the person has them meanwhile. */
  let drag = null;
  let planned = 0;
  /** Fields that the person is typing in. */
  const typing = new Set();

  const usable = () => state !== null && state.window !== null && !removed && (model.get("_status")?.state ?? "live") === "live";
  const at = (value) => ((value - view[0]) / (view[1] - view[0])) * 100;
  const step = () => (state?.whole ? Math.max(1, Math.round((view[1] - view[0]) / STEPS)) : (view[1] - view[0]) / STEPS);
  const ends = () => [state.level - state.window / 2, state.level + state.window / 2];
  const smallest = () => (state.whole ? 1 : (view[1] - view[0]) / 10000);

  // -- what is shown ----------------------------------------------------------------------------------------------

  function fitView() {
    if (!state || state.window === null) return;
    let [first, last] = histogram ? (everything ? [histogram.low, histogram.high] : histogram.usual) : ends();
    const [a, b] = ends();
    [first, last] = [Math.min(first, a), Math.max(last, b)];
    const margin = (last - first || 1) * 0.03;
    view = [first - margin, last + margin];
    drawCurve();
  }

  /** The counts of the view's columns, on a logarithmic scale: a bin's count is spread over the columns that it covers. */
  function drawCurve() {
    if (!histogram) {
      curve.setAttribute("d", "");
      return;
    }
    const { counts, low: first, high: last } = histogram;
    const wide = (last - first) / counts.length || 1;
    const column = (view[1] - view[0]) / COLUMNS;
    const heights = new Float64Array(COLUMNS);
    for (let bin = 0; bin < counts.length; bin++) {
      if (counts[bin] === 0) continue;
      const begin = (first + bin * wide - view[0]) / column;
      const end = begin + wide / column;
      if (end <= 0 || begin >= COLUMNS) continue;
      const each = counts[bin] / Math.max(1, end - begin);
      for (let x = Math.max(0, Math.floor(begin)); x < Math.min(COLUMNS, Math.max(end, Math.floor(begin) + 1)); x++) heights[x] += each;
    }
    const most = Math.log1p(heights.reduce((a, b) => Math.max(a, b), 0)) || 1;
    let path = `M0 ${HEIGHT}`;
    heights.forEach((height, x) => {
      const y = (HEIGHT - (Math.log1p(height) / most) * (HEIGHT - 4)).toFixed(1);
      path += `L${x} ${y}L${x + 1} ${y}`;
    });
    curve.setAttribute("d", `${path}L${COLUMNS} ${HEIGHT}Z`);
  }

  function place(node, first, last) {
    node.style.left = `${at(first)}%`;
    if (last !== undefined) node.style.width = `${at(last) - at(first)}%`;
  }

  function say(node, value) {
    node.setAttribute("aria-valuenow", short(value, view[1] - view[0], state.whole));
    node.setAttribute("aria-valuemin", short(view[0], view[1] - view[0], state.whole));
    node.setAttribute("aria-valuemax", short(view[1], view[1] - view[0], state.whole));
    node.setAttribute("aria-disabled", String(!usable()));
  }

  function put(input, value) {
    // Half a number is not to be replaced while the person types.
    if (!typing.has(input)) input.value = value === null ? "" : short(value, Math.min(view[1] - view[0], Math.abs(value) || 1), state.whole);
  }

  function draw() {
    const can = usable();
    root.classList.toggle("sn-gone", !can);
    for (const each of [window_, level, auto, preset, table, cut, from, to, whole]) each.disabled = !can;
    stage.hidden = state === null || state.window === null;
    if (state === null) return;
    title.textContent = state.name;
    units.textContent = state.units;
    if (state.window === null) return;
    const [a, b] = ends();
    place(band, a, b);
    place(left, a);
    place(right, b);
    say(band, state.level);
    band.setAttribute("aria-valuetext", `level ${short(state.level, view[1] - view[0], state.whole)}, window ${short(state.window, view[1] - view[0], state.whole)}`);
    say(left, a);
    say(right, b);
    put(window_, state.window);
    put(level, state.level);
    auto.setAttribute("aria-pressed", String(state.auto));
    low.textContent = short(round(view[0]), view[1] - view[0], state.whole);
    high.textContent = short(round(view[1]), view[1] - view[0], state.whole);
    const stops = (state.kind === "scalar" && shades.length ? shades : ["#000000", "#ffffff"])
      .map((shade, n, all) => `${shade} ${(at(a) + ((at(b) - at(a)) * n) / (all.length - 1)).toFixed(2)}%`);
    colors.style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
    const scalar = state.kind === "scalar";
    thresholds.hidden = tables.hidden = !scalar;
    const edges = scalar ? state.threshold : null;
    cut.checked = edges !== null;
    from.disabled = to.disabled = !can || edges === null;
    put(from, edges ? edges[0] : null);
    put(to, edges ? edges[1] : null);
    below.hidden = above.hidden = edges === null;
    if (edges) {
      const [first, last] = edges.map((edge) => Math.min(view[1], Math.max(view[0], edge)));
      place(below, view[0], first);
      place(above, last, view[1]);
    }
    const known = Object.entries(presets).find(([, [w, l]]) => w === state.window && l === state.level);
    preset.value = known ? known[0] : "";
    table.value = state.color_table;
    note.textContent = !histogram?.total ? ""
      : histogram.counted < histogram.total
        ? `${voxels(histogram.counted)} of ${voxels(histogram.total)} voxels counted`
        : `${voxels(histogram.total)} voxels`;
  }

  function takeChoices(message) {
    presets = message.presets ?? {};
    fill(preset, h("option", { value: "" }, "–"), Object.entries(presets).map(([name, [w, l]]) =>
      h("option", { value: name }, `${name} (${w} / ${l})`)));
    fill(table, (message.tables ?? []).map((name) => h("option", { value: name }, name)));
  }

  // -- what the person does ---------------------------------------------------------------------------------------

  /** Tell Slicer the newest window and level, once for each picture of the screen. */
  function tell() {
    if (planned) return;
    planned = requestAnimationFrame(() => {
      planned = 0;
      questions.ask({ type: "window", window: state.window, level: state.level });
    });
  }

  function set(a, b) {
    const least = smallest();
    if (b - a < least) {
      if (drag?.node === left) a = b - least;
      else b = a + least;
    }
    state = { ...state, window: b - a, level: (a + b) / 2, auto: false };
    draw();
    tell();
  }

  const round = (value) => (state.whole ? Math.round(value) : value);

  function moved(node, by) {
    const [a, b] = ends();
    if (node === band) {
      const shift = round(state.level + by) - round(state.level);
      set(a + shift, b + shift);
    } else if (node === left) set(Math.min(round(a + by), b - smallest()), b);
    else set(a, Math.max(round(b + by), a + smallest()));
  }

  for (const node of [band, left, right]) {
    node.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !usable()) return;
      event.preventDefault();
      node.focus();
      node.setPointerCapture(event.pointerId);
      drag = { node, x: event.clientX, ends: ends() };
    });
    node.addEventListener("pointermove", (event) => {
      if (drag?.node !== node) return;
      const by = ((event.clientX - drag.x) / stage.clientWidth) * (view[1] - view[0]);
      const [a, b] = drag.ends;
      if (node === band) set(a + round(by), b + round(by));
      else if (node === left) set(Math.min(round(a + by), b - smallest()), b);
      else set(a, Math.max(round(b + by), a + smallest()));
    });
    const end = () => {
      if (drag?.node !== node) return;
      drag = null;
      fitView();
      draw();
    };
    node.addEventListener("pointerup", end);
    node.addEventListener("pointercancel", end);
    node.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 }[event.key];
      if (way === undefined || !usable()) return;
      event.preventDefault();
      event.stopPropagation();
      moved(node, way * step() * (event.shiftKey ? 10 : 1));
    });
  }

  function typed() {
    const [w, l] = [window_.valueAsNumber, level.valueAsNumber];
    if (w === state.window && l === state.level) return;
    if (!Number.isFinite(w) || !Number.isFinite(l) || w <= 0) {
      [window_.value, level.value] = [state.window, state.level];
      return;
    }
    state = { ...state, window: w, level: l, auto: false };
    fitView();
    draw();
    tell();
  }
  for (const each of [window_, level, from, to]) {
    each.addEventListener("input", () => typing.add(each));
    for (const name of ["change", "blur"]) each.addEventListener(name, () => typing.delete(each));
    // JupyterLab keeps the Enter key from doing what it does in a field.
    each.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && typing.has(each)) each.dispatchEvent(new Event("change"));
    });
  }
  window_.addEventListener("change", typed);
  level.addEventListener("change", typed);
  auto.addEventListener("click", () => questions.ask({ type: "auto" }));
  preset.addEventListener("change", () => preset.value && questions.ask({ type: "preset", name: preset.value }));
  table.addEventListener("change", () => questions.ask({ type: "table", name: table.value }));
  cut.addEventListener("change", () => {
    const edges = cut.checked ? ends() : [null, null];
    questions.ask({ type: "threshold", low: edges[0], high: edges[1] });
  });
  for (const each of [from, to]) {
    each.addEventListener("change", () => {
      const [a, b] = [from.valueAsNumber, to.valueAsNumber];
      if (Number.isFinite(a) && Number.isFinite(b)) questions.ask({ type: "threshold", low: a, high: b });
    });
  }
  whole.addEventListener("click", () => {
    everything = !everything;
    whole.setAttribute("aria-pressed", String(everything));
    fitView();
    draw();
  });

  // -- what Slicer says -------------------------------------------------------------------------------------------

  function take(message) {
    if (message.type === "state") {
      trouble.hidden = true;
      const mine = drag || planned ? { window: state.window, level: state.level, auto: state.auto } : {};
      state = { ...message, ...mine };
      if (!drag) fitView();
    } else if (message.type === "histogram") {
      histogram = message;
      if (!drag) fitView();
    } else if (message.type === "choices") takeChoices(message);
    else if (message.type === "swatch") shades = message.colors ?? [];
    else if (message.type === "gone") {
      removed = true;
      fill(trouble, icon("warning"), h("span", {}, "This volume is no longer in the scene."));
      trouble.hidden = false;
    } else if (message.type === "trouble") {
      fill(trouble, icon("error"), h("span", {}, message.message));
      trouble.hidden = false;
    } else return;
    draw();
  }

  const heard = listener(model);
  heard.on("change:_status", () => {
    line.status(model.get("_status"));
    draw();
  });
  heard.on("msg:custom", take);
  line.status(model.get("_status"));
  draw();
  questions.ask({ type: "hello" });
  return () => {
    cancelAnimationFrame(planned);
    heard.close();
    questions.close();
  };
}

export default { render };
