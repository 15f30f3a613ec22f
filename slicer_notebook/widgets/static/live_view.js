// A live view by itself.

function render({ model, el }) {
  const name = model.get("_view");
  const title = model.get("_title");
  const root = rootElement(el, "sn-live", `Live view ${title}`, model);
  const line = banner();
  const place = h("div", { class: "sn-live-place" });
  root.append(place, line.node);
  const me = Math.random().toString(36).slice(2);
  const canvas = new LiveCanvas(place, name, title, me, (message) => model.send(message));
  canvas.setCssWidth(model.get("_width"));
  canvas.setCssHeight(model.get("_height"));
  canvas.setResizable(true);
  const news = listener(model);
  news.on("msg:custom", (message, buffers) => {
    if (message.view === undefined || message.view === name) canvas.hear(message, buffers);
  });
  const status = () => {
    const value = model.get("_status");
    line.status(value);
    root.classList.toggle("sn-gone", (value?.state ?? "live") !== "live");
  };
  news.on("change:_status", status);
  status();
  model.send({ type: "hello", who: me });
  return () => {
    news.close();
    canvas.close();
  };
}

export default { render };
