// Segments as rows: an eye, a colour, a name, an opacity, an order. A part of whatever shows the segments of a
// segmentation: SegmentList draws into an element of its own, and says by `ask` what the person wants.

/** Milliseconds for which a control that the person has just moved stays where it is, whatever Slicer says. */
const SEGMENT_HOLD = 400;
/** Milliseconds in which a second press of Delete removes. */
const SEGMENT_SURE = 3000;

const SEGMENT_ICONS = {
  up: "M12 4 4 12l1.400 1.400L11 7.800V20h2V7.800l5.600 5.600L20 12z",
  grip: "M9 5a1.500 1.500 0 1 1 0 3 1.500 1.500 0 0 1 0-3zm6 0a1.500 1.500 0 1 1 0 3 1.500 1.500 0 0 1 0-3zM9 10.500a1.500 1.500 0 1 1 0 3 1.500 1.500 0 0 1 0-3zm6 0a1.500 1.500 0 1 1 0 3 1.500 1.500 0 0 1 0-3zM9 16a1.500 1.500 0 1 1 0 3 1.500 1.500 0 0 1 0-3zm6 0a1.500 1.500 0 1 1 0 3 1.500 1.500 0 0 1 0-3z",
};

function segmentIcon(name) {
  return h("svg", { viewBox: "0 0 24 24", class: "sn-icon", "aria-hidden": "true" }, h("path", { d: SEGMENT_ICONS[name] }));
}

class SegmentList {
  /**
   * @param ask ask({type, ...}): select, visible, color, opacity, rename, move, remove
   */
  constructor({ ask }) {
    this.ask = ask;
    this.order = [];
    this.rows = new Map();
    this.selected = null;
    this.measured = false;
    this.off = false;
    this.sure = null;
    this.timers = new Set();
    this.body = h("div", { class: "sn-seg-body", role: "rowgroup" });
    const heads = ["", "Shown", "Colour", "Segment", "Is", "Opacity", "Voxels", "mm³", ""];
    const titles = ["Order", "", "", "", "", "", "", "", "Remove"];
    this.head = h("div", { class: "sn-seg-row sn-seg-head", role: "row" },
      heads.map((head, i) => h("span", { role: "columnheader", class: `sn-seg-c${i}` },
        head === "Shown" || head === "Colour" || head === "" ? h("span", { class: "sn-seg-unseen" }, head || titles[i]) : head)));
    this.element = h("div", { class: "sn-seg-list", role: "grid", "aria-label": "Segments" }, h("div", { role: "rowgroup" }, this.head), this.body);
    this.element.addEventListener("keydown", (event) => this.key(event));
    this.body.addEventListener("dragover", (event) => this.dragOver(event));
    this.body.addEventListener("drop", (event) => this.drop(event));
    this.body.addEventListener("dragleave", () => this.mark(null));
  }

  close() {
    for (const timer of this.timers) clearTimeout(timer);
  }

  /** Nothing can be changed any more, or it can again. */
  disable(off) {
    this.off = off;
    this.element.classList.toggle("sn-seg-off", off);
    for (const row of this.rows.values()) this.enable(row);
  }

  /** {order, rows}: all ids in their order, and the rows that are new or others. */
  take({ order, rows }) {
    const focused = this.body.contains(document.activeElement) ? document.activeElement.closest(".sn-seg-row")?.dataset.id : null;
    this.order = order;
    for (const facts of rows) {
      if (!this.rows.has(facts.id)) this.rows.set(facts.id, this.make(facts.id));
      this.update(this.rows.get(facts.id), facts);
    }
    const present = new Set(order);
    let lost = false;
    for (const [id, row] of this.rows) {
      if (present.has(id)) continue;
      lost ||= focused === id;
      row.node.remove();
      this.rows.delete(id);
    }
    // Only what stands elsewhere is moved: an element that is taken out loses its focus.
    let at = this.body.firstElementChild;
    for (const id of order) {
      const node = this.rows.get(id).node;
      if (node === at) at = at.nextElementSibling;
      else this.body.insertBefore(node, at);
    }
    order.forEach((id, index) => this.rows.get(id).node.setAttribute("aria-rowindex", String(index + 2)));
    this.element.setAttribute("aria-rowcount", String(order.length + 1));
    if (focused && !lost && !this.body.contains(document.activeElement)) this.rows.get(focused)?.node.focus();
    if (lost) this.rows.get(order[0])?.node.focus();
    this.rove();
  }

