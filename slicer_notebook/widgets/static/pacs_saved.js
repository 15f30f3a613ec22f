// Searches that are kept by name, and the search as a cell's code.

Object.assign(ICONS, {
  bookmark: "M6 3h12a1 1 0 0 1 1 1v17l-7-4-7 4V4a1 1 0 0 1 1-1zm1 2v12.600l5-2.900 5 2.900V5H7z",
  code: "m8.700 6.300 1.400 1.400L5.800 12l4.300 4.300-1.400 1.400L3 12l5.700-5.700zm6.600 0L21 12l-5.700 5.700-1.400-1.400 4.300-4.300-4.300-4.300 1.400-1.400z",
  rename: "M4 16.600V20h3.400L17.500 9.900l-3.400-3.400L4 16.600zM20.300 7.100a1 1 0 0 0 0-1.400l-2-2a1 1 0 0 0-1.400 0l-1.500 1.500 3.400 3.400 1.500-1.500z",
  bin: "M9 3h6l1 2h4v2H4V5h4l1-2zM6 8h12l-1 13H7L6 8zm2.200 2 .7 9h6.200l.7-9H8.200z",
});

/**
 * @param use use(form): one was chosen
 * @param change change(what, words): "save" {name}, "rename" {former, name}, "delete" {name}
 */
function savedSearches({ use, change }) {
  let searches = [];
  let problem = {};
  let renaming = null;
  const list = h("ul", { class: "sn-q-saved-list", role: "list", "aria-label": "Saved searches" });
  const name = h("input", { class: "sn-q-input sn-q-saved-name", type: "text", maxlength: "80", placeholder: "Name of this search", "aria-label": "Name of this search", spellcheck: "false", autocomplete: "off" });
  const save = h("button", { class: "sn-button sn-q-save", type: "submit" }, "Save");
  const wrong = h("div", { class: "sn-q-note sn-q-bad", role: "alert", hidden: true });
  const form = small(() => {
    if (!name.value.trim()) return name.focus();
    change("save", { name: name.value });
    name.value = "";
  }, name, save);
  const node = h("div", { class: "sn-q-panel sn-q-saved", role: "group", "aria-label": "Saved searches", hidden: true }, list, form, wrong);

  /** A line with an input and its button: either does it. */
  function small(done, ...children) {
    const act = (event) => {
      event.preventDefault();
      event.stopPropagation();
      done();
    };
    // JupyterLab keeps the key press from the browser, which would submit the form.
    const onkeydown = (event) => event.key === "Enter" && event.target.matches("input") && !event.isComposing && act(event);
    return h("form", { class: "sn-q-saved-form", onsubmit: act, onkeydown }, ...children);
  }

  function draw() {
    fill(list, ...(searches.length ? searches.map(item) : [h("li", { class: "sn-hint" }, "None yet. They are kept on the notebook's machine, for you alone.")]));
    wrong.hidden = !problem.message;
    fill(wrong, ...(problem.message ? [icon("error"), h("span", {}, problem.message, " ", h("span", { class: "sn-hint" }, problem.hint ?? ""))] : []));
  }

  function item({ name: own, form: kept }) {
    if (renaming === own) {
      const input = h("input", { class: "sn-q-input", type: "text", maxlength: "80", "aria-label": `New name of ${own}`, spellcheck: "false", autocomplete: "off", onkeydown: (event) => {
        if (event.key !== "Escape") return;
        event.stopPropagation();
        rename(null, own);
      } });
      input.value = own;
      const done = () => {
        if (input.value.trim() && input.value.trim() !== own) change("rename", { former: own, name: input.value });
        rename(null, own);
      };
      return h("li", { class: "sn-q-saved-item" }, small(done, input, h("button", { class: "sn-button", type: "submit" }, "Rename")));
    }
    return h(
      "li",
      { class: "sn-q-saved-item" },
      h("button", { class: "sn-q-link sn-q-saved-use", type: "button", onclick: () => use(kept) }, own),
      h("button", { class: "sn-icon-button", type: "button", title: "Rename", "aria-label": `Rename ${own}`, "data-rename": own, onclick: () => rename(own, own) }, icon("rename")),
      h("button", { class: "sn-icon-button", type: "button", title: "Delete", "aria-label": `Delete ${own}`, onclick: () => {
        change("delete", { name: own });
        name.focus();
      } }, icon("bin")),
    );
  }

  function rename(which, focus) {
    renaming = which;
    draw();
    if (which !== null) list.querySelector("input")?.select();
    else list.querySelector(`[data-rename="${CSS.escape(focus)}"]`)?.focus();
  }

  draw();
  return {
    node,
    take(message) {
      searches = message.searches;
      problem = message.problem ?? {};
      draw();
    },
    focus: () => (list.querySelector("button") ?? name).focus(),
  };
}

/** The search as code. */
function codePanel() {
  const text = h("pre", { class: "sn-q-pre", tabindex: "0", "aria-label": "Code of this search" });
  const copied = h("span", { class: "sn-hint", role: "status" });
  const copy = h("button", { class: "sn-button", type: "button", onclick: () => put() }, "Copy");
  const node = h("div", { class: "sn-q-panel sn-q-code-panel", role: "group", "aria-label": "As code", hidden: true }, text, h("div", { class: "sn-q-line" }, copy, copied));
  let code = "";

  async function put() {
    await copyText(code);
    copied.textContent = "Copied. It goes on with: answers";
  }

  return {
    node,
    /** The code has come: it is shown, and in the clipboard. */
    take(message) {
      code = message.code;
      text.textContent = code;
      put();
    },
    clear() {
      copied.textContent = "";
    },
  };
}
