// Which PACS are asked: a chip each, with its doctor; what to do where none is configured.

Object.assign(ICONS, {
  pulse: "M3 11h4.600l2.400-6.500 4 13L16.700 11H21v2h-2.900l-4.300 9.500L9.700 9.700 9 13H3z",
  copy: "M8 3h11a2 2 0 0 1 2 2v12h-2V5H8V3zM5 7h9a2 2 0 0 1 2 2v10a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V9a2 2 0 0 1 2-2zm0 2v10h9V9H5z",
});

const ADD_A_PACS = 'sn.pacs.add("hospital", "dimse://CALLED_AE@host:11112", calling="MY_AE")';

/**
 * @param changed called when other PACS are chosen
 * @param look look(): read the configuration again
 * @param doctor doctor(what, server): what is "examine", "stop" or "away"
 */
function pacsServers({ changed, look, doctor }) {
  const chips = h("div", { class: "sn-q-servers", role: "group", "aria-label": "PACS" });
  const reports = h("div", { class: "sn-q-doctors" });
  const node = h("div", { class: "sn-q-sources" }, chips, reports);
  let chosen = new Set();
  let servers = [];
  let state = { read: false, problem: {} };
  const said = new Map();

  function toggle(name) {
    if (chosen.has(name)) chosen.delete(name);
    else chosen.add(name);
    draw();
    changed();
  }

  function draw() {
    const focused = chips.contains(document.activeElement) ? document.activeElement.dataset.control : null;
    if (!state.read) fill(chips, h("span", { class: "sn-hint" }, "Looking which PACS are configured…"));
    else if (state.problem.message) fill(chips, problem());
    else if (servers.length === 0) fill(chips, none());
    else fill(chips, h("span", { class: "sn-q-label", "aria-hidden": "true" }, "PACS"), ...servers.map(chip));
    if (focused) chips.querySelector(`[data-control="${CSS.escape(focused)}"]`)?.focus();
  }

  function chip({ name, url }) {
    const on = chosen.has(name);
    return h(
      "span",
      { class: "sn-q-server" },
      h("button", { class: "sn-q-chip", type: "button", title: url, "aria-pressed": String(on), "data-server": name, "data-control": `chip ${name}`, onclick: () => toggle(name) }, on ? icon("check") : null, name),
      h("button", { class: "sn-q-test", type: "button", title: `Test ${name}`, "aria-label": `Test ${name}`, "data-control": `test ${name}`, onclick: () => doctor("examine", name) }, icon("pulse")),
    );
  }

  function again() {
    return h("button", { class: "sn-button sn-q-look", type: "button", "data-control": "look", onclick: look }, "Look again");
  }

  function problem() {
    return h("div", { class: "sn-q-note sn-q-bad", role: "alert" }, icon("error"), h("span", {}, state.problem.message, " ", h("span", { class: "sn-hint" }, state.problem.hint ?? "")), again());
  }

  function none() {
    const copy = h("button", { class: "sn-button", type: "button", "data-control": "copy", onclick: () => copyText(ADD_A_PACS).then(() => fill(copy, "Copied")) }, "Copy");
    return h(
      "div",
      { class: "sn-q-none" },
      h("strong", {}, "No PACS is configured yet."),
      h("span", {}, "Run such a line in a cell, with your PACS's address (a DICOMweb address such as ", h("code", {}, "https://host/dicom-web"), " will do, too), then look again."),
      h("span", { class: "sn-q-line" }, h("code", { class: "sn-q-code" }, ADD_A_PACS), copy, again()),
    );
  }

  function report(words) {
    const { server } = words;
    const close = (what, label) => h("button", { class: "sn-icon-button", type: "button", title: label, "aria-label": `${label} ${server}`, onclick: () => leave(what, server) }, icon("close"));
    if (words.state === "running")
      return h("div", { class: "sn-q-doctor", "data-server": server, "data-state": "running", role: "status" }, h("div", { class: "sn-q-doctor-head" }, h("strong", {}, server), h("span", { class: "sn-hint" }, `Testing: ${words.text}`), close("stop", "Stop testing")));
    if (words.state === "failed")
      return h("div", { class: "sn-q-doctor", "data-server": server, "data-state": "failed", role: "alert" }, h("div", { class: "sn-q-doctor-head" }, h("strong", {}, server), h("span", { class: "sn-q-step-found" }, words.error.message, " ", h("span", { class: "sn-hint" }, words.error.hint ?? "")), close("away", "Put away the test of")));
    const worst = ["fail", "warn"].find((status) => words.steps.some((step) => step.status === status));
    const verdict = { fail: "Something does not work.", warn: "Works, with remarks." }[worst] ?? "All works.";
    return h(
      "div",
      { class: "sn-q-doctor", "data-server": server, "data-state": "done", role: "status" },
      h("div", { class: "sn-q-doctor-head" }, h("strong", {}, server), h("span", {}, verdict), close("away", "Put away the test of")),
      h("ul", { class: "sn-q-steps", role: "list" }, ...words.steps.map(step)),
    );
  }

  function step({ name, status, found, fix }) {
    const [picture, word] = { ok: ["check", "ok"], warn: ["warning", "warning"], fail: ["error", "failed"] }[status];
    return h(
      "li",
      { class: "sn-q-step", "data-status": status },
      icon(picture),
      h("span", { class: "sn-q-step-name" }, name, h("span", { class: "sn-q-unseen" }, `: ${word}`)),
      h("span", { class: "sn-q-step-found" }, found, fix ? h("span", { class: "sn-q-fix" }, fix) : null),
    );
  }

  function leave(what, server) {
    doctor(what, server);
    if (what === "away") {
      said.delete(server);
      drawReports();
    }
    chips.querySelector(`[data-control="${CSS.escape(`test ${server}`)}"]`)?.focus();
  }

  function drawReports() {
    fill(reports, ...[...said.values()].map(report));
  }

  draw();
  return {
    node,
    chosen: () => servers.map(({ name }) => name).filter((name) => chosen.has(name)),
    /** What is configured, and what was chosen. */
    take(message) {
      state = message;
      servers = message.servers;
      // Who has chosen here keeps that; those that are not there any more are not asked.
      if (chosen.size === 0) chosen = new Set(message.chosen);
      draw();
    },
    choose(names) {
      chosen = new Set(names);
      draw();
    },
    /** What the doctor says. */
    examined(words) {
      if (words.state === "stopped") said.delete(words.server);
      else said.set(words.server, words);
      drawReports();
    },
  };
}
