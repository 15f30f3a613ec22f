// The studies of the index in the browser: read from pages of lines, searched, filtered and sorted here, so that typing
// waits for nobody. A study stays one line of text until it is drawn: 100,000 of them are then no 1,000,000 objects.

/** Fields that tell who a patient is, the last ones of a line: neither shown nor searched while names are hidden. */
const IDENTIFYING = ["name", "id", "born", "accession", "referring", "institution", "more_identity"];
/** The first field that is searched; nobody types those before it. */
const SEARCHED_FROM = "date";
/** Between the parts of a field that holds several. */
const PART = "\x1f";

/** Letters that Unicode does not take apart. */
const PLAIN = { ß: "ss", ł: "l", Ł: "l", ø: "o", Ø: "o", đ: "d", Đ: "d", ð: "d", Ð: "d", ħ: "h", Ħ: "h", ŧ: "t", Ŧ: "t", ı: "i", æ: "ae", Æ: "ae", œ: "oe", Œ: "oe", þ: "th", Þ: "th" };
const PLAIN_PATTERN = new RegExp(`[${Object.keys(PLAIN).join("")}]`, "g");

/** What runs of other letters than ASCII's become: the same names come again and again. At most MOST_RUNS. */
const foldedRuns = new Map();
const MOST_RUNS = 20000;

function foldedRun(run) {
  let plain = foldedRuns.get(run);
  if (plain === undefined) {
    plain = run.normalize("NFKD").replace(/\p{Mn}/gu, "").replace(PLAIN_PATTERN, (letter) => PLAIN[letter]).toLowerCase();
    if (foldedRuns.size >= MOST_RUNS) foldedRuns.clear();
    foldedRuns.set(run, plain);
  }
  return plain;
}

/** Without case and accents, like the index's own text. Only what is not ASCII needs more than a lower case. */
function folded(text) {
  // biome-ignore lint: the control characters are meant
  return text.toLowerCase().replace(/[^\x00-\x7f]+/g, foldedRun);
}

/** A day in digits as it stands in the lines: YYYYMMDD is YYYY-MM-DD, and YYYYMM is YYYY-MM. */
function dashed(word) {
  return /^\d{5,8}$/.test(word) ? [word.slice(0, 4), word.slice(4, 6), word.slice(6)].filter(Boolean).join("-") : null;
}

