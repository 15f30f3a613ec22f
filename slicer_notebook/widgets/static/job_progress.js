// A job as a bar.

function render({ model, el }) {
  const root = rootElement(el, "sn-job", "Progress of a job in Slicer", model);
  const bar = h("div", { class: "sn-bar-fill" });
  const track = h("div", { class: "sn-bar", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100", "aria-label": "Progress" }, bar);
  const text = h("span", { class: "sn-job-text" });
  const facts = h("span", { class: "sn-job-facts" });
  const line = banner();
  const questions = asker(model, line.waiting);
  const cancel = h("button", { class: "sn-button", type: "button", onclick: () => questions.ask({ type: "cancel" }) }, "Cancel");
  const trouble = h("div", { class: "sn-trouble", role: "alert", hidden: true });
  const signIn = signInCard();
  root.append(h("div", { class: "sn-job-row" }, track, text, facts, cancel), signIn.node, trouble, line.node);

  const words = { running: "", cancelling: "Stopping…", done: "Done", cancelled: "Cancelled", failed: "Failed" };
  const update = () => {
    const job = model.get("_job");
    root.dataset.state = job.state;
    const known = job.progress >= 0;
    const running = job.state === "running" || job.state === "cancelling";
    track.classList.toggle("sn-bar-unknown", running && !known);
    bar.style.width = `${Math.round(100 * (known ? job.progress : 0))}%`;
    if (known) track.setAttribute("aria-valuenow", Math.round(100 * job.progress));
    else track.removeAttribute("aria-valuenow");
    const asked = job.state === "running" && job.sign_in?.user_code ? job.sign_in : null;
    signIn.take(asked);
    text.textContent = words[job.state] || (asked ? "Waiting for you to sign in" : job.text) || job.command;
    text.title = job.text;
    facts.textContent = running ? (known ? `${Math.round(100 * job.progress)} %` : "") : `${job.command} · ${job.seconds.toFixed(1)} s`;
    cancel.hidden = !running;
    cancel.disabled = job.state === "cancelling";
    trouble.hidden = job.state !== "failed";
    if (job.state === "failed") {
      trouble.replaceChildren(h("strong", {}, job.error.message));
      if (job.error.hint) trouble.append(" ", h("span", { class: "sn-hint" }, job.error.hint));
    }
  };
  const heard = listener(model);
  heard.on("change:_job", update);
  update();
  return () => {
    heard.close();
    signIn.close();
    questions.close();
  };
}

export default { render };
