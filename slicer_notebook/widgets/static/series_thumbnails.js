// The series of one study as cards, to look at.

function render({ model, el }) {
  const root = rootElement(el, "sn-thumbnails", "Series", model);
  const line = banner();
  const questions = asker(model, line.waiting);
  const cards = seriesCards({ ask: (series) => questions.ask({ type: "details", series }) });
  root.append(line.node, cards.node);
  const gone = () => (model.get("_status")?.state ?? "live") !== "live";

  function takeStatus() {
    line.status(model.get("_status"));
    root.classList.toggle("sn-gone", gone());
    if (cards.rows.length === 0 && gone()) cards.say(h("p", { class: "sn-empty" }, "Nothing to show without a Slicer."));
  }

  const heard = listener(model);
  heard.on("change:_status", takeStatus);
  heard.on("msg:custom", (message, buffers) => {
    if (message.type === "series") {
      if (message.rows.length === 0) cards.say(h("p", { class: "sn-empty" }, "There is no series."));
      else if (JSON.stringify(cards.rows) !== JSON.stringify(message.rows)) cards.show(message.rows);
    } else if (message.type === "details") {
      for (const each of message.details) cards.take(each.series, each.detail, each.png >= 0 ? buffers[each.png] : null);
    } else if (message.type === "problem") {
      cards.say(h("div", { class: "sn-empty", role: "none" }, icon("error"), h("strong", {}, message.message), h("span", { class: "sn-hint" }, message.hint)));
    }
  });
  cards.say(h("p", { class: "sn-empty" }, "Fetching the series…"));
  takeStatus();
  questions.ask({ type: "hello" });
  return () => {
    heard.close();
    questions.close();
    cards.close();
  };
}

export default { render };
