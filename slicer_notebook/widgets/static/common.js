// What all widgets share: elements, questions to the kernel, the line that says what is wrong.
// assets.py puts this in front of each widget's own file; together they are one ES module.

/** An element: h("div", {class: "sn-x", onclick: f}, child, "text"). Properties that are null are left out. */
function h(tag, props = {}, ...children) {
  const svg = ["svg", "path", "circle"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  // JupyterLab's own keys (a, b, d d...) are off where the focus can be; it looks at the focused element first.
  if ("tabindex" in props || tag === "button" || tag === "input") node.setAttribute("data-lm-suppress-shortcuts", "true");
  return fill(node, ...children);
}

/** Put these into an element in place of what is in it; null, undefined and false are left out. */
function fill(node, ...children) {
  node.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const ICONS = {
  search: "M10.5 3a7.5 7.5 0 1 0 4.7 13.3l4.2 4.3 1.4-1.4-4.3-4.2A7.5 7.5 0 0 0 10.500 3zm0 2a5.500 5.500 0 1 1 0 11 5.500 5.500 0 0 1 0-11z",
  refresh: "M12 4a8 8 0 0 1 6.900 4H16v2h6V4h-2v2.700A10 10 0 1 0 22 12h-2a8 8 0 1 1-8-8z",
  check: "M9.500 16.600 4.900 12l-1.400 1.400 6 6L21 7.900l-1.400-1.400z",
  warning: "M12 3 1.500 21h21L12 3zm0 4 7 12H5l7-12zm-1 4v4h2v-4h-2zm0 5v2h2v-2h-2z",
  error: "M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20zm-1 5h2v7h-2V7zm0 8.500h2v2h-2v-2z",
  close: "m6.400 5 5.600 5.600L17.600 5 19 6.400 13.400 12l5.600 5.600-1.400 1.400-5.600-5.600L6.400 19 5 17.600l5.600-5.600L5 6.400z",
  eye: "M12 5C7 5 2.700 8.100 1 12.500 2.700 16.900 7 20 12 20s9.300-3.100 11-7.500C21.300 8.100 17 5 12 5zm0 13c-3.900 0-7.200-2.200-8.800-5.500C4.800 9.200 8.100 7 12 7s7.200 2.200 8.800 5.500C19.200 15.800 15.900 18 12 18zm0-9a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7z",
  hidden: "m3.300 2-1.400 1.400 3.600 3.600A11.700 11.700 0 0 0 1 12.500C2.700 16.900 7 20 12 20c1.700 0 3.300-.4 4.800-1l3.700 3.700 1.400-1.400L3.300 2zM12 18c-3.900 0-7.200-2.200-8.800-5.500A9.800 9.800 0 0 1 7 8.500l1.900 1.900a3.500 3.500 0 0 0 4.800 4.800l1.500 1.600c-1 .8-2.100 1.200-3.200 1.200zm0-11c3.900 0 7.200 2.200 8.800 5.500a9.900 9.900 0 0 1-2.500 3.200l1.400 1.400A11.600 11.600 0 0 0 23 12.500C21.300 8.100 17 5 12 5c-1 0-2 .1-3 .4L10.700 7c.4 0 .9 0 1.300 0z",
  columns: "M4 4h16a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1zm1 2v12h4V6H5zm6 0v12h3V6h-3zm5 0v12h3V6h-3z",
  add: "M10 4H4a2 2 0 0 0-2 2v12a2 2 0 0 0 2 2h16a2 2 0 0 0 2-2V8a2 2 0 0 0-2-2h-8l-2-2zm-6 4h16v10H4V8zm7 1.500v2.500H8.500v2H11v2.500h2V14h2.500v-2H13V9.500h-2z",
  back: "m15.400 5.400-6.600 6.600 6.600 6.600 1.400-1.400L11.600 12l5.200-5.200z",
  camera: "M9 3 7.200 5H4a2 2 0 0 0-2 2v12a2 2 0 0 0 2 2h16a2 2 0 0 0 2-2V7a2 2 0 0 0-2-2h-3.200L15 3H9zm.9 2h4.200l1.800 2H20v12H4V7h4.100l1.800-2zM12 8a5 5 0 1 0 0 10 5 5 0 0 0 0-10zm0 2a3 3 0 1 1 0 6 3 3 0 0 1 0-6z",
  chevron: "m8.600 5.400 6.600 6.600-6.600 6.600L7.200 17.200 12.400 12 7.200 6.800z",
  hand: "M9 2a2 2 0 0 0-2 2v8.600l-1.700-1.200a2 2 0 0 0-2.600 3L8 20.600A4 4 0 0 0 11 22h5a4 4 0 0 0 4-4v-6a2 2 0 0 0-2.400-2A2 2 0 0 0 15 8.600a2 2 0 0 0-2-.5 2 2 0 0 0-2-.1V4a2 2 0 0 0-2-2zm0 2v9h2v-3h2v3h2v-2h1v2h2v5a2 2 0 0 1-2 2h-5a2 2 0 0 1-1.500-.7L4.200 13l3.800 2.700 1-.5V4z",
  cube: "M12 2 3 7v10l9 5 9-5V7l-9-5zm0 2.300 6 3.300-6 3.400-6-3.400 6-3.300zM5 9.300l6 3.400v6.500l-6-3.300V9.300zm8 9.900v-6.500l6-3.400v6.600l-6 3.300z",
};

/** A small picture that says nothing by itself (the text beside it does). */
function icon(name) {
  return h("svg", { viewBox: "0 0 24 24", class: "sn-icon", "aria-hidden": "true" }, h("path", { d: ICONS[name] }));
}

/** "1 image", "2 images". */
function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

/** "12 MB". */
function bytesInWords(bytes) {
  const [size, unit] = bytes >= 1e9 ? [bytes / 1e9, "GB"] : bytes >= 1e6 ? [bytes / 1e6, "MB"] : [bytes / 1e3, "kB"];
  return `${size >= 10 ? Math.round(size) : size.toFixed(1)} ${unit}`;
}

/** "12 s", "3 min". */
function secondsInWords(seconds) {
  if (seconds < 1.5) return "1 s";
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

/** The PNG that came as bytes, as something an <img> can show. Whoever made it revokes it. */
function pngUrl(bytes) {
  return URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
}

/** Milliseconds after which a question that was not acknowledged shows that the kernel is at something else. */
const PATIENCE = 1500;

/**
 * Questions to the kernel. It acknowledges each at once, unless a cell runs there or there is none.
 * `waiting(true|false)` is called when that shows, and when it is over.
 */
function asker(model, waiting) {
  let next = 1;
  const open = new Map();
  const onMessage = (message) => {
    if (message?.type !== "ack") return;
    clearTimeout(open.get(message.ask));
    open.delete(message.ask);
    if (open.size === 0) waiting(false);
  };
  model.on("msg:custom", onMessage);
  return {
    ask(message) {
      const number = `${Math.random().toString(36).slice(2, 8)}-${next++}`;
      open.set(number, setTimeout(() => waiting(true), PATIENCE));
      model.send({ ...message, ask: number });
    },
    close() {
      for (const timer of open.values()) clearTimeout(timer);
      model.off("msg:custom", onMessage);
    },
  };
}

/** The line for what is wrong with the session or the kernel; hidden while all is well. */
function banner() {
  const text = h("span");
  const node = h("div", { class: "sn-banner", role: "status", hidden: true }, icon("warning"), text);
  let status = { state: "live" };
  let waits = false;
  const show = () => {
    const gone = status.state !== undefined && status.state !== "live";
    node.hidden = !gone && !waits;
    node.classList.toggle("sn-banner-quiet", !gone);
    text.replaceChildren();
    if (gone) {
      text.append(h("strong", {}, status.message || "There is no Slicer."));
      if (status.hint) text.append(" ", h("span", { class: "sn-hint" }, status.hint));
    } else if (waits) {
      text.append(
        "Waiting for the notebook's kernel: it answers when its running cell has ended. ",
        h("span", { class: "sn-hint" }, "If this notebook was just opened, run the cell again."),
      );
    }
  };
  return {
    node,
    status(value) {
      status = value ?? { state: "live" };
      show();
    },
    waiting(value) {
      waits = value;
      show();
    },
  };
}

/**
 * A widget's outermost element. While it is there, the static fallback that a saved notebook shows is hidden. A notebook
 * that was saved with its widgets' state and is opened without their kernel makes views that nobody answers: then the
 * fallback is shown, and of the widget the line that says why.
 */
function rootElement(el, name, label, model) {
  el.classList.add("sn-host");
  const root = h("div", { class: `sn-root ${name}`, role: "group", "aria-label": label });
  const id = model.get("_static_id");
  if (id) {
    const fallback = `[data-sn-static="${id}"]`;
    const hiding = h("style", {}, `${fallback}, .jp-OutputArea-child:has(${fallback}) { display: none !important; }`);
    el.append(hiding);
    const answered = (yes) => {
      // Not `disabled`, which is forgotten when the notebook takes the cell out of the page and puts it back.
      hiding.media = yes ? "" : "not all";
      root.classList.toggle("sn-unanswered", !yes);
    };
    const patience = setTimeout(() => answered(false), PATIENCE);
    const heard = () => {
      clearTimeout(patience);
      model.off("msg:custom", heard);
      answered(true);
    };
    model.on("msg:custom", heard);
  }
  el.append(root);
  return root;
}

/** The text of which zlib made these bytes. */
async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).text();
}

/** Put a text into the clipboard. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Pages that are not secure have no clipboard of the new kind.
    const area = h("textarea", { style: "position:fixed;opacity:0" });
    area.value = text;
    const before = document.activeElement;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    before?.focus();
  }
}

/** Listens to a model and forgets it again: on(name, f) ... close(). */
function listener(model) {
  const all = [];
  return {
    on(name, callback) {
      model.on(name, callback);
      all.push([name, callback]);
    },
    close() {
      for (const [name, callback] of all) model.off(name, callback);
    },
  };
}
