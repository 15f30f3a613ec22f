// What is measured in the page.

/** then() when the frame that is being made has been painted. */
function afterFrame(then) {
  requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = then;
    channel.port2.postMessage(0);
  });
}

window.sceneMeasure = {
  /** Run the chosen cell until there is such an element, painted: milliseconds. */
  open: (selector) =>
    new Promise((done) => {
      const began = performance.now();
      const look = () => {
        if (document.querySelector(selector)) afterFrame(() => done(performance.now() - began));
        else requestAnimationFrame(look);
      };
      window.jupyterapp.commands.execute("notebook:run-cell");
      look();
    }),

  /** Click a button until there is such an element, painted: milliseconds. */
  click: (button, selector) =>
    new Promise((done) => {
      const began = performance.now();
      const look = () => {
        if (document.querySelector(selector)) afterFrame(() => done(performance.now() - began));
        else requestAnimationFrame(look);
      };
      document.querySelector(button).click();
      look();
    }),

  /** When one of these elements shows this text, painted: milliseconds since 1970, in `seen`. */
  seen: null,
  watch: (selector, text) => {
    window.sceneMeasure.seen = null;
    const look = () => {
      if ([...document.querySelectorAll(selector)].some((node) => node.textContent === text)) afterFrame(() => (window.sceneMeasure.seen = performance.timeOrigin + performance.now()));
      else requestAnimationFrame(look);
    };
    look();
  },
};
