// A grid of the views' pictures. A click enlarges one; the camera puts one into the notebook.

const VIEW_COLORS = { Red: "#f34a33", Yellow: "#edd54c", Green: "#6eb04b" };
/** Milliseconds after which it is said again that somebody can see the grid. */
const STILL_HERE = 15000;
/** Pixels of an enlarged picture, at most. */
const LARGE = 1400;

function facts(view) {
  return view.facts ?? "";
}

/** An <img> whose former picture stays until the next one is decoded: no flicker. */
function steadyImage(props) {
  const image = h("img", { draggable: "false", ...props });
  let current = null;
  return {
    image,
    show(bytes) {
      const url = pngUrl(bytes);
      const former = current;
      current = url;
      const next = new Image();
      next.onload = () => {
        if (current === url) image.src = url;
        if (former) URL.revokeObjectURL(former);
      };
      next.src = url;
    },
    clear() {
      if (current) URL.revokeObjectURL(current);
      current = null;
      image.removeAttribute("src");
    },
  };
}

function render({ model, el }) {
  const root = rootElement(el, "sn-views", "Pictures of Slicer's views", model);
  const line = banner();
  const questions = asker(model, line.waiting);
  const me = Math.random().toString(36).slice(2);
  const grid = h("div", { class: "sn-views-grid" });
  const strip = h("div", { class: "sn-views-strip", role: "list", "aria-label": "Pictures taken", hidden: true });
  const said = h("div", { class: "sn-views-said", role: "status" });
  const tiles = new Map();
  let views = null;
  let trouble = {};
  const gone = () => (model.get("_status")?.state ?? "live") !== "live";
  root.append(grid, line.node, said, strip);

  // -- the grid -----------------------------------------------------------------------------------------------------
  const camera = (name, title) =>
    h("button", { class: "sn-icon-button sn-view-camera", type: "button", "aria-label": `Put the picture of ${title} into the notebook`, title: "Put the picture into the notebook", onclick: () => take(name()) }, icon("camera"));

  function makeTile(view) {
    const tile = { picture: steadyImage({ alt: "" }), facts: h("span", { class: "sn-view-facts" }), second: h("span", { class: "sn-view-second" }), trouble: h("span", { class: "sn-view-trouble" }) };
    const dot = h("span", { class: "sn-view-dot", style: `background:${VIEW_COLORS[view.name] ?? "#8e8ec5"}`, "aria-hidden": "true" });
    tile.open = h("button", { class: "sn-view-open", type: "button", title: "Enlarge", onclick: () => large.open(view.name) }, tile.picture.image, tile.trouble);
    tile.node = h(
      "figure",
      { class: "sn-view", "data-view": view.name },
      tile.open,
      h("figcaption", {}, h("span", { class: "sn-view-line" }, dot, h("span", { class: "sn-view-name" }, view.title), tile.facts), h("span", { class: "sn-view-line" }, tile.second, camera(() => view.name, view.title))),
    );
    return tile;
  }

  function draw() {
    root.classList.toggle("sn-gone", gone());
    line.status(model.get("_status"));
    const columns = model.get("columns");
    grid.style.gridTemplateColumns = columns > 0 ? `repeat(${columns}, minmax(0, 1fr))` : "";
    if (!views || views.length === 0) {
      const why = trouble.message ? `${trouble.message} ${trouble.hint}` : views ? "This layout has no views." : "Fetching the views…";
      grid.replaceChildren(gone() ? "" : h("p", { class: "sn-empty" }, why));
      large.update();
      return;
    }
    for (const [name, tile] of tiles)
      if (!views.some((view) => view.name === name)) {
        tile.picture.clear();
        tiles.delete(name);
      }
    const nodes = views.map((view) => {
      if (!tiles.has(view.name)) tiles.set(view.name, makeTile(view));
      const tile = tiles.get(view.name);
      tile.facts.textContent = facts(view);
      tile.second.textContent = view.second ?? "";
      tile.second.title = view.second ?? "";
      tile.open.setAttribute("aria-label", ["Enlarge", view.title, facts(view), view.second].filter(Boolean).join(", "));
      tile.trouble.replaceChildren();
      if (view.error) tile.trouble.append(h("strong", {}, view.error.message), " ", view.error.hint);
      else if (!tile.seen) tile.trouble.append(gone() ? "No picture." : "…");
      return tile.node;
    });
    if (nodes.length !== grid.children.length || nodes.some((node, index) => node !== grid.children[index])) grid.replaceChildren(...nodes);
    large.update();
  }

  // -- one view, large ------------------------------------------------------------------------------------------------
  const large = (() => {
    let name = null;
    const picture = steadyImage({ class: "sn-large-image", alt: "" });
    const title = h("h3", { class: "sn-large-title" });
    const second = h("p", { class: "sn-large-second" });
    // What is below the dialog is out of reach, also for screen readers.
    const heard = h("div", { class: "sn-large-said", role: "status" });
    const close = h("button", { class: "sn-icon-button sn-large-close", type: "button", "aria-label": "Close", title: "Close", onclick: () => dialog.close() }, icon("close"));
    const before = h("button", { class: "sn-icon-button", type: "button", "aria-label": "Previous view", title: "Previous view", onclick: () => move(-1) }, icon("back"));
    const after = h("button", { class: "sn-icon-button", type: "button", "aria-label": "Next view", title: "Next view", onclick: () => move(1) }, icon("chevron"));
    let work = null;
    const live = h("button", { class: "sn-icon-button sn-large-live", type: "button", "aria-pressed": "false", "aria-label": "Work in the view", title: "Work in the view: mouse and keys as in Slicer", onclick: () => setLive(!work) }, icon("hand"));
    const place = h("div", { class: "sn-large-picture" }, picture.image);
    const dialog = h(
      "dialog",
      { class: "sn-large", "data-lm-suppress-shortcuts": "true", "aria-label": "Enlarged view" },
      h("div", { class: "sn-large-head" }, title, live, before, after, camera(() => name, "this view"), close),
      place,
      second,
      heard,
    );
    root.append(dialog);
    const find = () => (views ?? []).find((view) => view.name === name);

    function ask() {
      const box = place.getBoundingClientRect();
      const side = Math.min(LARGE, Math.round(Math.max(128, Math.min(box.width, box.height)) * devicePixelRatio));
      questions.ask({ type: "enlarge", view: me, name, size: [side, side] });
    }

    /** Put the living view in the place of its picture, or the picture back. */
    function setLive(on) {
      live.setAttribute("aria-pressed", String(on));
      const before = work;
      work = null;
      if (before) {
        before.close();
        fill(place, picture.image);
      }
      if (on) {
        const { width, height } = place.getBoundingClientRect();
        const frame = h("div", { class: "sn-views-frame-place" });
        fill(place, frame);
        model.send({ type: "live", view: me, name });
        model.send({ type: "enlarge", view: me });
        work = new LiveCanvas(frame, name, find()?.title ?? name, me, (message) => model.send(message));
        work.setLogicalSize(Math.round(width), Math.round(height));
        work.viewElement.focus({ preventScroll: true });
      } else if (before) {
        model.send({ type: "live", view: me });
        if (dialog.open && name) ask();
      }
    }

    function open(wanted) {
      if (work) setLive(false);
      name = wanted;
      picture.clear();
      // The small picture until the large one is there.
      const small = tiles.get(name)?.picture.image.src;
      if (small) picture.image.src = small;
      update();
      if (!dialog.open) dialog.showModal();
      ask();
      watch();
    }

    function move(step) {
      const names = (views ?? []).map((view) => view.name);
      if (names.length > 1) open(names[(names.indexOf(name) + step + names.length) % names.length]);
    }

    function update() {
      const view = find();
      if (!view) {
        if (dialog.open) dialog.close();
        return;
      }
      title.textContent = [view.title, facts(view)].filter(Boolean).join(" · ");
      second.textContent = view.error ? `${view.error.message} ${view.error.hint}` : (view.second ?? "");
      picture.image.alt = [view.title, facts(view), view.second].filter(Boolean).join(", ");
    }

    dialog.addEventListener("close", () => {
      const opener = tiles.get(name)?.open;
      if (work) setLive(false);
      name = null;
      picture.clear();
      questions.ask({ type: "enlarge", view: me });
      heard.replaceChildren();
      opener?.focus();
      watch();
    });
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close();
    });
    dialog.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };
      if (event.key in steps) move(steps[event.key]);
      else if (event.key === "Escape") dialog.close();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    return {
      open,
      update,
      heard,
      get showing() {
        return dialog.open;
      },
      /** What is said of the living view. */
      hear(message, buffers) {
        if (work && message.view === name) work.hear(message, buffers);
      },
      take(view, bytes) {
        if (view.name === name) picture.show(bytes);
      },
      clear: () => picture.clear(),
    };
  })();

  // -- the camera -----------------------------------------------------------------------------------------------------
  let quiet = 0;
  function say(...words) {
    clearTimeout(quiet);
    const place = large.showing ? large.heard : said;
    for (const each of [said, large.heard]) each.replaceChildren();
    place.replaceChildren(...words);
    quiet = setTimeout(() => place.replaceChildren(), 6000);
  }

  function take(name) {
    if (gone() || !name) return;
    questions.ask({ type: "take", name });
  }

  // -- whether anybody can see it ---------------------------------------------------------------------------------------
  let inSight = false;
  let told = null;
  function watch(again = false) {
    const on = (inSight || large.showing) && document.visibilityState === "visible";
    if (on === told && !again) return;
    told = on;
    questions.ask({ type: "watch", view: me, on });
  }
  const sight = new IntersectionObserver((entries) => {
    inSight = entries[entries.length - 1].isIntersecting;
    watch();
  });
  sight.observe(grid);
  const seen = () => watch();
  document.addEventListener("visibilitychange", seen);
  const still = setInterval(() => told && watch(true), STILL_HERE);

  // -- what the kernel says ---------------------------------------------------------------------------------------------
  const takes = {
    views: (message, buffers) => {
      trouble = message.trouble ?? {};
      views = message.views.length || !trouble.message ? message.views : null;
      draw();
      message.pictures.forEach((name, index) => {
        const tile = tiles.get(name);
        if (!tile) return;
        tile.seen = true;
        if (!views.find((view) => view.name === name).error) tile.trouble.replaceChildren();
        tile.picture.show(buffers[index]);
      });
    },
    large: (message, buffers) => large.take(message.view, buffers[0]),
    taken: (message) => {
      const view = (views ?? []).find((each) => each.name === message.view);
      say(icon("check"), ` The picture of ${view?.title ?? message.view} is in the notebook.`);
      const tile = tiles.get(message.view);
      tile?.node.classList.remove("sn-flash");
      requestAnimationFrame(() => tile?.node.classList.add("sn-flash"));
    },
    "not-taken": (message) => say(icon("error"), h("span", { role: "alert" }, ` ${message.message} ${message.hint}`)),
    strip: (message, buffers) => {
      // All views of the widget are told when one of them is new.
      if (inStrip.has(message.number)) return;
      inStrip.add(message.number);
      strip.hidden = false;
      const url = pngUrl(buffers[0]);
      urls.push(url);
      const [first, second] = message.caption.split("\n");
      strip.append(h("figure", { role: "listitem" }, h("img", { src: url, alt: message.caption.replace("\n", ", ") }), h("figcaption", {}, h("strong", {}, first), second ? h("span", {}, second) : null)));
    },
  };
  const urls = [];
  const inStrip = new Set();
  const heard = listener(model);
  heard.on("change:_status", draw);
  heard.on("change:columns", draw);
  heard.on("msg:custom", (message, buffers) => {
    if (takes[message.type]) takes[message.type](message, buffers);
    else large.hear(message, buffers);
  });
  draw();
  questions.ask({ type: "hello" });
  return () => {
    if (large.showing) for (const type of ["enlarge", "live"]) model.send({ type, view: me });
    if (told) model.send({ type: "watch", view: me, on: false });
    heard.close();
    questions.close();
    sight.disconnect();
    clearInterval(still);
    clearTimeout(quiet);
    document.removeEventListener("visibilitychange", seen);
    for (const tile of tiles.values()) tile.picture.clear();
    large.clear();
    for (const url of urls) URL.revokeObjectURL(url);
  };
}

export default { render };
