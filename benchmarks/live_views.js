// In a page with a view: turns of the wheel over it, and when their pictures come. A view is `{element, pictures}`: what
// takes the wheel, and the event that bubbles, or is captured, when a picture is there: "sn-frame" of a canvas of the
// library, "load" of an <img>.
(() => {
  const at = (element) => {
    const box = element.getBoundingClientRect();
    return { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2, bubbles: true, cancelable: true };
  };
  const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

  /** Turn the wheel as fast as it can be turned for so many seconds; when each picture came, s. */
  async function scroll({ element, pictures, seconds }) {
    const view = document.querySelector(element);
    const where = at(view);
    const found = [];
    const came = () => found.push(performance.now() / 1000);
    document.addEventListener(pictures, came, true);
    let turns = 0;
    const timer = setInterval(() => {
      // To and fro within the volume.
      const deltaY = Math.floor(turns++ / 60) % 2 ? 100 : -100;
      view.dispatchEvent(new WheelEvent("wheel", { ...where, deltaY }));
    }, 5);
    await wait(1000 * seconds);
    clearInterval(timer);
    document.removeEventListener(pictures, came, true);
    return found;
  }

  /** Single turns, each `pause` ms after the picture of the one before; s from each to its picture. */
  async function single({ element, pictures, count, pause }) {
    const view = document.querySelector(element);
    const where = at(view);
    const found = [];
    for (let turn = 0; turn < count; turn++) {
      await wait(pause);
      const before = Number(view.dataset.input ?? 0);
      const began = performance.now();
      await new Promise((resolve, reject) => {
        const late = setTimeout(() => reject(new Error("no picture in 5 s")), 5000);
        const came = (event) => {
          // The library says of which turn it is; of the others it is the next.
          if (event.detail?.input <= before) return;
          clearTimeout(late);
          document.removeEventListener(pictures, came, true);
          resolve();
        };
        document.addEventListener(pictures, came, true);
        view.dispatchEvent(new WheelEvent("wheel", { ...where, deltaY: turn % 20 < 10 ? 100 : -100 }));
      });
      found.push((performance.now() - began) / 1000);
    }
    return found;
  }

  return { scroll, single };
})()
