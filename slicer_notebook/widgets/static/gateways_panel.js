// Servers for other programs: switches, counts, a log.

const LOG_LINES = 200;

/** "14:03:05". */
function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString("en-GB");
}

function render({ model, el }) {
  const root = rootElement(el, "sn-gateways", "Servers for other programs", model);
  const line = banner();
  const questions = asker(model, line.waiting);
  const rows = h("div", { class: "sn-gateway-rows" });
  const log = h("div", { class: "sn-gateway-log", role: "log", "aria-label": "What other programs ask", tabindex: "0" });
  const empty = h("p", { class: "sn-empty" }, "What other programs ask for is shown here.");
  root.append(line.node, rows, h("h4", { class: "sn-gateway-head" }, "Requests"), log);
  const gone = () => (model.get("_status")?.state ?? "live") !== "live";
  let shown = "";
  let last = [];

  function row(each) {
    const { entry, kind } = each;
    const on = entry !== null;
    const toggle = h("button", {
      class: "sn-switch", type: "button", role: "switch", "aria-checked": String(on), disabled: gone(),
      "aria-label": `${each.title}: ${on ? `serves at ${entry.url}` : "is off"}`,
      onclick: () => {
        if (toggle.getAttribute("aria-busy")) return;
        toggle.setAttribute("aria-busy", "true"); // not disabled: it would lose the focus
        shown = "";
        questions.ask({ type: "switch", kind, on: !on, id: entry?.id ?? null });
      },
    }, h("span", { class: "sn-switch-knob" }));
    toggle.dataset.key = `${kind} ${entry?.id ?? ""}`;
    const facts = on
      ? [
          h("code", { class: "sn-gateway-url" }, entry.url),
          h("span", {}, count(entry.requests, "request")),
          h("span", { class: entry.failed ? "sn-gateway-failed" : "sn-hint" }, `${entry.failed.toLocaleString("en")} failed`),
          h("span", { class: "sn-hint" }, count(entry.open, "connection")),
          entry.guarded ? h("span", { class: "sn-hint" }, "token needed") : null,
          entry.allow.length ? h("span", { class: "sn-warn" }, icon("warning"), `allows ${entry.allow.join(", ")}`) : null,
        ]
      : [h("span", { class: "sn-hint" }, each.usual ? `off · usually port ${each.usual}` : "off")];
    const trouble = each.trouble
      ? h("div", { class: "sn-gateway-trouble", role: "alert" }, icon("error"), h("span", {}, each.trouble.message, " ", h("span", { class: "sn-hint" }, each.trouble.hint)))
      : null;
    return h("div", { class: "sn-gateway-row" }, toggle,
      h("div", { class: "sn-gateway-name" }, h("strong", {}, each.title), h("span", { class: "sn-hint" }, each.what)),
      h("div", { class: "sn-gateway-facts" }, facts), trouble);
  }

  function draw(list) {
    const text = JSON.stringify([list, gone()]);
    if (text === shown) return;
    [shown, last] = [text, list];
    const focused = rows.contains(document.activeElement) ? document.activeElement.dataset.key?.split(" ")[0] : null;
    fill(rows, list.map(row));
    if (focused) rows.querySelector(`[data-key^="${focused} "]`)?.focus();
  }

  function logLine(each) {
    return h("div", { class: each.good ? "sn-log-line" : "sn-log-line sn-log-bad" },
      h("span", { class: "sn-hint" }, clock(each.at)), h("span", {}, each.kind), h("span", { class: "sn-log-what" }, each.what),
      h("span", { class: "sn-log-status" }, each.status), h("span", { class: "sn-hint" }, `${each.ms.toFixed(1)} ms`),
      h("span", { class: "sn-hint sn-log-note" }, [each.who, each.note].filter(Boolean).join(" · ")));
  }

  function grow(lines, all) {
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
    if (all) log.replaceChildren();
    empty.remove();
    log.append(...lines.map(logLine));
    while (log.childElementCount > LOG_LINES) log.firstElementChild.remove();
    if (log.childElementCount === 0) log.append(empty);
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  function takeStatus() {
    line.status(model.get("_status"));
    root.classList.toggle("sn-gone", gone());
    draw(last);
  }

  const heard = listener(model);
  heard.on("change:_status", takeStatus);
  heard.on("msg:custom", (message) => {
    if (message.type === "gateways") draw(message.rows);
    else if (message.type === "lines") grow(message.lines, message.all);
  });
  grow([], true);
  takeStatus();
  questions.ask({ type: "hello" });
  return () => {
    heard.close();
    questions.close();
  };
}

export default { render };
