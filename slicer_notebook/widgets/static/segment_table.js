// The segments of a segmentation: a list, and what is for all of it.

function render({ model, el }) {
  const root = rootElement(el, "sn-segments", "Segments", model);
  const line = banner();
  const questions = asker(model, line.waiting);
  const trouble = h("div", { class: "sn-warn sn-seg-trouble", role: "alert", hidden: true });
  const ask = (message) => {
    trouble.hidden = true;
    questions.ask(message);
  };
  const list = new SegmentList({ ask });
  const title = h("strong", { class: "sn-seg-title" });
  const number = h("span", { class: "sn-hint", role: "status" });
  const all = h("button", { class: "sn-icon-button", type: "button", onclick: () => ask({ type: "show_all", visible: !shown }) });
  const add = h("button", { class: "sn-button", type: "button", onclick: () => ask({ type: "add" }) }, "Add");
  const measure = h("button", { class: "sn-button", type: "button", title: "Count voxels and volumes", onclick: () => ask({ type: "measure" }) }, "Measure");
  const empty = h("div", { class: "sn-empty" }, h("strong", {}, "No segments yet"), h("span", {}, "“Add” makes an empty one; segmentation.add(name, mask) one of a mask."));
  const scroller = h("div", { class: "sn-seg-scroll" }, list.element);
  root.append(line.node, h("div", { class: "sn-seg-bar" }, all, title, number, h("span", { class: "sn-seg-space" }), measure, add), trouble, scroller, empty);
  let shown = true;
  let gone = false;
  let measuring = false;

  const dead = () => gone || (model.get("_status")?.state ?? "live") !== "live";

  function drawBar() {
    const off = dead();
    list.disable(off);
    all.disabled = add.disabled = off;
    measure.disabled = off || measuring || list.order.length === 0;
    measure.textContent = measuring ? "Measuring…" : "Measure";
    fill(all, icon(shown ? "eye" : "hidden"));
    all.setAttribute("aria-label", "Show the segmentation");
    all.setAttribute("aria-pressed", shown ? "true" : "false");
    number.textContent = gone ? "is no more in the scene" : count(list.order.length, "segment");
    empty.hidden = gone || list.order.length > 0;
    scroller.hidden = list.order.length === 0;
    root.classList.toggle("sn-gone", off);
  }

  const takes = {
    all(message) {
      takes.news(message);
      list.select(message.selected);
    },
    news(message) {
      shown = message.visible;
      title.textContent = title.title = message.name;
      list.take(message);
      list.select(list.selected);
      drawBar();
    },
    selected: (message) => list.select(message.id),
    measures: (message) => list.measures(message.values),
    measuring(message) {
      measuring = message.now;
      drawBar();
    },
    trouble(message) {
      fill(trouble, icon("warning"), h("span", {}, message.message), message.hint ? h("span", { class: "sn-hint" }, message.hint) : null);
      trouble.hidden = false;
    },
    gone() {
      gone = true;
      drawBar();
    },
  };

  const heard = listener(model);
  heard.on("change:_status", () => {
    line.status(model.get("_status"));
    drawBar();
  });
  heard.on("msg:custom", (message) => takes[message?.type]?.(message));
  line.status(model.get("_status"));
  drawBar();
  questions.ask({ type: "hello" });
  return () => {
    list.close();
    heard.close();
    questions.close();
  };
}

export default { render };
