// OpenIGTLink devices: a table that goes on.

/** Rates that the little curve shows: at most five a second come, so some twelve seconds. */
const CURVE = 60;
const CURVE_WIDTH = 72;
const CURVE_HEIGHT = 18;

/** "1,004 /s", "0.5 /s", "–". */
function rateInWords(rate) {
  if (rate <= 0) return "–";
  return `${rate >= 10 ? Math.round(rate).toLocaleString("en") : rate.toFixed(1)} /s`;
}

/** The curve of the latest rates. */
function curve(rates) {
  const most = Math.max(...rates, 1e-9);
  const step = CURVE_WIDTH / (CURVE - 1);
  const first = CURVE - rates.length;
  const points = rates.map((rate, i) => `${((first + i) * step).toFixed(1)} ${(CURVE_HEIGHT - 1 - (rate / most) * (CURVE_HEIGHT - 2)).toFixed(1)}`);
  return h("svg", { viewBox: `0 0 ${CURVE_WIDTH} ${CURVE_HEIGHT}`, class: "sn-igtl-curve", "aria-hidden": "true" },
    points.length > 1 ? h("path", { d: `M${points.join("L")}` }) : null);
}

function render({ model, el }) {
  const root = rootElement(el, "sn-igtl", "OpenIGTLink devices", model);
  const line = banner();
  const questions = asker(model, line.waiting);
  const links = h("div", { class: "sn-igtl-links" });
  const body = h("tbody");
  const kinds = ["device", "type", "peer", "count", "rate", "graph", "node", "last"];
  const heads = ["Device", "Type", "Peer", "Messages", "Rate", "Node", "Last"];
  const table = h("table", { class: "sn-igtl-table" },
    h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col", colspan: head === "Rate" ? 2 : null }, head)))), body);
  const empty = h("div", { class: "sn-empty" }, h("strong", {}, "No device has sent anything yet"),
    h("span", {}, "slicer.igtl.connect(host) connects to a tracker; slicer.gateways.start(\"igtl\") lets others connect."));
  root.append(line.node, links, h("div", { class: "sn-igtl-scroll", role: "region", "aria-label": "Devices", tabindex: "0" }, table), empty);

  const connections = new Map();
  const devices = new Map();
  const rows = new Map();
  const gone = () => (model.get("_status")?.state ?? "live") !== "live";

  function link(each) {
    const ended = each.state === "closed";
    const how = each.kind === "server" ? "connected to us" : "connected from here";
    const last = each.problems.at(-1);
    const times = last && last.times > 1 ? ` (${last.times.toLocaleString("en")} times)` : "";
    return h("div", { class: "sn-igtl-link", "data-state": each.state },
      h("span", { class: "sn-igtl-dot", "aria-hidden": "true" }),
      h("strong", {}, each.peer), h("span", { class: "sn-hint" }, `${each.state} · ${how}`),
      h("span", { class: "sn-hint" }, `${each.received.toLocaleString("en")} received, ${each.sent.toLocaleString("en")} sent`),
      each.status ? h("span", {}, each.status) : null,
      ended ? null : h("button", {
        class: "sn-icon-button", type: "button", disabled: gone(), title: "End this connection",
        "aria-label": `End the connection with ${each.peer}`,
        onclick: () => questions.ask({ type: "disconnect", id: each.id }),
      }, icon("close")),
      last ? h("span", { class: "sn-warn sn-igtl-problem" }, icon("warning"), h("span", {}, `${last.text}${times}`)) : null);
  }

  function drawLinks() {
    const focused = links.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
    fill(links, [...connections.values()].map(link));
    if (focused) [...links.querySelectorAll("button")].find((each) => each.getAttribute("aria-label") === focused)?.focus();
  }

  function row(each) {
    let known = rows.get(each.id);
    if (!known) {
      known = { cells: kinds.map((kind) => h("td", { class: `sn-igtl-${kind}` })), rates: [] };
      known.node = h("tr", {}, known.cells);
      rows.set(each.id, known);
      body.append(known.node);
    }
    known.rates.push(each.rate);
    if (known.rates.length > CURVE) known.rates.shift();
    const [device, type, peer, number, rate, graph, node, last] = known.cells;
    const arrow = each.direction === "in" ? "←" : "→";
    const left = each.direction === "in" && each.shown > 0 && each.shown < each.count;
    device.textContent = each.device;
    type.textContent = each.type;
    fill(peer, h("span", { "aria-label": each.direction === "in" ? "from" : "to" }, arrow), ` ${each.peer}`);
    number.textContent = each.count.toLocaleString("en");
    number.title = left ? `${each.shown.toLocaleString("en")} of them were shown; the others were overtaken by newer ones` : "";
    rate.textContent = rateInWords(each.rate);
    rate.title = each.delay === null ? "" : `${each.delay.toFixed(2)} ms from the socket to the node (median)`;
    fill(graph, curve(known.rates));
    fill(last, each.problem
      ? h("span", { class: "sn-warn", title: `${each.problems.toLocaleString("en")} times` }, icon("warning"), each.problem)
      : each.last);
    last.title = each.problem || each.last;
    node.textContent = each.node;
    known.node.classList.toggle("sn-igtl-still", each.rate <= 0);
  }

  function take(message) {
    if (message.type === "all") {
      connections.clear();
      devices.clear();
    }
    for (const number of message.gone ?? []) {
      connections.delete(number);
      for (const [id, each] of devices) if (each.connection === number) devices.delete(id);
    }
    for (const each of message.connections) connections.set(each.id, each);
    for (const each of message.devices) {
      devices.set(each.id, each);
      row(each);
    }
    for (const [id, known] of rows) {
      if (devices.has(id)) continue;
      known.node.remove();
      rows.delete(id);
    }
    drawLinks();
    empty.hidden = devices.size > 0;
    table.hidden = devices.size === 0;
  }

  function takeStatus() {
    line.status(model.get("_status"));
    root.classList.toggle("sn-gone", gone());
    drawLinks();
  }

  const heard = listener(model);
  heard.on("change:_status", takeStatus);
  heard.on("msg:custom", (message) => {
    if (message.type === "all" || message.type === "news") take(message);
  });
  take({ type: "all", connections: [], devices: [] });
  takeStatus();
  questions.ask({ type: "hello" });
  return () => {
    heard.close();
    questions.close();
  };
}

export default { render };
