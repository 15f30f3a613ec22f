// A layout's arrangement as a small drawing: where its views are, in their colours.

/** Units of a drawing, and of what is between its views. */
const DRAWING_WIDTH = 48;
const DRAWING_HEIGHT = 34;
const GAP = 1.5;

/** The boxes of an arrangement's views (see view.arrangement): [{view, x, y, width, height}]. */
function layoutBoxes(part, box) {
  if (part.kind === "view") return [{ view: part.view, ...box }];
  const parts = part.children ?? [];
  if (!parts.length) return [];
  if (part.kind === "grid") {
    const columns = Math.max(...parts.map((each) => each.column + each.columns));
    const rows = Math.max(...parts.map((each) => each.row + each.rows));
    const [width, height] = [box.width / columns, box.height / rows];
    return parts.flatMap((each) => layoutBoxes(each, { x: box.x + each.column * width, y: box.y + each.row * height, width: each.columns * width, height: each.rows * height }));
  }
  if (part.kind === "tab") {
    // Tabs at the top, and the first one's views.
    const head = Math.min(6, box.height / 4);
    const width = box.width / Math.max(3, parts.length);
    const tabs = parts.map((each, index) => ({ view: each.view ?? {}, tab: true, x: box.x + index * width, y: box.y, width, height: head }));
    return [...tabs, ...layoutBoxes(parts[0], { ...box, y: box.y + head, height: box.height - head })];
  }
  const across = part.kind !== "vertical";
  const whole = parts.reduce((sum, each) => sum + each.weight, 0);
  let from = across ? box.x : box.y;
  return parts.flatMap((each) => {
    const length = ((across ? box.width : box.height) * each.weight) / whole;
    const own = across ? { ...box, x: from, width: length } : { ...box, y: from, height: length };
    from += length;
    // Windows of their own stand apart.
    if (part.kind === "viewports") own.width -= 2 * GAP;
    return layoutBoxes(each, own);
  });
}

/** The drawing, an <svg>. */
function layoutDrawing(arrangement) {
  const boxes = layoutBoxes(arrangement, { x: 0, y: 0, width: DRAWING_WIDTH, height: DRAWING_HEIGHT });
  const rectangle = ({ x, y, width, height }) => {
    const [w, h] = [Math.max(0.5, width - GAP), Math.max(0.5, height - GAP)];
    return `M${(x + GAP / 2).toFixed(2)} ${(y + GAP / 2).toFixed(2)}h${w.toFixed(2)}v${h.toFixed(2)}h${(-w).toFixed(2)}z`;
  };
  // Views without slices or a scene have no colour of their own: paper, with lines of a table or a curve.
  const paper = (view) => ["plot", "table"].includes(view.kind);
  const colour = (view) => (paper(view) ? "#eeeeee" : /^#[0-9a-f]{6}$/.test(view.color ?? "") ? view.color : "#9e9e9e");
  const inked = ({ view, x, y, width, height }) => {
    const at = (across, down) => `${(x + across * width).toFixed(2)} ${(y + down * height).toFixed(2)}`;
    const ink = view.kind === "plot" ? `M${at(0.2, 0.75)}L${at(0.4, 0.4)}L${at(0.6, 0.6)}L${at(0.8, 0.25)}` : [0.35, 0.5, 0.65].map((down) => `M${at(0.2, down)}L${at(0.8, down)}`).join("");
    return h("path", { d: ink, fill: "none", class: "sn-ls-ink" });
  };
  return h("svg", { viewBox: `0 0 ${DRAWING_WIDTH} ${DRAWING_HEIGHT}`, class: "sn-ls-drawing", "aria-hidden": "true" },
    boxes.flatMap((each) => [
      h("path", { d: rectangle(each), fill: colour(each.view), class: each.tab ? "sn-ls-tab" : null }),
      paper(each.view) && !each.tab ? inked(each) : null,
    ]));
}
