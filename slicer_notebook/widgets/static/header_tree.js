// A header as a tree. The lines come flat, in order, with their depth; rows are made when they are to be seen.

const [DEPTH, KIND, TAG, KEYWORD, NAME, VR, VALUE, NOTE, CREATOR, FULL] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
const ITEM = 2;
/** Children of a node that are shown at once, and rows of a search; elements of the data set itself. */
const AT_ONCE = 200;
const TOP_AT_ONCE = 1000;
/** Characters of a value that a row shows. */
const CUT = 240;

/** No case, no accents: what is searched. */
function foldedText(text) {
  return /^[\x00-\x7f]*$/.test(text) ? text.toLowerCase() : text.normalize("NFKD").replace(/\p{Mn}/gu, "").toLowerCase();
}

/** Where words are in a text: [[from, to], ...], in order, apart. */
function places(text, words) {
  if (words.length === 0 || !text) return [];
  const ascii = /^[\x00-\x7f]*$/.test(text);
  const starts = [];
  let plain = ascii ? text.toLowerCase() : "";
  let at = 0;
  for (const letter of ascii ? "" : text) {
    const fold = foldedText(letter);
    for (let i = 0; i < fold.length; i++) starts.push(at);
    plain += fold;
    at += letter.length;
  }
  starts.push(text.length);
  const place = (i) => (ascii ? i : starts[i]);
  const found = [];
  for (const word of words) {
    for (let i = plain.indexOf(word); i >= 0; i = plain.indexOf(word, i + word.length)) found.push([place(i), place(i + word.length)]);
  }
  found.sort((a, b) => a[0] - b[0]);
  const apart = [];
  for (const [from, to] of found) {
    const last = apart.at(-1);
    if (last && from <= last[1]) last[1] = Math.max(last[1], to);
    else apart.push([from, to]);
  }
  return apart;
}

/** A text with its hits marked. */
function withMarks(text, words) {
  const parts = [];
  let done = 0;
  for (const [from, to] of places(text, words)) {
    parts.push(text.slice(done, from), h("mark", {}, text.slice(from, to)));
    done = to;
  }
  parts.push(text.slice(done));
  return parts.filter((part) => part !== "");
}

/** What a search looks at in a line, folded. */
function searched(row) {
  return foldedText(`(${row[TAG]})\n${row[TAG].replace(",", "")}\n${row[KEYWORD]}\n${row[NAME]}\n${row[VR]}\n${row[VALUE]}\n${row[NOTE]}\n${row[CREATOR]}`);
}

/** The lines, and the tree that they make. */
function headerLines() {
  const rows = [];
  const parents = [];
  const ends = [];
  const hay = [];
  const open = [];
  let elements = 0;
  return {
    rows,
    parents,
    get elements() {
      return elements;
    },
    add(more) {
      for (const row of more) {
        const index = rows.length;
        while (open.length && rows[open.at(-1)][DEPTH] >= row[DEPTH]) ends[open.pop()] = index;
        parents.push(open.length ? open.at(-1) : -1);
        open.push(index);
        rows.push(row);
        ends.push(-1);
        if (row[KIND] !== ITEM) elements++;
        hay.push(row[KIND] === ITEM ? null : searched(row));
      }
    },
    /** The index after all that is in a node. */
    end(index) {
      return index < 0 || ends[index] < 0 ? rows.length : ends[index];
    },
    hasChildren(index) {
      return index + 1 < rows.length && rows[index + 1][DEPTH] > rows[index][DEPTH];
    },
    children(index) {
      const found = [];
      for (let child = index + 1; child < this.end(index); child = this.end(child)) found.push(child);
      return found;
    },
    /** Indexes of the elements that contain all words. */
    find(words) {
      const found = [];
      for (let index = 0; index < rows.length; index++) {
        const text = hay[index];
        if (text !== null && words.every((word) => text.includes(word))) found.push(index);
      }
      return found;
    },
  };
}

