// A list whose rows have heights of their own, of which only those in view are in the page.

/** Pixels drawn above and below what is in view: scrolling shows no gap. */
const MARGIN = 300;

/**
 * @param scroller the element that scrolls
 * @param headHeight what stays at the top of the scroller, CSS pixels
 * @param height height(index) of a row, CSS pixels
 * @param draw draw(index) gives a row's element
 * @param drawn called when other rows are in the page
 */
function tallList({ scroller, body, headHeight, height, draw, drawn }) {
  let tops = new Float64Array(1);
  let rows = new Map();
  let planned = 0;
  const length = () => tops.length - 1;

  /** The row at a place: the last one whose top is not below it. */
  function at(place) {
    let low = 0;
    let high = length();
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (tops[middle] <= place) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  function paint() {
    cancelAnimationFrame(planned);
    planned = 0;
    // While it is not shown it has no height and is scrolled nowhere; what is in the page stays until it is back.
    if (scroller.clientHeight === 0) return;
    const first = at(Math.max(0, scroller.scrollTop - MARGIN));
    const last = Math.min(length(), at(scroller.scrollTop + scroller.clientHeight + MARGIN) + 1);
    for (const [index, node] of rows)
      if (index < first || index >= last) {
        node.remove();
        rows.delete(index);
      }
    const made = [];
    for (let index = first; index < last; index++) {
      if (rows.has(index)) continue;
      const node = place(draw(index), index);
      rows.set(index, node);
      made.push(node);
    }
    body.append(...made);
    drawn();
  }

  function place(node, index) {
    node.style.transform = `translateY(${tops[index]}px)`;
    node.style.height = `${tops[index + 1] - tops[index]}px`;
    return node;
  }

  const later = () => {
    if (planned === 0) planned = requestAnimationFrame(paint);
  };
  scroller.addEventListener("scroll", later, { passive: true });
  const resized = new ResizeObserver(later);
  resized.observe(scroller);

  return {
    /** Other rows: draw what is in view anew. */
    show(count) {
      tops = new Float64Array(count + 1);
      for (let index = 0; index < count; index++) tops[index + 1] = tops[index] + height(index);
      body.style.height = `${tops[count]}px`;
      // The keyboard may be in one of the rows that go.
      const focused = body.contains(document.activeElement);
      for (const node of rows.values()) node.remove();
      rows = new Map();
      paint();
      if (focused) scroller.focus({ preventScroll: true });
    },
    /** The element of a row, if it is in the page. */
    node: (index) => rows.get(index),
    /** Rows in the page, with their places. */
    each: (visit) => rows.forEach((node, index) => visit(index, node)),
    /** Draw one row anew. */
    redraw(index) {
      const former = rows.get(index);
      if (!former) return;
      const focused = former.contains(document.activeElement);
      const node = place(draw(index), index);
      former.replaceWith(node);
      rows.set(index, node);
      if (focused) scroller.focus({ preventScroll: true });
    },
    /** Bring a row into view, moving as little as needed. */
    reveal(index) {
      const view = scroller.clientHeight - headHeight;
      if (tops[index] < scroller.scrollTop) scroller.scrollTop = tops[index];
      else if (tops[index + 1] > scroller.scrollTop + view) scroller.scrollTop = Math.min(tops[index], tops[index + 1] - view);
      paint();
    },
    /** Whether a row is in view, not merely in the page. */
    inView: (index) => tops[index + 1] > scroller.scrollTop && tops[index] < scroller.scrollTop + scroller.clientHeight - headHeight,
    /** Which row is a page further down (by 1) or up (by -1). */
    pageFrom: (index, by) => at(Math.max(0, tops[index] + by * (scroller.clientHeight - headHeight - 30))),
    top() {
      scroller.scrollTop = 0;
    },
    close() {
      cancelAnimationFrame(planned);
      resized.disconnect();
    },
  };
}