function studyStore() {
  let fields = [];
  let at = {};
  let lines = [];
  let folds = [];
  let texts = [];
  let dates = new Uint32Array(0);
  let masks = new Uint32Array(0);
  let patients = new Uint32Array(0);
  let known = 0;
  let hidden = false;
  const modalities = [];
  const sorted = new Map();
  const rowOf = new Map();
  const maskOfNames = new Map();
  // The last search, which the next one often only narrows.
  let former = null;
  let lastPseudonym = null;

  const store = {
    total: 0,
    /** How many are read. */
    get size() {
      return known;
    },
    get complete() {
      return known >= store.total;
    },
    /** Names of all modalities, as they came. */
    modalities,

    /** Begin anew. */
    begin(total, names) {
      fields = names;
      at = Object.fromEntries(names.map((name, index) => [name, index]));
      store.total = total;
      lines = new Array(total);
      folds = new Array(total);
      texts = new Array(total);
      dates = new Uint32Array(total);
      masks = new Uint32Array(total);
      patients = new Uint32Array(total);
      known = 0;
      modalities.length = 0;
      sorted.clear();
      rowOf.clear();
      maskOfNames.clear();
      former = null;
    },

    /** Further lines, in the catalogue's order. */
    add(text) {
      if (text === "") return;
      const more = text.split("\n");
      const plain = folded(text).split("\n");
      for (let row = 0; row < more.length; row++) {
        const line = more[row];
        lines[known] = line;
        folds[known] = plain[row];
        texts[known] = searched(plain[row]);
        const pseudonym = field(line, at.pseudonym);
        patients[known] = known === 0 ? 0 : patients[known - 1] + (pseudonym === lastPseudonym ? 0 : 1);
        lastPseudonym = pseudonym;
        const date = start(line, at.date);
        dates[known] = day(line, date);
        masks[known] = maskOf(field(line, at.modalities - at.date, date));
        rowOf.set(line.slice(0, line.indexOf("\t")), known);
        known++;
      }
      sorted.clear();
      former = null;
    },

    /** Hide or show names: what is searched changes with it. */
    hide(on) {
      if (on === hidden) return;
      hidden = on;
      for (let index = 0; index < known; index++) texts[index] = searched(folds[index]);
      sorted.clear();
      former = null;
    },

    /** A study by its place in the catalogue. */
    study(index) {
      const row = lines[index].split("\t");
      const study = Object.fromEntries(fields.map((name, column) => [name, row[column] ?? ""]));
      study.patient = patients[index];
      if (hidden) {
        for (const name of IDENTIFYING) study[name] = "";
        study.name = study.pseudonym;
      }
      return study;
    },
    field: (index, name) => field(lines[index], at[name]),
    patient: (index) => patients[index],
    find: (uid) => rowOf.get(uid) ?? -1,

    /**
     * Places of the studies that match, in the order asked for.
     * @param words folded; all have to be there
     * @param filter {modalities: Set, from, to, only}: dates as numbers, YYYYMMDD; 0 for open; the only UIDs that pass, a
     *   Set with a key of its own, or undefined
     * @param sort {column, ascending}
     */
    select(words, filter, sort) {
      const passing = passed(filter);
      const hits = found(words, passing);
      const order = ordered(sort.column);
      const rows = new Uint32Array(known);
      let count = 0;
      if (sort.ascending) {
        for (let place = 0; place < known; place++) {
          const index = order ? order[place] : place;
          if (hits[index]) rows[count++] = index;
        }
      } else {
        for (let place = known - 1; place >= 0; place--) {
          const index = order ? order[place] : place;
          if (hits[index]) rows[count++] = index;
        }
      }
      return { rows: rows.subarray(0, count), passing: passing.count };
    },

    /** Studies of each modality among those that match the words and the dates. */
    counts(words, filter) {
      const hits = found(words, passed({ ...filter, modalities: new Set() }), false);
      const counts = new Uint32Array(32);
      for (let index = 0; index < known; index++) {
        if (!hits[index]) continue;
        for (let mask = masks[index]; mask !== 0; mask &= mask - 1) counts[31 - Math.clz32(mask & -mask)]++;
      }
      return modalities.map((name, bit) => [name, bit < 32 ? counts[bit] : 0]);
    },
  };

  /** Where a field begins in a line. */
  function start(line, column, place = 0) {
    for (let tab = 0; tab < column; tab++) place = line.indexOf("\t", place) + 1;
    return place;
  }

  /** A field's text; counted from the one that begins at `place`. */
  function field(line, column, place = 0) {
    const from = start(line, column, place);
    const end = line.indexOf("\t", from);
    return end < 0 ? line.slice(from) : line.slice(from, end);
  }

  /** The part of a folded line that is searched: a slice of it, not a copy. */
  function searched(line) {
    const from = start(line, at[SEARCHED_FROM]);
    if (!hidden) return line.slice(from);
    return `${line.slice(from, start(line, at[IDENTIFYING[0]]))}${field(line, at.pseudonym)}`;
  }

  /** A date as a number, YYYYMMDD; 0 for none. */
  function day(line, place) {
    let number = 0;
    for (; place < line.length; place++) {
      const code = line.charCodeAt(place);
      if (code === 9) break;
      if (code === 45) continue; // -
      if (code < 48 || code > 57) return 0;
      number = number * 10 + code - 48;
    }
    return number;
  }

  /** A bit for each modality; beyond 31 kinds the last one stands for all that are left. */
  function maskOf(names) {
    let mask = maskOfNames.get(names);
    if (mask !== undefined) return mask;
    mask = 0;
    for (const modality of names ? names.split(" ") : []) {
      let bit = modalities.indexOf(modality);
      if (bit < 0) bit = modalities.push(modality) - 1;
      mask |= 1 << Math.min(bit, 31);
    }
    mask >>>= 0;
    maskOfNames.set(names, mask);
    return mask;
  }

  function passed(filter) {
    let wanted = 0;
    for (const name of filter.modalities) wanted |= 1 << Math.min(modalities.indexOf(name), 31);
    const every = wanted === 0 && !filter.from && !filter.to && !filter.only;
    const key = `${wanted} ${filter.from} ${filter.to} ${filter.only?.key ?? ""}`;
    if (every) return { key, every, count: known };
    const flags = new Uint8Array(known);
    const only = filter.only && new Set([...filter.only].map((uid) => rowOf.get(uid)));
    let count = 0;
    for (let index = 0; index < known; index++) {
      if (only && !only.has(index)) continue;
      if (wanted !== 0 && (masks[index] & wanted) === 0) continue;
      if (filter.from && dates[index] < filter.from) continue;
      if (filter.to && (dates[index] > filter.to || dates[index] === 0)) continue;
      flags[index] = 1;
      count++;
    }
    return { key, every, flags, count };
  }

  function found(words, passing, keep = true) {
    const key = words.join(" ");
    // What contains "chest" is among what contains "ches".
    const narrows = former && former.size === known && former.passing === passing.key && key.startsWith(former.key) && !/\d/.test(key);
    const hits = new Uint8Array(known);
    const days = words.map(dashed);
    for (let index = 0; index < known; index++) {
      if (narrows ? !former.hits[index] : !passing.every && !passing.flags[index]) continue;
      const text = texts[index];
      let all = 1;
      for (let word = 0; word < words.length; word++)
        if (!text.includes(words[word]) && (days[word] === null || !text.includes(days[word]))) {
          all = 0;
          break;
        }
      hits[index] = all;
    }
    if (keep) former = { key, passing: passing.key, size: known, hits };
    return hits;
  }

  /** Places by a column's value; null for the catalogue's own order, by patient. */
  function ordered(column) {
    if (column === "name" && !hidden) return null;
    if (column === "name") column = "pseudonym";
    if (!sorted.has(column)) {
      const number = column === "series" || column === "images";
      const keys = new Array(known);
      for (let index = 0; index < known; index++) {
        const value = store.field(index, column);
        keys[index] = number ? Number(value) : folded(value);
      }
      const order = Uint32Array.from({ length: known }, (_, index) => index);
      order.sort((a, b) => (keys[a] < keys[b] ? -1 : keys[a] > keys[b] ? 1 : a - b));
      sorted.set(column, order);
    }
    return sorted.get(column);
  }

  return store;
}

/** The text in pieces, those that were searched for marked, also where it has accents and the words have none. */
function marked(text, words) {
  if (words.length === 0 || !text) return [text];
  const plain = [];
  const places = [];
  let place = 0;
  for (const letter of text) {
    for (const part of folded(letter)) {
      plain.push(part);
      places.push(place);
    }
    place += letter.length;
  }
  const joined = plain.join("");
  const inside = new Uint8Array(text.length);
  for (const word of words.flatMap((each) => [each, dashed(each) ?? each])) {
    for (let start = joined.indexOf(word); start >= 0; start = joined.indexOf(word, start + word.length)) {
      const last = start + word.length - 1;
      const end = last + 1 < places.length ? places[last + 1] : text.length;
      inside.fill(1, places[start], Math.max(end, places[last] + 1));
    }
  }
  const pieces = [];
  for (let start = 0; start < text.length; ) {
    let end = start + 1;
    while (end < text.length && inside[end] === inside[start]) end++;
    const piece = text.slice(start, end);
    pieces.push(inside[start] ? h("mark", {}, piece) : piece);
    start = end;
  }
  return pieces;
}