function render({ model, el }) {
  const root = rootElement(el, "sn-header", "DICOM header", model);
  const line = banner();
  let ended = false;
  const questions = asker(model, line.waiting);
  const lines = headerLines();
  const title = h("span", { class: "sn-header-title" });
  const tally = h("span", { class: "sn-tally", role: "status" });
  const said = h("span", { class: "sn-visually-hidden", role: "status" });
  const input = h("input", { class: "sn-search-input", type: "search", "aria-label": "Search the header", placeholder: "Search tag, name, value…", spellcheck: "false", autocomplete: "off" });
  const tree = h("div", { class: "sn-tree", role: "tree", "aria-label": "Elements of the header" });
  const empty = h("div", { class: "sn-empty", hidden: true });
  root.append(
    h("div", { class: "sn-head" }, h("label", { class: "sn-search" }, icon("search"), input), h("div", { class: "sn-header-about" }, title, tally)),
    line.node,
    tree,
    empty,
    said,
  );

  let vrs = {};
  let words = [];
  let query = "";
  let hits = new Set();
  let paths = new Set();
  let total = 0;
  /** Nodes that are open, in the whole tree and among the hits of a search. */
  const opened = new Set();
  const toggled = new Map();
  const unfolded = new Set();
  const wholes = new Map();
  const shownOf = new Map();
  let active = -1;
  let problem = "";

  const isOpen = (index) => (words.length ? (toggled.get(index) ?? paths.has(index)) : opened.has(index));
  const childrenOf = (index) => {
    const all = lines.children(index);
    return words.length && (index < 0 || paths.has(index)) ? all.filter((child) => hits.has(child) || paths.has(child)) : all;
  };

  /** How many children of a node are shown; among the hits of a search, how many rows in all. */
  const mostOf = (parent) => shownOf.get(parent) ?? (parent < 0 && !words.length ? TOP_AT_ONCE : AT_ONCE);

  /** The rows that are to be seen; for what is left out, {more: parent, left: how many}. */
  function visible() {
    const found = [];
    const walk = (parent, level) => {
      const all = childrenOf(parent);
      const most = words.length ? all.length : mostOf(parent);
      for (let at = 0; at < Math.min(most, all.length); at++) {
        if (words.length && found.length >= mostOf(-1)) return;
        const index = all[at];
        found.push({ index, level, position: at + 1, size: all.length });
        if (lines.hasChildren(index) && isOpen(index)) walk(index, level + 1);
      }
      if (all.length > most) found.push({ more: parent, level, left: all.length - most, position: most + 1, size: all.length });
    };
    walk(-1, 1);
    if (words.length && found.length >= mostOf(-1)) {
      const left = total - found.filter((each) => hits.has(each.index)).length;
      if (left > 0) found.push({ more: -1, level: 1, left, position: found.length + 1, size: found.length + 1 });
    }
    return found;
  }

  function value(index) {
    return wholes.get(index) ?? lines.rows[index][VALUE];
  }

  /** A value as far as a row shows it: its beginning, or what is around a search's first hit. */
  function excerpt(index) {
    const text = value(index);
    const long = text.length > CUT || lines.rows[index][FULL];
    if (!long || unfolded.has(index)) return { text, long, before: "", after: "" };
    const first = places(text.slice(0, 4000), words)[0]?.[0] ?? 0;
    const from = first > CUT - 40 ? first - 40 : 0;
    return { text: text.slice(from, from + CUT), long, before: from ? "…" : "", after: "…" };
  }

  function copyButton(index, what, text) {
    return h(
      "button",
      {
        class: "sn-copy",
        type: "button",
        tabindex: "-1",
        "aria-label": `Copy the ${what}`,
        title: `Copy the ${what}`,
        onclick: (event) => {
          event.stopPropagation();
          copy(index, what, text());
        },
      },
      what,
    );
  }

  async function copy(index, what, text) {
    let copied = text;
    if (what === "value" && lines.rows[index][FULL] && !wholes.has(index)) copied = await whole(index);
    await copyText(copied);
    said.textContent = "";
    said.textContent = `Copied the ${what} of ${lines.rows[index][NAME]}`;
    const node = rowNode(index);
    node?.classList.add("sn-copied");
    node?.addEventListener("animationend", () => node.classList.remove("sn-copied"), { once: true });
  }

  const asked = new Map();
  /** All of a value that came cut. */
  function whole(index) {
    if (wholes.has(index)) return Promise.resolve(wholes.get(index));
    return new Promise((resolve) => {
      asked.set(index, [...(asked.get(index) ?? []), resolve]);
      questions.ask({ type: "value", row: index });
    });
  }

  async function unfold(index) {
    if (unfolded.has(index)) unfolded.delete(index);
    else {
      if (lines.rows[index][FULL]) await whole(index);
      unfolded.add(index);
    }
    draw();
    focusRow(index);
  }

  function makeRow({ index, level, position, size }) {
    const row = lines.rows[index];
    const branch = lines.hasChildren(index);
    const isItem = row[KIND] === ITEM;
    const { text, long, before, after } = excerpt(index);
    const buttons = h("span", { class: "sn-copies", role: "group", "aria-label": "Copy" });
    if (!isItem) buttons.append(copyButton(index, "tag", () => row[TAG]));
    if (row[KEYWORD]) buttons.append(copyButton(index, "keyword", () => row[KEYWORD]));
    if (row[KIND] === 0 && row[VALUE]) buttons.append(copyButton(index, "value", () => value(index)));
    const more = long
      ? h("button", { class: "sn-whole", type: "button", tabindex: "-1", onclick: (event) => (event.stopPropagation(), unfold(index)) }, unfolded.has(index) ? "Show less" : `Show all ${count(row[FULL] || value(index).length, "character")}`)
      : null;
    return h(
      "div",
      {
        class: `sn-row${branch ? " sn-branch" : ""}${isItem ? " sn-item" : ""}${hits.has(index) ? " sn-hit" : ""}`,
        role: "treeitem",
        "data-row": index,
        "data-tag": isItem ? null : row[TAG],
        "aria-level": level,
        "aria-posinset": position,
        "aria-setsize": size,
        "aria-expanded": branch ? String(isOpen(index)) : null,
        "aria-selected": index === active ? "true" : "false",
        "aria-label": label(row),
        tabindex: "-1",
        style: `--sn-level:${level - 1}`,
      },
      h(
        "span",
        { class: "sn-what" },
        h("span", { class: "sn-toggle" }, branch ? icon("chevron") : null),
        isItem ? null : h("span", { class: "sn-element-tag" }, withMarks(row[TAG], tagWords())),
        h("span", { class: "sn-name" }, withMarks(row[NAME], words), row[CREATOR] ? h("span", { class: "sn-creator" }, " ", withMarks(row[CREATOR], words)) : null, keywordOf(row)),
      ),
      isItem ? h("span", { class: "sn-vr" }) : h("span", { class: "sn-vr", title: vrs[row[VR]] ?? "" }, withMarks(row[VR], words)),
      h(
        "span",
        { class: `sn-value${row[KIND] === 0 ? "" : " sn-count"}` },
        before,
        withMarks(text, words),
        after,
        row[VALUE] === "" && row[KIND] === 0 ? h("span", { class: "sn-element-note sn-none" }, "empty") : null,
        row[NOTE] ? h("span", { class: "sn-element-note" }, " ", withMarks(row[NOTE], words)) : null,
        more ? [" ", more] : null,
      ),
      buttons,
    );
  }

  /** The keyword, where it is what was found and the name does not show it. */
  function keywordOf(row) {
    if (!words.length || !row[KEYWORD] || !words.some((word) => foldedText(row[KEYWORD]).includes(word) && !foldedText(row[NAME]).includes(word))) return null;
    return h("span", { class: "sn-creator" }, " ", withMarks(row[KEYWORD], words));
  }

  /** A tag may be written without its comma. */
  function tagWords() {
    return words.flatMap((word) => (/^\(?[0-9a-f]{8}\)?$/.test(word) ? [`${word.replace(/[()]/g, "").slice(0, 4)},${word.replace(/[()]/g, "").slice(4)}`] : [word.replace(/[()]/g, "")])).filter(Boolean);
  }

  function label(row) {
    const shown = row[VALUE].length > CUT ? `${row[VALUE].slice(0, CUT)}…` : row[VALUE];
    if (row[KIND] === ITEM) return [row[NAME], shown, row[NOTE]].filter(Boolean).join(", ");
    return `${row[NAME]}${row[CREATOR] ? `, ${row[CREATOR]}` : ""}, ${shown || "empty"}${row[NOTE] ? `, ${row[NOTE]}` : ""}, ${row[TAG]}, ${vrs[row[VR]] ?? row[VR]}`;
  }

  function makeMore({ more, level, left, position, size }) {
    const words = `Show ${Math.min(left, AT_ONCE).toLocaleString("en")} more of ${left.toLocaleString("en")}`;
    return h(
      "div",
      { class: "sn-row sn-more", role: "treeitem", "data-more": more, "aria-level": level, "aria-posinset": position, "aria-setsize": size, "aria-selected": "false", tabindex: "-1", style: `--sn-level:${level - 1}` },
      h("span", { class: "sn-what" }, h("span", { class: "sn-toggle" }), h("span", { class: "sn-name" }, words)),
    );
  }

  const rowNode = (index) => tree.querySelector(`[data-row="${index}"]`);

  function draw() {
    const list = visible();
    // Rows are made anew, also while somebody walks among them: lines that arrive take no focus away.
    const walked = tree.contains(document.activeElement);
    tree.replaceChildren(...list.map((each) => ("more" in each ? makeMore(each) : makeRow(each))));
    if (!rowNode(active)) active = list.length && "index" in list[0] ? list[0].index : -1;
    setActive(rowNode(active));
    tree.hidden = list.length === 0;
    if (walked) rowNode(active)?.focus({ preventScroll: true });
    tell();
  }

  function tell() {
    const all = count(lines.elements, "element");
    const coming = ended ? "" : " so far…";
    tally.textContent = words.length ? `${total.toLocaleString("en")} of ${all}${coming}` : `${all}${coming}`;
    if (problem) tally.append(" ", h("span", { class: "sn-warn" }, icon("warning"), problem));
    const none = words.length > 0 && total === 0;
    empty.hidden = !none && lines.rows.length > 0;
    if (none) {
      fill(
        empty,
        h("strong", {}, `No element matches “${query}”`),
        h("span", {}, `Looked at tags, keywords, names, values and private creators of ${all}${coming}`),
        h("button", { class: "sn-button", type: "button", onclick: () => ((input.value = ""), search(), input.focus()) }, "Show all"),
      );
    } else if (lines.rows.length === 0) fill(empty, ended ? h("strong", {}, "This header has no elements") : "Reading the header…");
  }

  function search() {
    query = input.value.trim();
    const next = foldedText(query).replaceAll("0x", "").split(/\s+/).filter(Boolean);
    const same = next.join(" ") === words.join(" ");
    words = next;
    if (!same) {
      toggled.clear();
      for (const key of [...shownOf.keys()]) shownOf.delete(key);
      tree.scrollTop = 0;
    }
    const found = words.length ? lines.find(words) : [];
    total = found.length;
    hits = new Set(found);
    paths = new Set();
    for (const hit of found) {
      for (let parent = lines.parents[hit]; parent >= 0 && !paths.has(parent); parent = lines.parents[parent]) paths.add(parent);
    }
    draw();
  }

  function setActive(node) {
    tree.querySelector('.sn-row[tabindex="0"]')?.setAttribute("tabindex", "-1");
    for (const old of tree.querySelectorAll('[aria-selected="true"]')) old.setAttribute("aria-selected", "false");
    for (const button of tree.querySelectorAll('button[tabindex="0"]')) button.setAttribute("tabindex", "-1");
    if (!node) return;
    if (node.dataset.row !== undefined) active = Number(node.dataset.row);
    node.setAttribute("tabindex", "0");
    node.setAttribute("aria-selected", "true");
    for (const button of node.querySelectorAll("button")) button.setAttribute("tabindex", "0");
  }

  function focusRow(index) {
    focusNode(rowNode(index));
  }

  function focusNode(node) {
    if (!node) return;
    setActive(node);
    node.focus({ preventScroll: true });
    node.scrollIntoView({ block: "nearest" });
  }

  function toggle(index, to = !isOpen(index)) {
    if (!lines.hasChildren(index)) return;
    if (words.length) toggled.set(index, to);
    else if (to) opened.add(index);
    else opened.delete(index);
    draw();
    focusRow(index);
  }

  function showMore(node) {
    const parent = Number(node.dataset.more);
    const before = [...tree.children].indexOf(node);
    shownOf.set(parent, mostOf(parent) + AT_ONCE);
    draw();
    focusNode(tree.children[before]);
  }

  tree.addEventListener("click", (event) => {
    const node = event.target.closest(".sn-row");
    if (!node || String(document.getSelection()).length) return;
    if (node.dataset.more !== undefined) showMore(node);
    else if (lines.hasChildren(Number(node.dataset.row))) toggle(Number(node.dataset.row));
    else focusNode(node);
  });
  tree.addEventListener("focusin", (event) => {
    const node = event.target.closest(".sn-row");
    if (node && node.getAttribute("tabindex") !== "0") setActive(node);
  });

  function keyDown(event) {
    const node = event.target.closest?.(".sn-row");
    if (!node || event.target !== node || event.altKey) return;
    const index = node.dataset.row === undefined ? -1 : Number(node.dataset.row);
    const branch = index >= 0 && lines.hasChildren(index);
    if ((event.ctrlKey || event.metaKey) && event.key === "c" && index >= 0 && !String(document.getSelection()).length) copy(index, "value", value(index));
    else if (event.ctrlKey || event.metaKey) return;
    else if (event.key === "ArrowDown") focusNode(node.nextElementSibling);
    else if (event.key === "ArrowUp") node.previousElementSibling ? focusNode(node.previousElementSibling) : input.focus();
    else if (event.key === "Home") focusNode(tree.firstElementChild);
    else if (event.key === "End") focusNode(tree.lastElementChild);
    else if (event.key === "ArrowRight") {
      if (branch && !isOpen(index)) toggle(index, true);
      else if (branch) focusNode(node.nextElementSibling);
    } else if (event.key === "ArrowLeft") {
      if (branch && isOpen(index)) toggle(index, false);
      else if (index >= 0 && lines.parents[index] >= 0) focusRow(lines.parents[index]);
    } else if (event.key === "Enter" || event.key === " ") {
      if (index < 0) showMore(node);
      else if (branch) toggle(index);
      else if (node.querySelector(".sn-whole")) unfold(index);
    } else if (event.key === "Escape") input.focus();
    else if (event.key.length === 1 && /\S/.test(event.key) && !event.shiftKey) typed(node, event.key);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
  tree.addEventListener("keydown", keyDown);

  /** The next row whose name begins with a letter. */
  function typed(node, letter) {
    const all = [...tree.children];
    const from = all.indexOf(node) + 1;
    const next = [...all.slice(from), ...all.slice(0, from)].find((each) => each.dataset.row !== undefined && foldedText(lines.rows[Number(each.dataset.row)][NAME]).startsWith(letter.toLowerCase()));
    focusNode(next);
  }

  input.addEventListener("input", search);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || (event.key === "Enter" && words.length)) {
      const hit = event.key === "Enter" ? tree.querySelector(".sn-hit") : tree.firstElementChild;
      focusNode(hit ?? tree.firstElementChild);
      event.preventDefault();
    } else if (event.key === "Escape" && input.value) {
      input.value = "";
      search();
      event.preventDefault();
    } else return;
    event.stopPropagation();
  });

  let last = Promise.resolve();
  let drawing = 0;
  let closed = false;
  const heard = listener(model);
  heard.on("msg:custom", (message, buffers) => {
    if (message.type === "lines") {
      // One after the other, however long each takes to unpack.
      last = last.then(async () => {
        if (message.first !== lines.rows.length) return; // a second view said hello
        lines.add(JSON.parse(await inflated(buffers[0])));
        if (!drawing && !closed) drawing = requestAnimationFrame(() => ((drawing = 0), search()));
      });
    } else if (message.type === "end") {
      last = last.then(() => {
        ended = true;
        problem = message.problem;
        tell();
      });
    } else if (message.type === "about") {
      vrs = message.vrs;
      title.textContent = message.title;
    } else if (message.type === "value") {
      wholes.set(message.row, message.value);
      for (const resolve of asked.get(message.row) ?? []) resolve(message.value);
      asked.delete(message.row);
    }
  });
  tell();
  questions.ask({ type: "hello" });
  return () => {
    closed = true;
    cancelAnimationFrame(drawing);
    heard.close();
    questions.close();
  };
}

export default { render };
