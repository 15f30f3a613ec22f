// Items of the subject hierarchy: what is in what, which rows there are to see, what may go where.

const SEGMENT = "segment";
/** Kinds of which the rows inside are folded at first: a segmentation may have hundreds. */
const FOLDED = new Set(["segmentation"]);

function sceneItems() {
  let root = 0;
  const items = new Map();
  const order = new Map();
  /** Items whose fold somebody has changed. */
  const folds = new Map();

  const all = {
    items,
    get root() {
      return root;
    },
    get: (id) => items.get(id),

    take({ type, root: other, items: lines = [], order: orders = [], removed = [] }) {
      if (type === "all") {
        root = other;
        items.clear();
        order.clear();
      }
      for (const id of removed) {
        items.delete(id);
        order.delete(id);
      }
      for (const [id, parent, name, kind, eye, color] of lines) items.set(id, { id, parent, name, kind, eye, color, plain: plainText(name) });
      for (const [parent, ids] of orders) order.set(parent, ids);
    },

    /** What is directly in an item, in order. */
    children(id) {
      return (order.get(id) ?? []).map((each) => items.get(each)).filter((each) => each?.parent === id);
    },

    isOpen(each) {
      return folds.get(each.id) ?? !FOLDED.has(each.kind);
    },
    fold(id, open) {
      folds.set(id, open);
    },

    /** Items that it is in, the innermost first. */
    above(id) {
      const found = [];
      for (let each = items.get(items.get(id)?.parent); each; each = items.get(each.parent)) found.push(each);
      return found;
    },

    /** How many items are in an item. */
    below(id) {
      return all.children(id).reduce((sum, each) => sum + 1 + all.below(each.id), 0);
    },

    /** Rows in order: {item, level, position, size, branch, open, dim, hit}. With words, what has them and what that is in. */
    rows(words) {
      const hit = (each) => words.every((word) => each.plain.includes(word));
      let wanted = null;
      if (words.length) {
        wanted = new Set();
        for (const each of items.values()) {
          if (!hit(each)) continue;
          wanted.add(each.id);
          for (const above of all.above(each.id)) wanted.add(above.id);
        }
      }
      const found = [];
      const walk = (parent, level, dim) => {
        const inside = all.children(parent).filter((each) => !wanted || wanted.has(each.id));
        inside.forEach((each, index) => {
          const branch = (order.get(each.id)?.length ?? 0) > 0 && all.children(each.id).length > 0;
          const open = branch && (wanted ? true : all.isOpen(each));
          found.push({ item: each, level, position: index + 1, size: inside.length, branch, open, dim, hit: words.length > 0 && hit(each) });
          if (open) walk(each.id, level + 1, dim || each.eye === false);
        });
      };
      walk(root, 1, false);
      return found;
    },

    /** Whether these may go into an item (the scene: its root). */
    mayGo(ids, target) {
      const into = items.get(target);
      if (target !== root && !into) return false;
      const inside = new Set([target, ...all.above(target).map((each) => each.id)]);
      return ids.every((id) => {
        const each = items.get(id);
        if (!each || inside.has(id)) return false;
        if (each.kind === SEGMENT) return each.parent === target;
        return into?.kind !== SEGMENT && into?.kind !== "segmentation";
      });
    },

    /** Those of them that are in none of the others. */
    outermost(ids) {
      const chosen = new Set(ids);
      return ids.filter((id) => items.has(id) && !all.above(id).some((each) => chosen.has(each.id)));
    },

    /** The item after this one in the same parent; null at the end. */
    next(id) {
      const inside = all.children(items.get(id)?.parent);
      return inside[inside.findIndex((each) => each.id === id) + 1] ?? null;
    },
    previous(id) {
      const inside = all.children(items.get(id)?.parent);
      return inside[inside.findIndex((each) => each.id === id) - 1] ?? null;
    },
  };
  return all;
}
