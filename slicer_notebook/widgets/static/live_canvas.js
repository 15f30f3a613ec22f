// One live view: frames on a canvas, and what a person does there. Needs renderview.js (of jupyter_rfb) and common.js.

/** Pixels of one notch of a wheel, as browsers have it: Firefox tells lines, of which a notch has three. */
const NOTCH = { 0: 100, 1: 3, 2: 1 };
/** Milliseconds after which a page that was being scrolled counts as still: then the wheel is the view's. */
const PAGE_STILL = 300;
/** Milliseconds for which moves and turns are gathered into one event: as long as a slice takes to draw. */
const GATHER = 8;
/** Moves and turns that may be on their way, and milliseconds after which no frame comes of them. */
const UNANSWERED = 2;
const NO_ANSWER = 50;
/** Milliseconds and pixels between two presses of a button that are a double click. */
const TWICE_WITHIN = 500;
const TWICE_NEAR = 5;
/** Milliseconds between two sizes that are told while a view is resized. */
const RESIZE_PACE = 120;
/** Keys that would scroll the page. */
const SCROLLING = new Set(["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "PageUp", "PageDown", "Home", "End", " "]);

/** When the page was last scrolled with the pointer outside of any live view. */
let pageScrolled = -Infinity;
document.addEventListener(
  "wheel",
  (event) => {
    if (!event.target.closest?.(".sn-live-canvas")) pageScrolled = performance.now();
  },
  { capture: true, passive: true },
);

/** "R 12.3 A 45.0 I 100.2": letters for the directions, as Slicer has it. */
function placeInWords(ras) {
  return ras.map((value, axis) => `${["RL", "AP", "SI"][axis][value < 0 ? 1 : 0]} ${Math.abs(value).toFixed(1)}`).join(" ");
}

/** The line that tells what lies under the pointer: the place, the values of the volumes, the segments. */
class SpotLine {
  constructor() {
    this.node = h("div", { class: "sn-live-spot" });
    this._view = null;
  }

  /** `spot` of the view of this name; null if nothing is under the pointer there. `title` is written before it. */
  show(view, spot, title = "") {
    if (!spot && view !== this._view) return;
    this._view = view;
    if (!spot) {
      this.node.replaceChildren();
      return;
    }
    const layer = (name) => (spot.volumes.length > 1 ? h("span", { class: "sn-live-spot-layer", title: name }, name[0].toUpperCase()) : null);
    fill(
      this.node,
      title ? h("b", {}, title) : null,
      h("span", { class: "sn-live-spot-place", title: "Right or left, anterior or posterior, superior or inferior; mm" }, placeInWords(spot.ras)),
      spot.volumes.map(({ layer: name, ...volume }) =>
        h("span", {}, layer(name), volume.name, " ", h("b", {}, `${volume.value} ${volume.unit}`.trim())),
      ),
      spot.segments.map((segment) => {
        const color = segment.color.map((part) => Math.round(255 * part)).join(" ");
        return h("span", { title: segment.segmentation }, h("i", { style: `background: rgb(${color})` }), segment.name);
      }),
    );
  }
}

/**
 * A view. `say(message)` tells the kernel; `name` is the view's, `me` names this place of it among all browsers.
 */
class LiveCanvas extends BaseRenderView {
  constructor(container, name, title, me, say) {
    const wrapper = h("div", { class: "sn-live-wrapper" });
    const canvas = h("canvas", {
      class: "sn-live-canvas",
      "data-view": name,
      "data-lm-suppress-shortcuts": "true",
      role: "application",
      "aria-label": `Slicer's view ${title}, live`,
    });
    canvas.width = canvas.height = 1;
    container.append(wrapper);
    super(canvas, wrapper);
    // Its own throttle would send a move after the release of the button that came later.
    this.setThrottle(0);
    this.name = name;
    this.me = me;
    this._say = say;
    this._drawn = 0;
    this._newest = 0;
    this._pending = null;
    this._held = null;
    this._gathering = this._waiting = null;
    this._unanswered = this._toConfirm = this._sentAt = 0;
    this._size = null;
    this._sizeTimer = null;
    this._lastPress = null;
    this._doubled = false;
    /** Called with what is under the pointer; null for nothing. */
    this.onSpot = () => {};
    this._inside = false;
    this._spotOf = { stream: null, input: 0 };
    this._busy = h("div", { class: "sn-live-busy", role: "status", hidden: true }, "Slicer is busy…");
    this._note = h("div", { class: "sn-live-note", role: "status", hidden: true });
    wrapper.append(this._busy, this._note);
    canvas.ondragstart = () => false;
  }

  /** The canvas itself takes the keys: so it can be reached with the tabulator, and left. */
  _initElements() {
    super._initElements();
    this._focusElement.remove();
    this._focusElement = this.viewElement;
    this.viewElement.tabIndex = 0;
  }

  _registerEvents() {
    const { signal } = this._abortController;
    const canvas = this.viewElement;
    // Before the base class, whose wheel wants a click first. The wheel is the page's as long as that is scrolling.
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.stopImmediatePropagation();
        if (event.altKey) return;
        const now = performance.now();
        if (document.activeElement !== canvas && now - pageScrolled < PAGE_STILL) {
          pageScrolled = now;
          return;
        }
        event.preventDefault();
        this._wheel(event);
      },
      { signal, passive: false },
    );
    canvas.addEventListener(
      "keydown",
      (event) => {
        if (SCROLLING.has(event.key)) event.preventDefault();
        if (event.key !== "Tab") event.stopPropagation();
        // The base class leaves out what a key that is held down repeats.
        if (event.repeat) this.onEvent({ type: "key_down", key: event.key, modifiers: getModifiers(event) });
      },
      { signal },
    );
    super._registerEvents();
  }

  _wheel(event) {
    const [x, y] = this._place(event.offsetX, event.offsetY);
    // A notch is so many pixels of the screen, of which a page that is enlarged has fewer. (Of a Mac's wheel, which is
    // accelerated, it is not.)
    const enlarged = event.deltaMode === 0 && !/Mac/.test(navigator.platform) ? window.devicePixelRatio : 1;
    const notches = ((event.deltaY || event.deltaX) * enlarged) / NOTCH[event.deltaMode];
    this._often({ type: "wheel", x, y, notches, buttons: getButtons(event)[1], modifiers: getModifiers(event) });
  }

  /**
   * A move, or a turn of the wheel. They go at the pace of the frames that come of them: what comes meanwhile becomes
   * one event with what is held back already.
   */
  _often(event) {
    const last = this._held;
    const same = ["type", "buttons", "modifiers"].every((key) => String(last?.[key]) === String(event[key]));
    if (last && same) {
      this._held = event.type === "wheel" ? { ...event, notches: last.notches + event.notches } : event;
      return;
    }
    this._release();
    const since = performance.now() - this._sentAt;
    if (since > NO_ANSWER) this._unanswered = 0;
    if (this._unanswered === 0 && since > GATHER) {
      // The first one goes at once.
      this._unanswered = 1;
      this._send(event);
      return;
    }
    this._held = event;
    this._gathering = setTimeout(() => {
      this._gathering = null;
      this._releaseAtPace();
    }, GATHER);
  }

  /** Send what was held back, if what was sent before has been answered. */
  _releaseAtPace() {
    if (!this._held || this._gathering) return;
    if (this._unanswered < UNANSWERED) this._release();
    // Of many moves no frame comes, as they change nothing.
    else this._waiting ??= setTimeout(() => ((this._waiting = null), (this._unanswered = 0), this._releaseAtPace()), NO_ANSWER);
  }

  /** Send what was held back: also before any other event, so that all come in their order. */
  _release() {
    clearTimeout(this._gathering);
    this._gathering = null;
    const held = this._held;
    this._held = null;
    if (!held) return;
    this._unanswered += 1;
    this._send(held);
  }

  /** A point of the canvas as parts of the picture, which may be letterboxed in it. */
  _place(x, y) {
    const { clientWidth: width, clientHeight: height } = this.viewElement;
    const [pictureWidth, pictureHeight] = this._shape ?? [width, height];
    const scale = Math.min(width / pictureWidth, height / pictureHeight) || 1;
    return [
      (x - (width - pictureWidth * scale) / 2) / (pictureWidth * scale || 1),
      (y - (height - pictureHeight * scale) / 2) / (pictureHeight * scale || 1),
    ];
  }

  _send(event) {
    // One message says what was seen, too: each costs the browser, the server and the kernel some time.
    const seen = this._toConfirm;
    this._toConfirm = 0;
    this._sentAt = performance.now();
    this._say({ type: "input", view: this.name, who: this.me, events: [event], seen });
  }

  /** A frame was shown: say so, with what is to be said anyway. */
  _confirm(index) {
    this._toConfirm = index;
    clearTimeout(this._waiting);
    this._waiting = null;
    this._unanswered = Math.max(0, this._unanswered - 1);
    this._releaseAtPace();
    if (this._toConfirm) this._say({ type: "seen", view: this.name, who: this.me, index });
    this._toConfirm = 0;
  }

  _input(event) {
    this._release();
    this._send(event);
  }

  onEvent(event) {
    switch (event.type) {
      case "resize":
        if (event.pwidth * event.pheight > 0) this._resized(this._pixels(event));
        return;
      case "show":
      case "hide":
        this._visible = event.type === "show";
        this._look();
        return;
      case "close":
      case "char":
        return;
      case "key_down":
      case "key_up": {
        const { type, key, modifiers } = event;
        this._input({ type, key, modifiers });
        return;
      }
      default: {
        const { type, button, buttons, modifiers } = event;
        this._inside = type !== "pointer_leave";
        if (!this._inside) this.onSpot(null);
        const [x, y] = this._place(event.x, event.y);
        const found = { type, x, y, button, buttons, modifiers };
        // Who went away and came back presses anew: what they have placed there, they drag.
        if (type === "pointer_move" && !this._near(event)) this._lastPress = null;
        if (type === "pointer_down" && this._twice(event)) found.type = "double_click";
        if (type === "double_click" && this._doubled) return;
        if (type === "pointer_move") this._often(found);
        else this._input(found);
      }
    }
  }

  /**
   * Whether this press is the second one of a double click. Slicer hears of it in place of the press, as it does from Qt:
   * the browser's own event comes after the release, when a second point has been placed. That still counts where the
   * system takes slower presses for a double click.
   */
  _twice(event) {
    const { x, y, button } = event;
    const now = performance.now();
    const last = this._lastPress;
    this._doubled = last?.button === button && now - last.when < TWICE_WITHIN && this._near(event);
    this._lastPress = this._doubled ? null : { x, y, button, when: now };
    return this._doubled;
  }

  /** Whether a place is that of the last press. */
  _near({ x, y }) {
    const last = this._lastPress;
    return last !== null && Math.hypot(x - last.x, y - last.y) <= TWICE_NEAR;
  }

  /** The canvas's size in the screen's pixels. */
  _pixels({ pwidth, pheight }) {
    const { clientWidth, clientHeight } = this.viewElement;
    const computed = [clientWidth, clientHeight].map((side) => Math.round(side * window.devicePixelRatio));
    // What the browser has counted is exact; but a browser that only pretends to have such a screen counts its own.
    return Math.abs(computed[0] - pwidth) <= 2 ? [pwidth, pheight] : computed;
  }

  _resized(size) {
    if (this._size && size[0] === this._size[0] && size[1] === this._size[1]) return;
    const first = this._size === null;
    this._size = size;
    if (first) this._look();
    else this._sizeTimer ??= setTimeout(() => ((this._sizeTimer = null), this._look()), RESIZE_PACE);
  }

  /** Tell who looks, and how large. */
  _look(again = false) {
    if (!this._abortController) return;
    this._say({ type: "look", view: this.name, who: this.me, size: this._size, visible: Boolean(this._visible), again });
  }

  /** What the kernel says of this view. */
  hear(message, buffers) {
    if (message.type === "frame") this.frame(message, buffers[0]);
    else if (message.type === "took") this.took(message);
    else if (message.type === "busy") this.busy(message.busy);
    else if (message.type === "begin") this.begin();
    else if (message.type === "gone") {
      this.note(message.message);
      this.onSpot(null);
    }
  }

  /** The kernel, or Slicer, is a new one. */
  begin() {
    this._newest = this._drawn = 0;
    this._look(true);
  }

  /** A frame has come. Of several that wait only the newest is shown; each is confirmed. */
  frame(message, bytes) {
    if (message.index <= this._newest && message.stream === this._stream) return;
    this._stream = message.stream;
    this._newest = message.index;
    this._pending = { message, bytes };
    this.note("");
    if (!this._working) this._work();
  }

  async _work() {
    this._working = true;
    while (this._pending && this.viewElement) {
      const { message, bytes } = this._pending;
      this._pending = null;
      let bitmap = null;
      try {
        bitmap = await createImageBitmap(new Blob([bytes], { type: message.mime }));
      } catch (error) {
        console.warn("A frame could not be decoded.", error);
      }
      if (bitmap) this._paint(bitmap, message);
      this._confirm(message.index);
    }
    this._working = false;
  }

  _paint(bitmap, message) {
    const canvas = this.viewElement;
    if (!canvas) return;
    if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
      canvas.width = bitmap.width;
      canvas.height = bitmap.height;
    }
    canvas.getContext("2d", { alpha: false }).drawImage(bitmap, 0, 0);
    bitmap.close();
    this._shape = message.size;
    this._drawn = message.index;
    canvas.dataset.frame = message.index;
    canvas.dataset.input = message.input;
    canvas.dataset.lossless = message.lossless;
    canvas.dataset.size = message.size.join("x");
    this._spot(message);
    canvas.dispatchEvent(new CustomEvent("sn-frame", { detail: message, bubbles: true }));
  }

  took(message) {
    if (message.cursor) this.setCursor(message.cursor);
    if (message.error) this.note(message.error);
    this._spot(message);
  }

  /** What is under the pointer, if this message says it and nothing newer did. */
  _spot({ stream, input, spot, who }) {
    if (spot === undefined || (stream === this._spotOf.stream && input < this._spotOf.input)) return;
    this._spotOf = { stream, input };
    this.onSpot(who === this.me && this._inside ? spot : null);
  }

  busy(is) {
    this._busy.hidden = !is;
    // Nobody knows what is under a pointer that has moved meanwhile.
    if (is) this.onSpot(null);
  }

  /** A line over the picture; none for "". */
  note(text) {
    this._note.textContent = text;
    this._note.hidden = !text;
  }

  close() {
    for (const timer of [this._sizeTimer, this._gathering, this._waiting]) clearTimeout(timer);
    if (this._visible) {
      this._visible = false;
      this._look();
    }
    super.close();
  }
}