  select(id, { focus = false } = {}) {
    this.selected = id;
    for (const [each, row] of this.rows) {
      row.node.setAttribute("aria-selected", each === id ? "true" : "false");
      row.node.classList.toggle("sn-seg-chosen", each === id);
    }
    this.rove();
    const row = this.rows.get(id);
    if (row && focus) row.node.focus({ preventScroll: true });
    row?.node.scrollIntoView?.({ block: "nearest" });
  }

  /** {id: {voxels, volume_mm3, ...} or null where it is not known any more}. */
  measures(values) {
    for (const [id, found] of Object.entries(values)) {
      const row = this.rows.get(id);
      if (!row) continue;
      row.measure = found;
      row.voxels.textContent = found ? found.voxels.toLocaleString("en") : "";
      row.cubic.textContent = found ? found.volume_mm3.toLocaleString("en", { maximumFractionDigits: found.volume_mm3 < 100 ? 2 : 0 }) : "";
      const words = [];
      if (found) words.push(`${(found.volume_mm3 / 1000).toLocaleString("en", { maximumFractionDigits: 3 })} cm³`);
      if (found && "mean" in found) {
        const number = (value) => (value === null ? "–" : value.toLocaleString("en", { maximumSignificantDigits: 5 }));
        words.push(`mean ${number(found.mean)} ± ${number(found.std)}, median ${number(found.median)}, ${number(found.min)} to ${number(found.max)} (${found.sampled.toLocaleString("en")} voxels)`);
      }
      row.voxels.title = row.cubic.title = words.join("\n");
    }
    this.measured = [...this.rows.values()].some((row) => row.measure);
    this.element.classList.toggle("sn-seg-measured", this.measured);
  }

  // -- a row ---------------------------------------------------------------------------------------------------------

  make(id) {
    const row = { id, facts: null, held: new Map(), measure: null };
    const say = (type, what) => !this.off && this.ask({ type, id, ...what });
    const inner = { tabindex: "-1" };
    row.grip = h("span", { class: "sn-seg-grip", draggable: "true", title: "Drag to another place (Alt+↑, Alt+↓)",
      ondragstart: (event) => this.dragStart(event, row), ondragend: () => this.dragEnd() }, segmentIcon("grip"));
    row.eye = h("button", { class: "sn-icon-button", type: "button", ...inner, onclick: () => {
      const visible = !row.facts.visible;
      this.update(row, { ...row.facts, visible });
      say("visible", { visible });
    } });
    row.color = h("input", { class: "sn-seg-color", type: "color", ...inner, oninput: () => {
      this.hold(row, "color");
      say("color", { color: row.color.value });
    } });
    row.text = h("span", { class: "sn-seg-text", ondblclick: () => this.rename(row) });
    row.name = h("span", { role: "gridcell", class: "sn-seg-name" }, row.text);
    row.term = h("span", { role: "gridcell", class: "sn-seg-term" });
    row.opacity = h("input", { class: "sn-seg-opacity", type: "range", min: "0", max: "100", step: "1", ...inner, oninput: () => {
      this.hold(row, "opacity");
      row.opacity.title = `${row.opacity.value} %`;
      say("opacity", { opacity: Number(row.opacity.value) / 100 });
    } });
    row.voxels = h("span", { role: "gridcell", class: "sn-seg-number" });
    row.cubic = h("span", { role: "gridcell", class: "sn-seg-number" });
    row.away = h("button", { class: "sn-icon-button sn-seg-away", type: "button", ...inner, onclick: () => this.remove(row) }, icon("close"));
    row.controls = [row.eye, row.color, row.opacity, row.away];
    row.node = h("div", {
      class: "sn-seg-row", role: "row", "data-id": id, tabindex: "-1", "aria-selected": "false",
      onclick: () => this.choose(id),
    }, h("span", { role: "gridcell" }, row.grip), h("span", { role: "gridcell" }, row.eye), h("span", { role: "gridcell" }, row.color),
      row.name, row.term, h("span", { role: "gridcell" }, row.opacity), row.voxels, row.cubic, h("span", { role: "gridcell" }, row.away));
    this.enable(row);
    return row;
  }

