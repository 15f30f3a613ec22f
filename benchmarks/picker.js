// What is measured in the page. All times are milliseconds of performance.now().

/** then() when the frame that is being made has been painted. */
function afterPaint(then) {
  requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = then;
    channel.port2.postMessage(0);
  });
}

window.measure = {
  /** Times from each key's event, as the browser stamped it, to after the frame that follows. */
  keys: [],

  /** Run the chosen cell, which shows a picker: until its first row, and until its tally says `whole`. */
  open: (whole) =>
    new Promise((done) => {
      const began = performance.now();
      let first = 0;
      const look = () => {
        const root = document.querySelector(".jp-NotebookPanel:not(.lm-mod-hidden) .sn-picker");
        if (!first && root?.querySelector(".sn-study-row")) first = performance.now() - began;
        if (first && root.querySelector(".sn-tally").textContent === whole) afterPaint(() => done([first, performance.now() - began]));
        else requestAnimationFrame(look);
      };
      window.jupyterapp.commands.execute("notebook:run-cell");
      look();
    }),

  watchKeys(input) {
    const watch = (event) => afterPaint(() => window.measure.keys.push(performance.now() - event.timeStamp));
    input.addEventListener("input", watch, { capture: true });
  },

  /** Click a study: until all cards that are in view have their pictures, and how many they are. */
  screenful: (root, uid) =>
    new Promise((done) => {
      const pane = root.querySelector(".sn-series");
      const began = performance.now();
      const look = () => {
        const box = pane.getBoundingClientRect();
        const bottom = Math.min(box.bottom, window.innerHeight);
        const seen = [...pane.querySelectorAll(`.sn-card[data-uid^="${uid}."]`)].filter((card) => {
          const own = card.getBoundingClientRect();
          return own.bottom > box.top && own.top < bottom;
        });
        const pictures = seen.map((card) => card.querySelector("img"));
        if (seen.length && pictures.every((image) => image?.complete && image.naturalWidth > 0)) afterPaint(() => done([performance.now() - began, seen.length]));
        else requestAnimationFrame(look);
      };
      root.querySelector(`.sn-study-row[data-uid="${uid}"]`).click();
      look();
    }),

  /** Scroll by some pixels in each frame, down and up again: times between frames. */
  scroll: (node, step, frames) =>
    new Promise((done) => {
      const times = [];
      let way = step;
      const next = (now) => {
        times.push(now);
        if (times.length > frames) return done(times.slice(1).map((time, index) => time - times[index]));
        if (node.scrollTop + node.clientHeight >= node.scrollHeight - 1) way = -step;
        else if (node.scrollTop <= 0) way = step;
        node.scrollTop += way;
        requestAnimationFrame(next);
      };
      requestAnimationFrame(next);
    }),
};
