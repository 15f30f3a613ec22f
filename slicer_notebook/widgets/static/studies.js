// The studies of the index in the browser: read from pages of lines, searched, filtered and sorted here, so that typing
// waits for nobody. A study stays one line of text until it is drawn: 100,000 of them are then no 1,000,000 objects.

/** Fields that tell who a patient is: neither shown nor searched while names are hidden. */
const IDENTIFYING = new Set(["name", "id", "born", "accession", "referring", "institution", "more_identity"]);
/** Fields that nobody types. */
const NOT_SEARCHED = new Set(["uid", "pseudonym", "series", "images", "time"]);
/** Between the parts of a field that holds several. */
const PART = "\x1f";

/** Without case and accents, like the index's own text. */
function folded(text) {
  // biome-ignore lint: the control characters are meant
  return /^[\x00-\x7f]*$/.test(text) ? text.toLowerCase() : text.normalize("NFKD").replace(/\p{Mn}/gu, "").toLowerCase().replaceAll("ß", "ss");
}

/** What zlib made of text. */
async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).text();
}

function studyStore() {
  let fields = [];
  let at = {};
  let lines = [];
  let texts = [];
  let dates = new Uint32Array(0);
  let masks = new Uint32Array(0);
  let patients = new Uint32Array(0);
  let known = 0;
  let hidden = false;
  const modalities = [];
  const sorted = new Map();
  const rowOf = new Map();
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
      texts = new Array(total);
      dates = new Uint32Array(total);
      masks = new Uint32Array(total);
      patients = new Uint32Array(total);
      known = 0;
      modalities.length = 0;
      sorted.clear();
      rowOf.clear();
      former = null;
    },

    /** Further lines, in the catalogue's order. */
    add(text) {
      const more = text === "" ? [] : text.split("\n");
      for (const line of more) {
        const row = line.split("\t");
        lines[known] = line;
        texts[known] = searchText(row);
        dates[known] = Number(row[at.date].replaceAll("-", "")) || 0;
        let mask = 0;
        for (const modality of row[at.modalities].split(" ")) {
          if (!modality) continue;
          let bit = modalities.indexOf(modality);
          if (bit < 0) bit = modalities.push(modality) - 1;
          // Beyond 31 kinds the last one stands for all that are left.
          mask |= 1 << Math.min(bit, 31);
        }
        masks[known] = mask >>> 0;
        patients[known] = known === 0 ? 0 : patients[known - 1] + (row[at.pseudonym] === lastPseudonym ? 0 : 1);
        lastPseudonym = row[at.pseudonym];
        rowOf.set(row[at.uid], known);
        known++;
      }
      sorted.clear();
      former = null;
    },

    /** Hide or show names: what is searched changes with it. */
    hide(on) {
      if (on === hidden) return;
      hidden = on;
      for (let index = 0; index < known; index++) texts[index] = searchText(lines[index].split("\t"));
      former = null;
    },

    /** A study by its place in the catalogue. */
    study(index) {
      const row = lines[index].split("\t");
      const found = Object.fromEntries(fields.map((name, column) => [name, row[column] ?? ""]));
      found.index = index;
      found.patient = patients[index];
      if (hidden) {
        for (const name of IDENTIFYING) found[name] = "";
        found.name = found.pseudonym;
      }
      return found;
    },
    field(index, name) {
      return lines[index].split("\t", at[name] + 1)[at[name]];
    },
    patient: (index) => patients[index],
    find: (uid) => rowOf.get(uid) ?? -1,

    /**
     * Places of the studies that match, in the order asked for.
     * @param words folded; all have to be there
     * @param filter {modalities: Set, from, to}: dates as numbers, 20240131; 0 for open
     * @param sort {column, ascending}
     */
    select(words, filter, sort) {
      const passing = passed(filter);
      const hits = searched(words, passing);
      const order = ordered(sort.column);
      const found = new Uint32Array(known);
      let count = 0;
      if (sort.ascending) {
        for (let place = 0; place < known; place++) {
          const index = order ? order[place] : place;
          if (hits[index]) found[count++] = index;
        }
      } else {
        for (let place = known - 1; place >= 0; place--) {
          const index = order ? order[place] : place;
          if (hits[index]) found[count++] = index;
        }
      }
      return { rows: found.subarray(0, count), passing: passing.count };
    },

    /** Studies of each modality among those that match the words and the dates. */
    counts(words, filter) {
      const hits = searched(words, passed({ ...filter, modalities: new Set() }), false);
      const counts = new Uint32Array(32);
      for (let index = 0; index < known; index++) {
        if (!hits[index]) continue;
        for (let mask = masks[index]; mask !== 0; mask &= mask - 1) counts[31 - Math.clz32(mask & -mask)]++;
      }
      return modalities.map((name, bit) => [name, bit < 32 ? counts[bit] : 0]);
    },
  };

  function searchText(row) {
    const parts = [];
    for (let column = 0; column < fields.length; column++) {
      const name = fields[column];
      if (NOT_SEARCHED.has(name) || (hidden && IDENTIFYING.has(name))) continue;
      if (row[column]) parts.push(row[column]);
    }
    if (hidden) parts.push(row[at.pseudonym]);
    if (row[at.date]) parts.push(row[at.date].replaceAll("-", ""));
    return folded(parts.join("\n"));
  }

  function passed(filter) {
    let wanted = 0;
    for (const name of filter.modalities) wanted |= 1 << Math.min(modalities.indexOf(name), 31);
    const every = wanted === 0 && !filter.from && !filter.to;
    const key = `${wanted} ${filter.from} ${filter.to}`;
    if (every) return { key, every, count: known };
    const flags = new Uint8Array(known);
    let count = 0;
    for (let index = 0; index < known; index++) {
      if (wanted !== 0 && (masks[index] & wanted) === 0) continue;
      if (filter.from && dates[index] < filter.from) continue;
      if (filter.to && (dates[index] > filter.to || dates[index] === 0)) continue;
      flags[index] = 1;
      count++;
    }
    return { key, every, flags, count };
  }

  function searched(words, passing, keep = true) {
    const key = words.join(" ");
    // What contains "chest" is among what contains "ches".
    const narrows = former && former.size === known && former.passing === passing.key && key.startsWith(former.key);
    const hits = new Uint8Array(known);
    for (let index = 0; index < known; index++) {
      if (narrows ? !former.hits[index] : !passing.every && !passing.flags[index]) continue;
      const text = texts[index];
      let all = 1;
      for (let word = 0; word < words.length; word++)
        if (!text.includes(words[word])) {
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
  for (const word of words) {
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