  update(row, facts) {
    const before = row.facts;
    row.facts = facts;
    const { name } = facts;
    if (before?.visible !== facts.visible) fill(row.eye, icon(facts.visible ? "eye" : "hidden"));
    row.eye.setAttribute("aria-pressed", facts.visible ? "true" : "false");
    row.node.classList.toggle("sn-seg-hidden", !facts.visible);
    if (!row.held.has("color")) row.color.value = facts.color;
    if (!row.held.has("opacity")) {
      row.opacity.value = String(Math.round(facts.opacity * 100));
      row.opacity.title = `${row.opacity.value} %`;
    }
    row.term.textContent = row.term.title = facts.term;
    if (before?.name === name) return;
    row.text.textContent = row.text.title = name;
    row.eye.setAttribute("aria-label", `Show ${name}`);
    row.color.setAttribute("aria-label", `Colour of ${name}`);
    row.opacity.setAttribute("aria-label", `Opacity of ${name}, percent`);
    if (this.sure !== row) row.away.setAttribute("aria-label", `Remove ${name}`);
  }

  enable(row) {
    for (const control of row.controls) control.disabled = this.off;
    row.grip.setAttribute("draggable", this.off ? "false" : "true");
  }

  /** The person is at a control: what Slicer says of it meanwhile is shown afterwards. */
  hold(row, what) {
    clearTimeout(row.held.get(what));
    this.timers.delete(row.held.get(what));
    row.held.set(what, this.later(SEGMENT_HOLD, () => {
      row.held.delete(what);
      this.update(row, row.facts);
    }));
  }

