// The whole layout, live: rows, columns, tabs and views as Slicer arranges them.

function render({ model, el }) {
  const root = rootElement(el, "sn-layout", "Slicer's views, live", model);
  const line = banner();
  const place = h("div", { class: "sn-layout-place" });
  const spot = new SpotLine();
  root.append(place, spot.node, line.node);
  const me = Math.random().toString(36).slice(2);
  const say = (message) => model.send(message);
  const cells = new Map();
  const news = listener(model);

  /** A view's place: what it is called, in its colour, and its picture. */
  function cellOf(view) {
    const known = cells.get(view.name);
    if (known) {
      known.describe(view);
      return known;
    }
    const name = h("span", { class: "sn-layout-name" });
    const head = h("div", { class: "sn-layout-head" }, name);
    const body = h("div", { class: "sn-live-place sn-layout-view" });
    const node = h("section", { class: "sn-layout-cell", "data-view": view.name }, head, body);
    const cell = { node, canvas: null, bar: null };
    cell.describe = (now) => {
      node.setAttribute("aria-label", `View ${now.title}`);
      node.style.setProperty("--sn-view", now.color || "#8e8ec5");
      name.textContent = now.label || now.name;
    };
    cell.describe(view);
    if (view.kind === "slice" || view.kind === "3d") {
      cell.canvas = new LiveCanvas(body, view.name, view.title, me, say);
      cell.canvas.setCssWidth("100%");
      cell.canvas.setCssHeight("100%");
      cell.canvas.onSpot = (found) => spot.show(view.name, found, view.title);
    } else body.append(h("p", { class: "sn-empty" }, view.message));
    cell.hear = (message, buffers) => {
      if (!message.type.startsWith("slice")) return cell.canvas?.hear(message, buffers);
      // The bar takes the place of the name.
      if (!cell.bar) head.replaceWith((cell.bar = new SliceBar((what) => say({ ...what, view: view.name }))).node);
      cell.bar.take(message);
    };
    cell.close = () => {
      cell.canvas?.close();
      cell.bar?.close();
    };
    cells.set(view.name, cell);
    return cell;
  }

  function nodeOf(tree, used) {
    if (tree.kind === "view") {
      used.add(tree.view.name);
      return cellOf(tree.view).node;
    }
    const children = tree.children.map((child) => [child, nodeOf(child, used)]);
    if (tree.kind === "tab" || tree.kind === "viewports") return tabs(tree, children);
    if (tree.kind === "grid") {
      const columns = Math.max(...tree.children.map((child) => child.column + child.columns));
      const rows = Math.max(...tree.children.map((child) => child.row + child.rows));
      const grid = h("div", { class: "sn-layout-grid" }, children.map(([, node]) => node));
      grid.style.gridTemplate = `repeat(${rows}, minmax(0, 1fr)) / repeat(${columns}, minmax(0, 1fr))`;
      for (const [child, node] of children) {
        node.style.gridArea = `${child.row + 1} / ${child.column + 1} / span ${child.rows} / span ${child.columns}`;
      }
      return grid;
    }
    const box = h("div", { class: `sn-layout-${tree.kind === "vertical" ? "rows" : "columns"}` });
    for (const [child, node] of children) {
      node.style.flex = `${child.weight || 1} 1 0`;
      box.append(node);
    }
    return box;
  }

  function tabs(tree, children) {
    const bar = h("div", { class: "sn-layout-tabs", role: "tablist" });
    const body = h("div", { class: "sn-layout-tab" });
    const buttons = children.map(([child, node], index) => {
      const label = child.label || child.view?.title || `${index + 1}`;
      const button = h("button", { type: "button", role: "tab", onclick: () => choose(index) }, label);
      bar.append(button);
      body.append(node);
      return button;
    });
    const choose = (chosen) => {
      children.forEach(([, node], index) => (node.hidden = index !== chosen));
      buttons.forEach((button, index) => button.setAttribute("aria-selected", String(index === chosen)));
    };
    choose(0);
    return h("div", { class: "sn-layout-rows" }, bar, body);
  }

  function draw() {
    const used = new Set();
    const tree = model.get("_arrangement");
    place.style.height = model.get("_height");
    if (tree?.kind) {
      for (const cell of cells.values()) {
        cell.node.style.flex = cell.node.style.gridArea = "";
        cell.node.hidden = false;
      }
      place.replaceChildren(nodeOf(tree, used));
    } else place.replaceChildren(h("p", { class: "sn-empty" }, "Fetching the layout…"));
    for (const [name, cell] of cells)
      if (!used.has(name)) {
        cell.close();
        cells.delete(name);
      }
  }

  news.on("change:_arrangement", draw);
  news.on("change:_height", draw);
  news.on("msg:custom", (message, buffers) => {
    for (const [name, cell] of cells)
      if (message.view === undefined || message.view === name) cell.hear(message, buffers);
  });
  const status = () => {
    const value = model.get("_status");
    line.status(value);
    const gone = (value?.state ?? "live") !== "live";
    root.classList.toggle("sn-gone", gone);
    for (const cell of cells.values()) cell.bar?.gone(gone);
  };
  news.on("change:_status", status);
  status();
  draw();
  model.send({ type: "hello", who: me });
  return () => {
    news.close();
    for (const cell of cells.values()) cell.close();
  };
}

export default { render };
