// The bar of a slice view. It renders into an element, and speaks by messages; any widget can have one.

/** Milliseconds after which a request without an answer counts as lost. */
const SLICE_LOST = 3000;

const SLICE_ICONS = {
  link: "M3.900 12A3.100 3.100 0 0 1 7 8.900h4V7H7a5 5 0 0 0 0 10h4v-1.900H7A3.100 3.100 0 0 1 3.900 12zM8 13h8v-2H8v2zm9-6h-4v1.900h4a3.100 3.100 0 0 1 0 6.200h-4V17h4a5 5 0 0 0 0-10z",
  fit: "M4 4h6v2H6v4H4V4zm10 0h6v6h-2V6h-4V4zM4 14h2v4h4v2H4v-6zm14 0h2v6h-6v-2h4v-4zM9 9h6v6H9V9z",
};

/** "12.5", "-3.0", and no "-0.0". */
function millimetres(value) {
  const text = value.toFixed(Math.abs(value) < 1000 ? 1 : 0);
  return Number(text) === 0 ? text.replace("-", "") : text;
}

/**
 * A slice view's bar.
 *
 * new SliceBar(ask): `ask(message)` sends a message {type: "slice", ...what is to be set}. `bar.node` is the element;
 * `bar.take(message)` takes the messages "slice", "slice_choices" and "slice_done"; `bar.gone(yes)` says that there is
 * no Slicer; `bar.close()` ends it.
 */
class SliceBar {
  constructor(ask) {
    this.ask = ask;
    this.state = null;
    this.choices = { volumes: [], label_maps: [] };
    this.wanted = {};
    this.busy = false;
    this.frame = 0;
    this.build();
  }

  build() {
    const toggle = (name, picture, title) => h("button", {
      class: "sn-slice-button", type: "button", title, "aria-label": title, "aria-pressed": "false",
      onclick: () => this.want({ [name]: this.toggles[name].getAttribute("aria-pressed") !== "true" }),
    }, picture);
    const drawn = (path) => h("svg", { viewBox: "0 0 24 24", class: "sn-icon", "aria-hidden": "true" }, h("path", { d: path }));
    this.toggles = {
      linked: toggle("linked", drawn(SLICE_ICONS.link), "Linked: views of this group follow"),
      visible_in_3d: toggle("visible_in_3d", icon("cube"), "Shown in 3-D"),
      hot_linked: toggle("hot_linked", "Follow while dragging", "Linked views follow while dragging"),
      label_outline: toggle("label_outline", "Outline", "Label maps as outlines"),
    };
    this.label = h("span", { class: "sn-slice-label" });
    this.slider = h("input", { type: "range", class: "sn-slice-offset", min: 0, max: 1, step: 1, "aria-label": "Slice offset" });
    this.slider.addEventListener("input", () => this.want({ offset: this.offsetOf(Number(this.slider.value)) }));
    this.number = h("input", { type: "number", class: "sn-slice-number", step: "any", "aria-label": "Slice offset, mm" });
    this.number.addEventListener("change", () => {
      const value = Number(this.number.value);
      if (this.number.value !== "" && Number.isFinite(value)) this.want({ offset: value });
    });
    this.number.addEventListener("keydown", (event) => {
      const step = { ArrowUp: 1, ArrowDown: -1 }[event.key];
      if (!step || !this.state) return;
      event.preventDefault();
      this.want({ offset: Number(this.number.value) + step * this.state.offset_step });
    });
    this.unit = h("span", { class: "sn-slice-unit" });
    this.orientation = this.menu("Orientation", (value) => this.want({ orientation: value }));
    this.more = h("button", {
      class: "sn-slice-button sn-slice-more", type: "button", title: "Layers", "aria-label": "Layers", "aria-expanded": "false",
      onclick: () => this.open(this.layers.hidden),
    }, icon("chevron"));
    const fit = h("button", { class: "sn-slice-button", type: "button", title: "Fit to the volume", "aria-label": "Fit to the volume", onclick: () => this.want({ fit: true }) }, drawn(SLICE_ICONS.fit));
    this.problem = h("span", { class: "sn-slice-problem", role: "status", hidden: true });
    const layer = (name, title, opacity) => {
      const select = this.menu(title, (value) => this.want({ [name]: value }));
      const range = opacity ? h("input", { type: "range", min: 0, max: 1, step: 0.01, "aria-label": `${title}: opacity` }) : null;
      range?.addEventListener("input", () => this.want({ [opacity]: Number(range.value) }));
      this.fields[name] = { select, range, opacity };
      return h("div", { class: "sn-slice-layer" }, h("span", { class: "sn-hint" }, title), select, range,
        name === "label_map" ? this.toggles.label_outline : null);
    };
    this.fields = {};
    this.layers = h("div", { class: "sn-slice-layers", hidden: true },
      layer("label_map", "Label map", "label_opacity"), layer("foreground", "Foreground", "foreground_opacity"),
      layer("background", "Background", null), this.toggles.hot_linked);
    this.bar = h("div", { class: "sn-slice-main" }, this.label, this.more, this.toggles.linked, fit, this.toggles.visible_in_3d,
      this.slider, this.number, this.unit, this.orientation);
    this.node = h("div", { class: "sn-slice-bar", role: "toolbar", "aria-label": "Slice view" }, this.bar, this.layers, this.problem);
    this.controls = [...this.node.querySelectorAll("button, input, select")];
    for (const each of this.controls) {
      each.disabled = true;
      each.setAttribute("data-lm-suppress-shortcuts", "true");
    }
  }

