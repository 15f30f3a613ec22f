// What the widgets of the scene share: signs of kinds of nodes, searching without accents, a panel over the page.

Object.assign(ICONS, {
  volume: "M12 2 3 7v10l9 5 9-5V7l-9-5zm0 2.300 6 3.300-6 3.400-6-3.400 6-3.300zM5 9.300l6 3.400v6.500l-6-3.300V9.300zm8 9.900v-6.500l6-3.400v6.600l-6 3.300z",
  labelmap: "M3 3h8v8H3V3zm2 2v4h4V5H5zm8-2h8v8h-8V3zM3 13h8v8H3v-8zm10 0h8v8h-8v-8zm2 2v4h4v-4h-4z",
  segmentation: "M12 3c5 0 9 3.400 9 7.500 0 3-2 3.500-3.500 4.500s-1 6-5.500 6c-5 0-9-4.500-9-9.500C3 6.600 7 3 12 3zm0 2c-4 0-7 2.800-7 6.500C5 15.500 8.200 19 12 19c2.500 0 1.500-3.500 4.300-5.600C17.600 12.500 19 12.300 19 10.500 19 7.500 15.900 5 12 5zm-2 4a2 2 0 1 1 0 4 2 2 0 0 1 0-4z",
  segment: "M12 4c4.500 0 8 3 8 7 0 5-3 9-8 9s-8-4-8-9c0-4 3.500-7 8-7z",
  markups: "M6 3a3 3 0 0 1 1 5.800l3.300 5.800a3 3 0 0 1 2.200.1l3.800-4.500A3 3 0 1 1 17.800 11.500l-3.800 4.500A3 3 0 1 1 8.600 15.600L5.300 9A3 3 0 0 1 6 3z",
  roi: "M3 3h5v2H5v3H3V3zm13 0h5v5h-2V5h-3V3zM3 16h2v3h3v2H3v-5zm16 0h2v5h-5v-2h3v-3zM8 8h8v8H8V8zm2 2v4h4v-4h-4z",
  model: "M12 2l9 6-3 11H6L3 8l9-6zm0 2.400L5.300 8.900 12 12l6.700-3.100L12 4.400zM5.500 11l2 6h3.500v-3.500L5.500 11zm13 0L13 13.500V17h3.500l2-6z",
  transform: "M12 2l4 4h-3v5h5V8l4 4-4 4v-3h-5v5h3l-4 4-4-4h3v-5H6v3l-4-4 4-4v3h5V6H8l4-4z",
  table: "M3 4h18v16H3V4zm2 5v4h6V9H5zm8 0v4h6V9h-6zm-8 6v3h6v-3H5zm8 0v3h6v-3h-6z",
  text: "M4 4h16v3h-2V6h-5v12h2v2H9v-2h2V6H6v1H4V4z",
  plot: "M4 3v16h17v2H2V3h2zm15 2 1.600 1.200-5.500 7.500-4-3-4.400 5.500-1.500-1.200 5.600-7.100 4 3L19 5z",
  sequence: "M3 4h18v16H3V4zm2 2v2h2V6H5zm0 5v2h2v-2H5zm0 5v2h2v-2H5zM17 6v2h2V6h-2zm0 5v2h2v-2h-2zm0 5v2h2v-2h-2zM9 6v12h6V6H9z",
  folder: "M10 4H4a2 2 0 0 0-2 2v12a2 2 0 0 0 2 2h16a2 2 0 0 0 2-2V8a2 2 0 0 0-2-2h-8l-2-2z",
  patient: "M12 3a4.500 4.500 0 1 1 0 9 4.500 4.500 0 0 1 0-9zm0 11c5 0 9 2.500 9 5.500V21H3v-1.500C3 16.500 7 14 12 14z",
  study: "M9 2h6v2h4a1 1 0 0 1 1 1v16a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1h4V2zM6 6v14h12V6h-3v2H9V6H6zm2 5h8v2H8v-2zm0 4h6v2H8v-2z",
  other: "M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16zm0 2a6 6 0 1 0 0 12 6 6 0 0 0 0-12z",
  rename: "M16.500 3.500l4 4L8 20H4v-4L16.500 3.500zm0 2.800L6 16.800V18h1.200L17.700 7.500l-1.200-1.200z",
  trash: "M9 3h6l1 2h4v2H4V5h4l1-2zM6 9h12l-1 12H7L6 9zm2.200 2 .7 8h6.200l.7-8H8.200z",
  plus: "M11 4h2v7h7v2h-7v7h-2v-7H4v-2h7V4z",
});

/** No case, no accents: what is searched. */
function plainText(text) {
  return /^[\x00-\x7f]*$/.test(text) ? text.toLowerCase() : text.normalize("NFKD").replace(/\p{Mn}/gu, "").toLowerCase();
}

/** The words of a search, plain. */
function searchWords(text) {
  return plainText(text).split(/\s+/).filter(Boolean);
}

let partNumber = 0;

/** An id for an element that another one names. */
function freshId(what) {
  return `sn-${what}-${++partNumber}-${Math.random().toString(36).slice(2, 8)}`;
}

/**
 * A panel over the page that a button opens, below it or above. It closes by Escape and by a click elsewhere.
 *
 * @param opened called when it is open; closed when it is not any more
 */
function panelOf(button, panel, { opened = () => {}, closed = () => {} } = {}) {
  panel.classList.add("sn-sp-panel");
  panel.setAttribute("popover", "auto");
  button.setAttribute("aria-expanded", "false");
  // The browser then knows that a click on the button is none elsewhere.
  button.popoverTargetElement = panel;

  const place = () => {
    const from = button.getBoundingClientRect();
    const below = window.innerHeight - from.bottom - 12;
    const above = from.top - 12;
    panel.style.maxHeight = `${Math.max(160, Math.min(420, Math.max(below, above)))}px`;
    panel.style.minWidth = `${Math.min(from.width, window.innerWidth - 16)}px`;
    const height = panel.offsetHeight;
    const down = below >= height || below >= above;
    panel.style.top = `${Math.max(4, down ? from.bottom + 3 : from.top - 3 - height)}px`;
    panel.style.left = `${Math.max(8, Math.min(from.left, window.innerWidth - panel.offsetWidth - 8))}px`;
  };
  const moved = (event) => {
    if (!panel.contains(event.target)) place();
  };
  panel.addEventListener("toggle", (event) => {
    if (event.newState === "open") return;
    button.setAttribute("aria-expanded", "false");
    window.removeEventListener("scroll", moved, { capture: true });
    window.removeEventListener("resize", place);
    closed();
  });
  const found = {
    get open() {
      return panel.matches(":popover-open");
    },
    /** At once, and not when the browser gets to tell of it: the next key is for the panel. */
    show() {
      if (found.open) return;
      panel.showPopover();
      button.setAttribute("aria-expanded", "true");
      window.addEventListener("scroll", moved, { capture: true, passive: true });
      window.addEventListener("resize", place);
      opened();
      place();
    },
    hide() {
      if (found.open) panel.hidePopover();
    },
    place,
    close() {
      found.hide();
      window.removeEventListener("scroll", moved, { capture: true });
      window.removeEventListener("resize", place);
    },
  };
  // A notebook takes cells out of the page that are not in view: then it closes without a word.
  button.addEventListener("focus", () => button.setAttribute("aria-expanded", String(found.open)));
  button.addEventListener("click", (event) => {
    event.preventDefault();
    if (found.open) found.hide();
    else found.show();
  });
  return found;
}
