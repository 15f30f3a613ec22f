// Numbers that a person sets: with a slider, and typed.

/** A number for a person: as many digits as its place in a range of this width needs. */
function rounded(value, width) {
  const digits = Math.max(0, Math.min(8, 3 - Math.floor(Math.log10(width || 1))));
  return Number(value.toFixed(digits));
}

/** `take(number)` when a person has typed one: by Enter, of which JupyterLab tells an input nothing more, or by leaving. */
function onTyped(input, take) {
  let former = "";
  const commit = () => {
    if (input.value === "" || input.value === former || !Number.isFinite(Number(input.value))) return;
    former = input.value;
    take(Number(input.value));
  };
  input.addEventListener("focus", () => {
    former = input.value;
  });
  input.addEventListener("change", commit);
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    event.stopPropagation();
    commit();
  });
}

/** A range with a number beside it. `change(value)` while it is moved. */
function slider(label, change, { min = 0, max = 1, step = 0.01 } = {}) {
  const range = h("input", { type: "range", min, max, step, "aria-label": label });
  const number = h("input", { type: "number", step: "any", class: "sn-num-input", "aria-label": `${label}, number` });
  let width = max - min;
  range.addEventListener("input", () => {
    number.value = rounded(Number(range.value), width);
    change(Number(range.value));
  });
  onTyped(number, change);
  return {
    node: h("span", { class: "sn-num-slider" }, range, number),
    range,
    take(value, low = min, high = max, each = null) {
      width = high - low;
      range.min = low;
      range.max = high;
      range.step = each ?? (high - low > 100 ? 1 : (high - low) / 200);
      range.value = value;
      if (document.activeElement !== number) number.value = rounded(value, width);
    },
  };
}
