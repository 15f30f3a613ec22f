// A slider over a sequence, with a button to play.

const RATES = [1, 2, 5, 10, 15, 20, 30];
const PLAY = "M7 4v16l13-8z";
const PAUSE = "M6 4h4v16H6zM14 4h4v16h-4z";

/** "12.5 ms", "systole". */
function valueInWords(value, unit) {
  if (value === undefined) return "";
  const text = typeof value === "number" ? String(Number(value.toPrecision(6))) : value;
  return unit ? `${text} ${unit}` : text;
}

function render({ model, el }) {
  const root = rootElement(el, "sn-seq", "Sequence", model);
  const line = banner();
  const questions = asker(model, line.waiting);
  const trouble = h("div", { class: "sn-seq-trouble", role: "alert", hidden: true });
  const shape = h("path", { d: PLAY });
  const play = h("button", { class: "sn-icon-button sn-seq-play", type: "button", "aria-label": "Play" },
    h("svg", { viewBox: "0 0 24 24", class: "sn-icon", "aria-hidden": "true" }, shape));
  const slider = h("input", { class: "sn-seq-slider", type: "range", min: "0", step: "1", "aria-label": "Volume" });
  const value = h("output", { class: "sn-seq-value" });
  const place = h("span", { class: "sn-hint sn-seq-place" });
  const rate = h("select", { class: "sn-seq-rate", "aria-label": "Volumes in a second", "data-lm-suppress-shortcuts": "true" });
  const loop = h("input", { type: "checkbox" });
  const title = h("strong");
  root.append(line.node, trouble,
    h("div", { class: "sn-seq-row" }, title, value, place),
    h("div", { class: "sn-seq-row" }, play, slider, rate, h("label", { class: "sn-seq-check" }, loop, "Loop")));

  let state = null;
  let axis = { name: "", index_name: "", unit: "", values: [] };
  let removed = false;
  /** The number that the person chose last, until Slicer has said it. */
  let chosen = null;
  let planned = 0;
  const gone = () => removed || state === null || (model.get("_status")?.state ?? "live") !== "live";

  function draw() {
    for (const each of [play, slider, rate, loop]) each.disabled = gone() || state.count < 2;
    title.textContent = axis.name;
    if (state === null) return;
    const index = chosen ?? state.index;
    slider.max = String(Math.max(0, state.count - 1));
    slider.value = String(index);
    const words = [axis.index_name, valueInWords(axis.values[index], axis.unit)].filter(Boolean).join(" ");
    value.textContent = words;
    place.textContent = `${index + 1} of ${state.count}`;
    slider.setAttribute("aria-valuetext", `${words}, ${place.textContent}`);
    shape.setAttribute("d", state.playing ? PAUSE : PLAY);
    play.setAttribute("aria-label", state.playing ? "Stop" : "Play");
    play.title = state.playing ? "Stop" : "Play";
    loop.checked = state.loop;
    const rates = RATES.includes(state.rate) ? RATES : [...RATES, state.rate].sort((a, b) => a - b);
    if (rate.dataset.rates !== rates.join()) {
      rate.dataset.rates = rates.join();
      fill(rate, rates.map((each) => h("option", { value: String(each) }, `${each} /s`)));
    }
    rate.value = String(state.rate);
  }

  slider.addEventListener("input", () => {
    chosen = slider.valueAsNumber;
    draw();
    planned ||= requestAnimationFrame(() => {
      planned = 0;
      questions.ask({ type: "index", index: chosen });
    });
  });
  play.addEventListener("click", () => questions.ask({ type: "play", playing: !state.playing }));
  rate.addEventListener("change", () => questions.ask({ type: "play", rate: Number(rate.value) }));
  loop.addEventListener("change", () => questions.ask({ type: "play", loop: loop.checked }));

  const heard = listener(model);
  heard.on("change:_status", () => {
    line.status(model.get("_status"));
    draw();
  });
  heard.on("msg:custom", (message) => {
    if (message.type === "state") {
      state = message;
      trouble.hidden = true;
      // What comes while the slider moves is older than where it is.
      if (!planned) chosen = null;
    } else if (message.type === "axis") axis = message;
    else if (message.type === "gone") {
      removed = true;
      fill(trouble, icon("warning"), h("span", {}, "This sequence is no longer in the scene."));
      trouble.hidden = false;
    } else if (message.type === "trouble") {
      chosen = null;
      fill(trouble, icon("error"), h("span", {}, message.message));
      trouble.hidden = false;
    } else return;
    draw();
  });
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