  menu(title, chosen) {
    const select = h("select", { class: "sn-slice-menu", "aria-label": title, title });
    select.addEventListener("change", () => chosen(select.value));
    return select;
  }

  open(yes) {
    this.layers.hidden = !yes;
    this.more.setAttribute("aria-expanded", String(yes));
  }

  offsetOf(index) {
    const [low, high] = this.state.offset_range;
    return Math.min(low + index * this.state.offset_step, high);
  }

  /** Have something set; the newest values win, one request at a time, one look at the hand in a frame. */
  want(what) {
    if (!this.state) return;
    Object.assign(this.wanted, what);
    const { fit: _fit, ...shown } = what;
    for (const name of ["background", "foreground", "label_map"]) {
      if (name in shown) shown[name] = shown[name] ? { id: shown[name], name: "" } : null;
    }
    Object.assign(this.state, shown);
    this.draw();
    if (!this.frame) this.frame = requestAnimationFrame(() => this.flush());
  }

  flush() {
    this.frame = 0;
    if (this.busy || !Object.keys(this.wanted).length) return;
    this.busy = true;
    this.lost = setTimeout(() => this.done(), SLICE_LOST);
    const wanted = this.wanted;
    this.wanted = {};
    this.asked = new Set(Object.keys(wanted));
    this.ask({ type: "slice", ...wanted });
  }

  done() {
    clearTimeout(this.lost);
    this.busy = false;
    this.asked = new Set();
    this.flush();
  }

  take(message) {
    if (message.type === "slice") {
      const kept = {};
      for (const name of [...Object.keys(this.wanted), ...(this.asked ?? [])]) {
        if (this.state && name in this.state) kept[name] = this.state[name];
      }
      this.state = { ...message.state, ...kept };
      this.draw();
    } else if (message.type === "slice_choices") {
      this.choices = { volumes: message.volumes, label_maps: message.label_maps };
      if (this.state) this.draw();
    } else if (message.type === "slice_done") {
      this.problem.hidden = !message.problem;
      this.problem.textContent = message.problem ?? "";
      this.done();
    }
  }

  gone(yes) {
    this.isGone = yes;
    if (this.state) this.draw();
  }

  draw() {
    const { state } = this;
    const [low, high] = state.offset_range;
    const last = Math.max(1, Math.round((high - low) / state.offset_step));
    for (const each of this.controls) each.disabled = Boolean(this.isGone);
    this.node.style.setProperty("--sn-view", state.color);
    this.label.textContent = state.label || state.name;
    this.label.title = `View ${state.name}`;
    this.slider.max = last;
    this.slider.value = Math.round((state.offset - low) / state.offset_step);
    this.slider.setAttribute("aria-valuetext", `${millimetres(state.offset)} mm ${state.normal}`);
    if (document.activeElement !== this.number || this.number.value === "" || this.wanted.offset !== undefined || this.busy) {
      this.number.value = millimetres(state.offset);
    }
    this.unit.textContent = `mm ${state.normal}`;
    this.unit.title = `Rising offsets lead to ${state.normal}`;
    for (const [name, button] of Object.entries(this.toggles)) button.setAttribute("aria-pressed", String(Boolean(state[name])));
    const turns = state.orientations.map((name) => [name, name]);
    if (!state.orientations.includes(state.orientation)) turns.push([state.orientation, state.orientation]);
    this.options(this.orientation, turns, state.orientation);
    for (const [name, { select, range, opacity }] of Object.entries(this.fields)) {
      const all = name === "label_map" ? this.choices.label_maps : [...this.choices.volumes, ...this.choices.label_maps];
      const entries = [["", "None"], ...all.map((each) => [each.id, each.name])];
      const chosen = state[name];
      if (chosen && !all.some((each) => each.id === chosen.id)) entries.push([chosen.id, chosen.name]);
      this.options(select, entries, chosen?.id ?? "");
      if (range) {
        range.value = state[opacity];
        range.disabled = Boolean(this.isGone) || !chosen;
      }
    }
    this.toggles.label_outline.disabled = Boolean(this.isGone) || !state.label_map;
    this.toggles.hot_linked.disabled = Boolean(this.isGone) || !state.linked;
  }

  /** Fill a menu, but only when it is another: an open one would close. */
  options(select, entries, chosen) {
    const key = JSON.stringify(entries);
    if (select.dataset.entries !== key) {
      select.dataset.entries = key;
      fill(select, entries.map(([value, text]) => {
        const option = h("option", { value });
        option.textContent = text;
        return option;
      }));
    }
    select.value = chosen;
  }

  close() {
    clearTimeout(this.lost);
    cancelAnimationFrame(this.frame);
  }
}
