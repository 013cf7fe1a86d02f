/**
 * Topic filters as a tree of levels, each holding values by key: who subscribed to what.
 * A topic is matched in time that grows with its levels, not with the number of filters.
 */
export class FilterTree<Key, Value> {
  readonly #root = new Node<Key, Value>();

  /** Sets the value that `key` has at `filter`, in place of an earlier one. The filter must be valid. */
  set(filter: string, key: Key, value: Value): void {
    let node = this.#root;
    for (const level of filter.split("/")) {
      node.children ??= new Map();
      let child = node.children.get(level);
      if (child === undefined) {
        child = new Node();
        node.children.set(level, child);
      }
      node = child;
    }
    node.values ??= new Map();
    node.values.set(key, value);
  }

  /** Removes the value of `key` at `filter`, and levels that nobody needs any more. */
  delete(filter: string, key: Key): void {
    const levels = filter.split("/");
    const path = [this.#root];
    for (const level of levels) {
      const child = path.at(-1)?.children?.get(level);
      if (child === undefined) return;
      path.push(child);
    }
    path.at(-1)?.values?.delete(key);
    for (let depth = levels.length; depth > 0; depth--) {
      if (!path[depth]?.isEmpty()) return;
      path[depth - 1]?.children?.delete(levels[depth - 1] as string);
    }
  }

  /** Calls `found` for every value whose filter matches the topic [MQTT-4.7]; one key may be found several times. */
  match(topic: string, found: (key: Key, value: Value) => void): void {
    const levels = topic.split("/");
    const hidden = topic.startsWith("$"); // no wildcard stands for a first level that begins with $ [MQTT-4.7.2-1]
    walk(this.#root, levels, 0, hidden, found);
  }

  /** Every filter that has a value. */
  *filters(): Iterable<string> {
    const paths: (readonly [string, Node<Key, Value>])[] = [["", this.#root]];
    for (let path = paths.pop(); path !== undefined; path = paths.pop()) {
      const [filter, node] = path;
      if (node !== this.#root && (node.values?.size ?? 0) > 0) yield filter;
      for (const [level, child] of node.children ?? []) {
        paths.push([node === this.#root ? level : `${filter}/${level}`, child]);
      }
    }
  }

  /** Calls `found` for every value whose filter matches each topic that `filter` matches. */
  containing(filter: string, found: (key: Key, value: Value) => void): void {
    contain(this.#root, filter.split("/"), 0, !filter.startsWith("$"), found);
  }

  /** Calls `found` for every value whose filter matches a topic that `filter` matches too. */
  meeting(filter: string, found: (key: Key, value: Value) => void): void {
    meet(this.#root, filter.split("/"), 0, true, found);
  }
}

class Node<Key, Value> {
  children: Map<string, Node<Key, Value>> | null = null;
  values: Map<Key, Value> | null = null;

  isEmpty(): boolean {
    return (this.children?.size ?? 0) === 0 && (this.values?.size ?? 0) === 0;
  }
}

function walk<Key, Value>(
  node: Node<Key, Value>,
  levels: readonly string[],
  depth: number,
  hidden: boolean,
  found: (key: Key, value: Value) => void,
): void {
  const wildcards = !(hidden && depth === 0);
  if (wildcards) tell(node.children?.get("#"), found); // "a/#" matches "a" too [MQTT-4.7.1-2]
  if (depth === levels.length) {
    tell(node, found);
    return;
  }
  const level = levels[depth] as string;
  const exact = node.children?.get(level);
  if (exact !== undefined) walk(exact, levels, depth + 1, false, found);
  const any = wildcards ? node.children?.get("+") : undefined;
  if (any !== undefined) walk(any, levels, depth + 1, false, found);
}

/** @param open whether a wildcard of the tree may stand for this level [MQTT-4.7.2-1] */
function contain<Key, Value>(
  node: Node<Key, Value>,
  levels: readonly string[],
  depth: number,
  open: boolean,
  found: (key: Key, value: Value) => void,
): void {
  const level = levels[depth];
  if (open) tell(node.children?.get("#"), found);
  if (level === undefined) tell(node, found);
  if (level === undefined || level === "#") return; // only # contains #
  const any = open ? node.children?.get("+") : undefined;
  if (any !== undefined) contain(any, levels, depth + 1, true, found);
  const exact = level === "+" ? undefined : node.children?.get(level);
  if (exact !== undefined) contain(exact, levels, depth + 1, true, found);
}

function meet<Key, Value>(
  node: Node<Key, Value>,
  levels: readonly string[],
  depth: number,
  top: boolean,
  found: (key: Key, value: Value) => void,
): void {
  const level = levels[depth];
  const open = !(top && level?.startsWith("$")); // [MQTT-4.7.2-1]
  if (open) tell(node.children?.get("#"), found);
  if (level === undefined || level === "#") tell(node, found); // "a/#" matches "a" too
  if (level === undefined || node.children === null) return;
  const all = level === "#" || level === "+";
  for (const [name, child] of node.children) {
    if (name === "#" || (top && all && name.startsWith("$"))) continue;
    if (!all && name !== level && !(open && name === "+")) continue;
    meet(child, levels, level === "#" ? depth : depth + 1, false, found);
  }
}

function tell<Key, Value>(
  node: Node<Key, Value> | undefined,
  found: (key: Key, value: Value) => void,
): void {
  if (node?.values) for (const [key, value] of node.values) found(key, value);
}
