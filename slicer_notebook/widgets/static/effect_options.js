// The options of an effect of the segment editor as a form. It shows what it is told, and says what the person sets.

/** Milliseconds for which a control that the person has just moved stays where it is, whatever is told. */
const OPTION_HOLD = 400;

/** A menu of [value, title], ...; an open one stays open, as it is filled only when it is another. */
function optionMenu(label, choose) {
  const node = h("select", { class: "sn-option-menu", "aria-label": label, "data-lm-suppress-shortcuts": "true", onchange: () => choose(node.value) });
  let shown = "";
  return {
    node,
    take(choices, value) {
      const key = JSON.stringify(choices);
      if (key !== shown) fill(node, choices.map(([each, title]) => h("option", { value: each }, title)));
      shown = key;
      node.value = value ?? "";
    },
  };
}

/** A line of a form: what it is called, and its control. */
function optionLine(title, ...controls) {
  return h("div", { class: "sn-option" }, h("span", { class: "sn-option-title", "aria-hidden": "true" }, title), controls);
}

class EffectOptions {
  /**
   * @param change change(effect, name, value)
   * @param act act(type): "apply", "auto"; "mask_by_threshold"
   */
  constructor(change, act) {
    this.change = change;
    this.act = act;
    this.effects = new Map();
    this.effect = null;
    this.controls = [];
    this.held = new Map();
    this.told = null;
    this.node = h("div", { class: "sn-options", role: "group", "aria-label": "Options of the effect" });
  }

  describe(effects) {
    for (const effect of effects) this.effects.set(effect.name, effect);
  }

  close() {
    for (const timer of this.held.values()) clearTimeout(timer);
  }

  /** {effect, values, picks, segment, intensities}, and the segments: [id, name], ... */
  take(told, segments) {
    this.told = told;
    this.segments = segments;
    const effect = this.effects.get(told.effect) ?? null;
    if (effect !== this.effect) this.build(effect);
    this.show();
  }

  /** The person is at a control: what is told of it meanwhile is shown afterwards. */
  hold(name) {
    clearTimeout(this.held.get(name));
    this.held.set(name, setTimeout(() => {
      this.held.delete(name);
      this.show();
    }, OPTION_HOLD));
  }

  say(option, value) {
    this.hold(option.name);
    this.told.values[this.effect.name][option.name] = value;
    this.show();
    this.change(this.effect.name, option.name, value);
  }

  build(effect) {
    for (const timer of this.held.values()) clearTimeout(timer);
    this.held.clear();
    this.effect = effect;
    this.controls = [];
    const head = effect ?? NO_EFFECT;
    const lines = (effect?.options ?? []).map((option) => {
      const control = this.control(option);
      this.controls.push([option, control]);
      return control.line;
    });
    this.apply = h("button", { class: "sn-button sn-button-main", type: "button", onclick: () => this.act("apply") }, effect?.apply || "Apply");
    this.pick = h("span", { class: "sn-hint", hidden: true }, "Click on an island in a slice view.");
    const buttons = h("div", { class: "sn-option-buttons" }, this.pick);
    if (effect?.name === "threshold") {
      buttons.append(
        h("button", { class: "sn-button", type: "button", title: "Editing is allowed only where intensities are in this range", onclick: () => this.act("mask_by_threshold") }, "Use as mask"),
      );
      this.find = h("button", { class: "sn-button", type: "button", onclick: () => this.act("auto") }, "Find");
      lines.splice(-2, 2, h("div", { class: "sn-option-pair" }, lines.slice(-2), this.find));
    }
    if (effect?.apply) buttons.append(this.apply);
    fill(this.node, h("strong", {}, head.title), h("p", { class: "sn-option-tip" }, head.tip), lines, buttons);
  }

  control(option) {
    const { title, kind, unit } = option;
    if (kind === "choice" || kind === "segment") {
      const menu = optionMenu(title, (value) => this.say(option, value === "" ? null : value));
      return { ...menu, line: optionLine(title, menu.node), show: (value) => menu.take(kind === "choice" ? option.choices : this.others(), value) };
    }
    if (kind === "flag") {
      const box = h("input", { type: "checkbox", onchange: () => this.say(option, box.checked) });
      return { node: box, line: h("label", { class: "sn-option sn-option-flag" }, box, title), show: (value) => (box.checked = value) };
    }
    const label = unit ? `${title}, ${unit}` : title;
    const found = slider(label, (value) => this.say(option, value));
    return {
      line: optionLine(title, found.node, h("span", { class: "sn-option-unit" }, unit)),
      show: (value) => {
        const { least, most, step } = option;
        const range = kind === "intensity" ? (this.told.intensities ?? [0, 1]) : [option.open ? step : least, most, step];
        if (value !== null) found.take(value, ...range);
      },
    };
  }

  others() {
    return [["", "Choose…"], ...this.segments.filter(([id]) => id !== this.told.segment)];
  }

  show() {
    if (!this.effect) return;
    const values = this.told.values[this.effect.name];
    for (const [option, control] of this.controls) {
      const [name, fitting] = option.only ?? [];
      control.line.hidden = Boolean(name) && !fitting.includes(values[name]);
      if (!this.held.has(option.name)) control.show(values[option.name]);
    }
    this.apply.hidden = this.told.picks;
    this.pick.hidden = !this.told.picks;
  }

  /** Make a number larger or smaller, by a factor. */
  scale(name, factor) {
    const option = this.effect?.options.find((each) => each.name === name);
    if (option) this.say(option, rounded(Math.max(option.step, this.told.values[this.effect.name][name] * factor), option.most));
  }

  disable(off, working) {
    for (const each of this.node.querySelectorAll("input, select, button")) each.disabled = off;
    if (this.apply) this.apply.disabled = off || working;
    if (this.find) this.find.disabled = off || working;
  }
}
