// The bar of a slice view as a widget of its own.

function render({ model, el }) {
  const root = rootElement(el, "sn-slice", "Slice controller", model);
  const line = banner();
  const questions = asker(model, line.waiting);
  const bar = new SliceBar((message) => questions.ask(message));
  root.append(line.node, bar.node);

  function takeStatus() {
    const status = model.get("_status");
    line.status(status);
    bar.gone((status?.state ?? "live") !== "live");
  }

  const heard = listener(model);
  heard.on("change:_status", takeStatus);
  heard.on("msg:custom", (message) => {
    if (message.type?.startsWith("slice")) bar.take(message);
  });
  takeStatus();
  questions.ask({ type: "hello" });
  return () => {
    heard.close();
    questions.close();
    bar.close();
  };
}

export default { render };
