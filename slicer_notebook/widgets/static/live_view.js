// A live view by itself.

function render({ model, el }) {
  const name = model.get("_view");
  const title = model.get("_title");
  const root = rootElement(el, "sn-live", `Live view ${title}`, model);
  const line = banner();
  const place = h("div", { class: "sn-live-place" });
  const above = h("div", { class: "sn-live-above" });
  const spot = new SpotLine();
  root.append(above, place, ...(model.get("_kind") === "slice" ? [spot.node] : []), line.node);
  let bar = null;
  const me = Math.random().toString(36).slice(2);
  const canvas = new LiveCanvas(place, name, title, me, (message) => model.send(message));
  canvas.setCssWidth(model.get("_width"));
  canvas.setCssHeight(model.get("_height"));
  canvas.setResizable(true);
  canvas.onSpot = (found) => spot.show(name, found);
  const news = listener(model);
  news.on("msg:custom", (message, buffers) => {
    if (message.view !== undefined && message.view !== name) return;
    if (!message.type.startsWith("slice")) return canvas.hear(message, buffers);
    if (!bar) above.append((bar = new SliceBar((what) => model.send({ ...what, view: name }))).node);
    bar.take(message);
  });
  const status = () => {
    const value = model.get("_status");
    line.status(value);
    const gone = (value?.state ?? "live") !== "live";
    root.classList.toggle("sn-gone", gone);
    bar?.gone(gone);
  };
  news.on("change:_status", status);
  status();
  model.send({ type: "hello", who: me });
  return () => {
    news.close();
    bar?.close();
    canvas.close();
  };
}

export default { render };
