// A list of any length of which only the rows in view are in the page. All rows are of one height.

/** Rows drawn above and below what is in view: scrolling shows no gap. */
const OVERSCAN = 10;

/**
 * @param scroller the element that scrolls
 * @param rowHeight CSS pixels
 * @param draw draw(index) gives a row's element
 * @param drawn called when other rows are in the page
 * @param headHeight what stays at the top of the scroller, CSS pixels
 */
function virtualList({ scroller, body, rowHeight, headHeight = 0, draw, drawn = () => {} }) {
  let length = 0;
  let rows = new Map();
  let planned = 0;

  const range = () => {
    const top = Math.max(0, scroller.scrollTop - OVERSCAN * rowHeight);
    const bottom = scroller.scrollTop + scroller.clientHeight - headHeight + OVERSCAN * rowHeight;
    return [Math.floor(top / rowHeight), Math.min(length, Math.ceil(bottom / rowHeight))];
  };

  const paint = () => {
    cancelAnimationFrame(planned);
    planned = 0;
    const [first, last] = range();
    for (const [index, node] of rows)
      if (index < first || index >= last) {
        node.remove();
        rows.delete(index);
      }
    const made = [];
    for (let index = first; index < last; index++) {
      if (rows.has(index)) continue;
      const node = draw(index);
      node.style.transform = `translateY(${index * rowHeight}px)`;
      rows.set(index, node);
      made.push(node);
    }
    body.append(...made);
    drawn();
  };

  const later = () => {
    if (planned === 0) planned = requestAnimationFrame(paint);
  };
  scroller.addEventListener("scroll", later, { passive: true });
  const resized = new ResizeObserver(later);
  resized.observe(scroller);

  return {
    /** Other rows: draw what is in view anew. */
    show(newLength) {
      length = newLength;
      body.style.height = `${length * rowHeight}px`;
      for (const node of rows.values()) node.remove();
      rows = new Map();
      paint();
    },
    /** The element of a row, if it is in the page. */
    node: (index) => rows.get(index),
    /** Draw one row anew. */
    redraw(index) {
      const former = rows.get(index);
      if (!former) return;
      const node = draw(index);
      node.style.transform = former.style.transform;
      former.replaceWith(node);
      rows.set(index, node);
    },
    /** Rows in the page, with their places. */
    each: (visit) => rows.forEach((node, index) => visit(index, node)),
    /** Bring a row into view, moving as little as needed. */
    reveal(index) {
      const top = index * rowHeight;
      const view = scroller.clientHeight - headHeight;
      if (top < scroller.scrollTop) scroller.scrollTop = top;
      else if (top + rowHeight > scroller.scrollTop + view) scroller.scrollTop = top + rowHeight - view;
      paint();
    },
    /** Rows in a page of the view. */
    pageLength: () => Math.max(1, Math.floor((scroller.clientHeight - headHeight) / rowHeight) - 1),
    top() {
      scroller.scrollTop = 0;
    },
    close() {
      cancelAnimationFrame(planned);
      resized.disconnect();
    },
  };
}