  later(milliseconds, then) {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      then();
    }, milliseconds);
    this.timers.add(timer);
    return timer;
  }

  rename(row) {
    if (this.off || row.name.querySelector("input")) return;
    const input = h("input", { class: "sn-seg-edit", type: "text", "aria-label": `New name of ${row.facts.name}` });
    input.value = row.facts.name;
    let done = false;
    const end = (keep) => {
      if (done) return;
      done = true;
      const focused = document.activeElement === input;
      const text = input.value.trim();
      input.replaceWith(row.text);
      if (focused) row.node.focus();
      if (keep && text && text !== row.facts.name) {
        this.update(row, { ...row.facts, name: text });
        this.ask({ type: "rename", id: row.id, name: text });
      }
    };
    input.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter") end(true);
      else if (event.key === "Escape") end(false);
    });
    input.addEventListener("blur", () => end(true));
    input.addEventListener("click", (event) => event.stopPropagation());
    row.text.replaceWith(input);
    input.focus();
    input.select();
  }

  /** Twice within a moment: nothing brings a segment back. */
  remove(row) {
    if (this.off) return;
    if (this.sure === row) {
      this.unsure();
      this.ask({ type: "remove", id: row.id });
      return;
    }
    this.unsure();
    this.sure = row;
    row.node.classList.add("sn-seg-sure");
    row.away.setAttribute("aria-label", `Remove ${row.facts.name}: press again to be sure`);
    row.away.title = "Press again to remove";
    this.later(SEGMENT_SURE, () => this.sure === row && this.unsure());
  }

  unsure() {
    const row = this.sure;
    if (!row) return;
    this.sure = null;
    row.node.classList.remove("sn-seg-sure");
    row.away.setAttribute("aria-label", `Remove ${row.facts.name}`);
    row.away.title = "";
  }

  // -- choosing and order ----------------------------------------------------------------------------------------------

  choose(id, options) {
    if (this.selected === id) return;
    this.select(id, options);
    this.ask({ type: "select", id });
  }

  /** One row is in the order of Tab, and its controls; arrows go to the others. */
  rove() {
    const here = this.rows.has(this.selected) ? this.selected : this.order[0];
    for (const [id, row] of this.rows) {
      const index = id === here ? "0" : "-1";
      row.node.tabIndex = Number(index);
      for (const control of row.controls) control.tabIndex = Number(index);
    }
  }

  key(event) {
    const node = event.target.closest(".sn-seg-row");
    const row = node && this.rows.get(node.dataset.id);
    if (!row) return;
    const inside = event.target !== node;
    const at = this.order.indexOf(row.id);
    const goTo = (index) => {
      const id = this.order[Math.max(0, Math.min(this.order.length - 1, index))];
      this.choose(id);
      this.rows.get(id).node.focus();
    };
    // A slider and a colour have arrows of their own.
    const own = inside && event.target.tagName === "INPUT";
    if (own && event.key !== "Escape") return;
    if (event.altKey && ["ArrowUp", "ArrowDown"].includes(event.key)) this.moveTo(row.id, at + (event.key === "ArrowUp" ? -1 : 1));
    else if (event.key === "ArrowDown") goTo(at + 1);
    else if (event.key === "ArrowUp") goTo(at - 1);
    else if (event.key === "Home") goTo(0);
    else if (event.key === "End") goTo(this.order.length - 1);
    else if (event.key === "Escape") inside ? node.focus() : this.unsure();
    else if (inside) return;
    else if (event.key === " ") row.eye.click();
    else if (event.key === "F2" || event.key === "Enter") this.rename(row);
    else if (event.key === "Delete") this.remove(row);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  moveTo(id, index) {
    if (this.off || index < 0 || index >= this.order.length || this.order.indexOf(id) === index) return;
    const order = this.order.filter((each) => each !== id);
    order.splice(index, 0, id);
    this.take({ order, rows: [] });
    this.ask({ type: "move", id, index });
  }

  dragStart(event, row) {
    this.dragged = row.id;
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", row.facts.name);
    event.dataTransfer.setDragImage(row.node, 8, 8);
  }

  /** Where a drop would put the row: the index that it would have. */
  place(event) {
    const over = event.target.closest(".sn-seg-row");
    if (!over || !this.rows.has(over.dataset.id)) return null;
    const box = over.getBoundingClientRect();
    const after = event.clientY > box.top + box.height / 2;
    const rest = this.order.filter((id) => id !== this.dragged);
    const at = rest.indexOf(over.dataset.id);
    return { node: over, after, index: at < 0 ? this.order.indexOf(this.dragged) : at + (after ? 1 : 0) };
  }

  dragOver(event) {
    if (!this.dragged) return;
    const found = this.place(event);
    if (!found) return;
    event.preventDefault();
    this.mark(found);
  }

  drop(event) {
    const found = this.dragged && this.place(event);
    if (!found) return;
    event.preventDefault();
    const id = this.dragged;
    this.mark(null);
    this.moveTo(id, found.index);
  }

  dragEnd() {
    this.mark(null);
    this.dragged = null;
  }

  /** The line where a drop would put the row; null takes it away. */
  mark(found) {
    for (const row of this.rows.values()) row.node.classList.remove("sn-seg-before", "sn-seg-after");
    if (found) found.node.classList.add(found.after ? "sn-seg-after" : "sn-seg-before");
  }
}
