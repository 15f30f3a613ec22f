// Two volumes in one slice. The browser has both pictures, and draws them over each other.

const COMPARE_MODES = ["blend", "checkerboard", "swipe", "side by side"];
const COMPARE_TURNS = [["", "As the view"], ["Axial", "Axial"], ["Sagittal", "Sagittal"], ["Coronal", "Coronal"], ["Volume", "As acquired"]];
/** As Comparison.image. */
const COMPARE_SQUARES = 8;
/** Milliseconds after which a request without an answer counts as lost. */
const COMPARE_LOST = 3000;

function render({ model, el }) {
  const root = rootElement(el, "sn-compare", "Comparison of two volumes", model);
  const line = banner();
  const questions = asker(model, line.waiting);
  const canvas = h("canvas", { class: "sn-compare-picture", tabindex: 0, role: "img" });
  const modes = menu("Mode", COMPARE_MODES.map((mode) => [mode, mode[0].toUpperCase() + mode.slice(1)]),
    (mode) => say({ mode }));
  const turns = menu("Orientation", COMPARE_TURNS, (orientation) => questions.ask({ type: "turn", orientation }));
  const position = h("input", { type: "range", min: 0, max: 1, step: 0.005, class: "sn-compare-range", "aria-label": "Blend or border" });
  const slider = h("input", { type: "range", min: 0, max: 1, step: 1, class: "sn-compare-range", "aria-label": "Slice offset" });
  const where = h("span", { class: "sn-compare-where" });
  const names = { a: h("strong", { class: "sn-compare-name" }), b: h("strong", { class: "sn-compare-name" }) };
  const problem = h("div", { class: "sn-compare-problem", role: "status", hidden: true });
  root.append(line.node,
    h("div", { class: "sn-compare-bar" }, modes, names.a, position, names.b),
    h("div", { class: "sn-compare-stage" }, canvas), problem,
    h("div", { class: "sn-compare-bar" }, turns, slider, where));

  let shown = null;
  let pictures = [];
  let wanted = null;
  let busy = false;
  let lost = 0;
  let frame = 0;
  let mode = model.get("mode");
  let at = model.get("position");
  let round = 0;

  function menu(title, entries, chosen) {
    const select = h("select", { class: "sn-compare-menu", "aria-label": title, title, "data-lm-suppress-shortcuts": true },
      entries.map(([value, text]) => h("option", { value }, text)));
    select.addEventListener("change", () => chosen(select.value));
    return select;
  }

  function say(what) {
    if (what.mode) mode = what.mode;
    if (what.position !== undefined) at = what.position;
    draw();
    questions.ask({ type: "mode", ...what });
  }

  /** Draw what is to be seen, in the next frame. */
  function draw() {
    if (!frame) frame = requestAnimationFrame(drawNow);
  }

  function drawNow() {
    frame = 0;
    modes.value = mode;
    position.value = at;
    position.disabled = mode !== "blend" && mode !== "swipe";
    if (pictures.length < 3) return;
    const [a, b, over] = pictures;
    const { width, height } = a;
    canvas.width = mode === "side by side" ? 2 * width : width;
    canvas.height = height;
    const pen = canvas.getContext("2d");
    pen.drawImage(a, 0, 0);
    if (mode === "blend") {
      pen.globalAlpha = at;
      pen.drawImage(over, 0, 0);
    } else if (mode === "side by side") {
      pen.drawImage(b, width, 0);
    } else {
      pen.beginPath();
      if (mode === "swipe") {
        // The first column whose middle is behind the border.
        const first = Math.floor(at * width + 0.5);
        pen.rect(first, 0, width - first, height);
      } else {
        const edge = Math.max(1, Math.ceil(Math.max(width, height) / COMPARE_SQUARES));
        for (let row = 0; row * edge < height; row += 1) {
          for (let column = (row + 1) % 2; column * edge < width; column += 2) pen.rect(column * edge, row * edge, edge, edge);
        }
      }
      pen.clip();
      pen.clearRect(0, 0, width, height);
      pen.drawImage(b, 0, 0);
    }
    canvas.setAttribute("aria-label", `${mode} of ${shown.names.a} and ${shown.names.b}, ${millimetres(shown.offset)}`);
  }

  const millimetres = (value) => `${(Math.abs(value) < 0.05 ? 0 : value).toFixed(1)} mm`;

  async function take(message, buffers) {
    const mine = (round += 1);
    const made = await Promise.all(buffers.map((bytes) => createImageBitmap(new Blob([bytes], { type: "image/png" }))));
    if (mine !== round) return;
    for (const each of pictures) each.close();
    pictures = made;
    shown = message;
    const [low, high] = shown.offset_range;
    slider.max = Math.max(1, Math.round((high - low) / shown.offset_step));
    if (wanted === null && !busy) slider.value = Math.round((shown.offset - low) / shown.offset_step);
    where.textContent = `${millimetres(shown.offset)} ${shown.letters.normal}`;
    slider.setAttribute("aria-valuetext", where.textContent);
    for (const each of ["a", "b"]) {
      names[each].textContent = shown.names[each];
      names[each].title = shown.names[each];
    }
    problem.hidden = true;
    draw();
    done();
  }

  function scroll(steps) {
    if (!shown) return;
    slider.value = Number(slider.value) + steps;
    const [low] = shown.offset_range;
    wanted = low + Number(slider.value) * shown.offset_step;
    flush();
  }

  /** One request at a time; the newest offset wins. */
  function flush() {
    if (busy || wanted === null) return;
    busy = true;
    lost = setTimeout(done, COMPARE_LOST);
    questions.ask({ type: "scroll", offset: wanted });
    wanted = null;
  }

  function done() {
    clearTimeout(lost);
    busy = false;
    flush();
  }

  slider.addEventListener("input", () => scroll(0));
  position.addEventListener("input", () => say({ position: Number(position.value) }));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    scroll(event.deltaY < 0 ? 1 : -1);
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const steps = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
    if (!steps) return;
    event.preventDefault();
    scroll(steps);
  });
  const drag = (event) => {
    if (mode !== "swipe" || !(event.buttons & 1)) return;
    const box = canvas.getBoundingClientRect();
    say({ position: Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) });
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    drag(event);
  });
  canvas.addEventListener("pointermove", drag);

  const heard = listener(model);
  heard.on("change:_status", () => line.status(model.get("_status")));
  heard.on("change:mode", () => {
    mode = model.get("mode");
    draw();
  });
  heard.on("change:position", () => {
    at = model.get("position");
    draw();
  });
  heard.on("msg:custom", (message, buffers) => {
    if (message.type === "pictures") take(message, buffers.map((each) => each.buffer ?? each));
    else if (message.type === "failed") {
      problem.hidden = false;
      problem.textContent = message.message;
      done();
    }
  });
  line.status(model.get("_status"));
  questions.ask({ type: "hello" });
  return () => {
    heard.close();
    questions.close();
    clearTimeout(lost);
    cancelAnimationFrame(frame);
    for (const each of pictures) each.close();
  };
}

export default { render };
