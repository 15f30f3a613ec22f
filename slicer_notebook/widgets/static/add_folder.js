// A line to index a folder: its path, how far it is, what was found.

/**
 * @param start start(folder)
 * @param stop stop()
 * @param closed closed(): the person has put the line away
 */
function folderLine({ start, stop, closed }) {
  const path = h("input", {
    class: "sn-folder-path",
    type: "text",
    placeholder: "/path/to/a/folder, a ZIP or a file, where Slicer runs",
    "aria-label": "Folder to index",
    spellcheck: "false",
    autocomplete: "off",
    oninput: () => drawButtons(),
  });
  const go = h("button", { class: "sn-button sn-folder-go", type: "submit", disabled: true }, "Index");
  const cancel = h("button", { class: "sn-button sn-folder-stop", type: "button", hidden: true, onclick: () => stop() }, "Stop");
  const fill_ = h("div", { class: "sn-bar-fill" });
  const bar = h("div", { class: "sn-bar", role: "progressbar", "aria-label": "Indexing", "aria-valuemin": "0", "aria-valuemax": "100", hidden: true }, fill_);
  const said = h("div", { class: "sn-folder-said", role: "status" });
  const form = h("form", { class: "sn-folder-form" }, path, bar, go, cancel);
  const node = h("div", { class: "sn-folder" }, form, said);
  let running = false;

  function drawButtons() {
    go.disabled = running || path.value.trim() === "";
    go.hidden = running;
    cancel.hidden = !running;
    bar.hidden = !running;
    path.readOnly = running;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!go.disabled) start(path.value);
  });
  node.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    closed();
  });

  return {
    node,
    focus: () => path.focus(),
    /** News of the kernel. */
    take(message) {
      running = message.state === "running";
      bar.classList.toggle("sn-bar-unknown", message.progress < 0);
      fill_.style.width = `${100 * Math.max(0, message.progress)}%`;
      if (message.progress >= 0) bar.setAttribute("aria-valuenow", String(Math.round(100 * message.progress)));
      else bar.removeAttribute("aria-valuenow");
      const failed = message.state === "failed";
      const icons = { done: "check", failed: "error" };
      said.replaceChildren(...(icons[message.state] ? [icon(icons[message.state])] : []), h("span", { role: failed ? "alert" : null }, message.text, message.hint ? h("span", { class: "sn-hint" }, ` ${message.hint}`) : null));
      said.dataset.state = message.state;
      if (message.state === "done") path.value = "";
      drawButtons();
    },
  };
}
