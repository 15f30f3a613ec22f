// A grid of the views' pictures.

const VIEW_COLORS = { Red: "#f34a33", Yellow: "#edd54c", Green: "#6eb04b" };

function caption(view) {
  if (view.kind === "3d") return "3-D";
  if (view.offset === undefined) return "";
  return `${view.orientation} · ${view.offset.toFixed(1)} mm`;
}

function render({ model, el }) {
  const root = rootElement(el, "sn-views", "Pictures of Slicer's views", model);
  const line = banner();
  const questions = asker(model, line.waiting);
  const grid = h("div", { class: "sn-views-grid" });
  root.append(grid, line.node);
  const tiles = new Map();

  const makeTile = (name) => {
    const tile = {
      image: h("img", { alt: `Slicer view ${name}`, draggable: "false" }),
      facts: h("span", { class: "sn-view-facts" }),
      trouble: h("div", { class: "sn-view-trouble", role: "status" }),
      bytes: null,
      url: null,
    };
    const dot = h("span", { class: "sn-view-dot", style: `background:${VIEW_COLORS[name] ?? "#8e8ec5"}`, "aria-hidden": "true" });
    tile.node = h(
      "figure",
      { class: "sn-view", "data-view": name },
      h("div", { class: "sn-view-picture" }, tile.image, tile.trouble),
      h("figcaption", {}, dot, h("span", { class: "sn-view-name" }, name === "1" ? "3-D view" : name), tile.facts),
    );
    return tile;
  };

  const showPicture = (tile, bytes) => {
    if (!bytes || bytes === tile.bytes) return;
    tile.bytes = bytes;
    const url = pngUrl(bytes);
    const former = tile.url;
    tile.url = url;
    // The former picture stays until the new one is decoded: no flicker.
    const next = new Image();
    next.onload = () => {
      if (tile.url === url) tile.image.src = url;
      if (former) URL.revokeObjectURL(former);
    };
    next.src = url;
  };

  const update = () => {
    const views = model.get("_views");
    const pictures = model.get("_pictures") ?? {};
    const status = model.get("_status") ?? {};
    const gone = status.state !== undefined && status.state !== "live";
    root.classList.toggle("sn-gone", gone);
    line.status(status);
    const columns = model.get("columns");
    grid.style.gridTemplateColumns = columns > 0 ? `repeat(${columns}, minmax(0, 1fr))` : "";
    if (!views || views.length === 0) {
      grid.replaceChildren(gone ? "" : h("p", { class: "sn-empty" }, views ? "This layout has no views." : "Fetching the views…"));
      return;
    }
    for (const name of [...tiles.keys()])
      if (!views.some((view) => view.name === name)) {
        if (tiles.get(name).url) URL.revokeObjectURL(tiles.get(name).url);
        tiles.delete(name);
      }
    const nodes = views.map((view) => {
      if (!tiles.has(view.name)) tiles.set(view.name, makeTile(view.name));
      const tile = tiles.get(view.name);
      tile.facts.textContent = view.name === "1" ? "" : caption(view);
      tile.image.alt = `Slicer view ${view.name}${view.orientation ? `, ${caption(view)}` : ""}`;
      tile.trouble.replaceChildren();
      if (view.error) tile.trouble.append(h("strong", {}, view.error.message), " ", view.error.hint);
      else if (!pictures[view.name]) tile.trouble.append(gone ? "No picture." : "…");
      showPicture(tile, pictures[view.name]);
      return tile.node;
    });
    if (nodes.length !== grid.children.length || nodes.some((node, index) => node !== grid.children[index])) grid.replaceChildren(...nodes);
  };

  const heard = listener(model);
  for (const name of ["_views", "_pictures", "_status", "columns"]) heard.on(`change:${name}`, update);
  update();
  questions.ask({ type: "hello" });
  return () => {
    heard.close();
    questions.close();
    for (const tile of tiles.values()) if (tile.url) URL.revokeObjectURL(tile.url);
  };
}

export default { render };
