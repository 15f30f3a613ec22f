// The effects of the segment editor as a tool bar: one is taken, or none.

/** Lines of a drawing of 24 x 24; those with a class are dashed or filled. */
const EFFECT_DRAWINGS = {
  none: [["M6 3.500v14.500l4-3.500 2.700 6 2.600-1.200-2.700-5.800 5.400-.500z"]],
  paint: [["M20.500 3.500 11.500 12.500"], ["M11 12.200c-1.600-.8-3.600-.4-4.700 1-1.500 1.900-.6 4.300-3.300 5.800 2.700 1.600 7 1.300 8.800-1 1.300-1.700 1-4.300-.8-5.800z", "full"]],
  erase: [["m8.500 19-4.300-4.300a1.500 1.500 0 0 1 0-2.100l8.200-8.200a1.500 1.500 0 0 1 2.100 0l5.100 5.100a1.500 1.500 0 0 1 0 2.100L12.200 19zM8.200 8.500l7.300 7.300M8 19.500h12"]],
  draw: [["M12 5.500c-4.500 0-8 2.200-8 6.500s3 7.500 7.500 7.500c4 0 7-2.300 7-5.500", "dash"], ["m13 13.500.6-3.100 5.700-5.700 2.500 2.500-5.700 5.700z"]],
  scissors: [["M8.500 6.500a2.500 2.500 0 1 1-5 0 2.500 2.500 0 0 1 5 0zM8.500 17.500a2.500 2.500 0 1 1-5 0 2.500 2.500 0 0 1 5 0zM8 8 20.500 18M8 16 20.500 6"]],
  threshold: [["M3 20h18M4 20c3 0 2.800-10 5.200-10s2 6.500 4.300 6.500 1.800-3 3.300-3S18.500 20 20 20"], ["M12 3v17", "dash"]],
  grow_from_seeds: [["M12 9.800a2.200 2.200 0 1 1 0 4.400 2.200 2.200 0 0 1 0-4.400z", "full"], ["M12 7V3M10 5l2-2 2 2M12 17v4M10 19l2 2 2-2M7 12H3M5 10l-2 2 2 2M17 12h4M19 10l2 2-2 2"]],
  fill_between_slices: [["M4 6.500 15 4l5 2-11 2.500zM4 18 15 15.500l5 2L9 20z"], ["M6.500 9.500v6M12 9.500v4.500M17.500 8.500v5.500", "dash"]],
  margin: [["M12 8.500a3.500 3.500 0 1 1 0 7 3.500 3.500 0 0 1 0-7z", "full"], ["M12 3.500a8.500 8.500 0 1 1 0 17 8.500 8.500 0 0 1 0-17z", "dash"]],
  hollow: [["M12 3.500a8.500 8.500 0 1 1 0 17 8.500 8.500 0 0 1 0-17zM12 7.500a4.500 4.500 0 1 1 0 9 4.500 4.500 0 0 1 0-9z"]],
  smooth: [["m3 9.500 2.300-5 2.600 5 2.600-5 2.600 5 2.600-5 2.600 5 2.700-5M3 17c3.500-5 5.500 4 9 1s5.500-4 9-.500"]],
  islands: [["M8 4.500a4.500 4.500 0 1 1 0 9 4.500 4.500 0 0 1 0-9z", "full"], ["M17.500 6.500a2 2 0 1 1 0 4 2 2 0 0 1 0-4zM15.500 15.500a2.500 2.500 0 1 1 0 5 2.500 2.500 0 0 1 0-5zM6 17.200a1.300 1.300 0 1 1 0 2.600 1.300 1.300 0 0 1 0-2.600z"]],
  logical: [["M9 6.500a5.500 5.500 0 1 1 0 11 5.500 5.500 0 0 1 0-11zM15 6.500a5.500 5.500 0 1 1 0 11 5.500 5.500 0 0 1 0-11z"], ["M12 7.400a5.500 5.500 0 0 1 0 9.200 5.500 5.500 0 0 1 0-9.200z", "full"]],
};
const NO_EFFECT = { name: "none", title: "None", tip: "The mouse is for the view: window and level, zoom, slices." };

function effectIcon(name) {
  const lines = EFFECT_DRAWINGS[name].map(([d, kind]) => h("path", { d, class: kind ? `sn-effect-${kind}` : null }));
  return h("svg", { viewBox: "0 0 24 24", class: "sn-effect-icon", "aria-hidden": "true" }, lines);
}

class EffectPalette {
  /** @param choose choose(name), null for none */
  constructor(choose) {
    this.choose = choose;
    this.buttons = new Map();
    this.chosen = "none";
    this.node = h("div", { class: "sn-effects", role: "toolbar", "aria-label": "Effects" });
    this.node.addEventListener("keydown", (event) => this.key(event));
  }

  /** What there is: {name, title, tip}, ... */
  describe(effects) {
    if (this.buttons.size) return;
    [NO_EFFECT, ...effects].forEach(({ name, title, tip }, number) => {
      const hint = number > 9 ? "" : ` (${number})`;
      const button = h("button", {
        class: "sn-effect", type: "button", "data-effect": name, "aria-pressed": "false", title: `${title}${hint}\n${tip}`,
        onclick: () => this.choose(name === "none" ? null : name),
      }, effectIcon(name), h("span", {}, title));
      this.buttons.set(name, button);
      this.node.append(button);
    });
    this.mark();
  }

  take(chosen) {
    this.chosen = chosen ?? "none";
    this.mark();
  }

  /** `off`: none can be taken; `bare`: there is no segment to work on. */
  disable(off, bare) {
    for (const [name, button] of this.buttons) button.disabled = off || (bare && name !== "none");
    this.mark();
  }

  mark() {
    const all = [...this.buttons.values()];
    const last = all.find((button) => button === document.activeElement && !button.disabled);
    const chosen = this.buttons.get(this.chosen);
    const here = last ?? (chosen?.disabled ? all.find((button) => !button.disabled) : chosen);
    for (const [name, button] of this.buttons) {
      button.setAttribute("aria-pressed", String(name === this.chosen));
      button.tabIndex = button === here ? 0 : -1;
    }
  }

  key(event) {
    const all = [...this.buttons.values()].filter((button) => !button.disabled);
    const now = all.indexOf(document.activeElement);
    if (now < 0) return;
    const row = all.filter((button) => button.offsetTop === all[0].offsetTop).length;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: row, ArrowUp: -row };
    const to = event.key === "Home" ? 0 : event.key === "End" ? all.length - 1 : event.key in steps ? now + steps[event.key] : null;
    if (to === null) return;
    event.preventDefault();
    event.stopPropagation();
    all[Math.max(0, Math.min(all.length - 1, to))].focus();
    this.mark();
  }
}
