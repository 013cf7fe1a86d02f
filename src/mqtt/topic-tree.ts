/**
 * Values by topic name, found by topic filter: the other way round than FilterTree. For retained messages.
 * A filter is matched in time that grows with the part of the tree that it covers.
 */
export class TopicTree<Value> {
  readonly #root = new Node<Value>();
  #size = 0;

  /** How many topics have a value. */
  get size(): number {
    return this.#size;
  }

  get(topic: string): Value | undefined {
    let node: Node<Value> | undefined = this.#root;
    for (const level of topic.split("/")) node = node?.children?.get(level);
    return node?.value;
  }

  set(topic: string, value: Value): void {
    let node = this.#root;
    for (const level of topic.split("/")) {
      node.children ??= new Map();
      let child = node.children.get(level);
      if (child === undefined) {
        child = new Node();
        node.children.set(level, child);
      }
      node = child;
    }
    if (node.value === undefined) this.#size++;
    node.value = value;
  }

  /** Removes the value and the levels that nobody needs any more; tells whether there was one. */
  delete(topic: string): boolean {
    const levels = topic.split("/");
    const path = [this.#root];
    for (const level of levels) {
      const child = path.at(-1)?.children?.get(level);
      if (child === undefined) return false;
      path.push(child);
    }
    const last = path.at(-1) as Node<Value>;
    if (last.value === undefined) return false;
    last.value = undefined;
    this.#size--;
    for (let depth = levels.length; depth > 0; depth--) {
      const node = path[depth] as Node<Value>;
      if (node.value !== undefined || (node.children?.size ?? 0) > 0) break;
      path[depth - 1]?.children?.delete(levels[depth - 1] as string);
    }
    return true;
  }

  /** Calls `found` for the value of every topic that the filter matches [MQTT-4.7]. */
  match(filter: string, found: (value: Value) => void): void {
    walk(this.#root, filter.split("/"), 0, true, found);
  }
}

class Node<Value> {
  children: Map<string, Node<Value>> | null = null;
  value: Value | undefined = undefined;
}

function walk<Value>(
  node: Node<Value>,
  levels: readonly string[],
  depth: number,
  top: boolean,
  found: (value: Value) => void,
): void {
  const level = levels[depth];
  if ((level === undefined || level === "#") && node.value !== undefined) found(node.value);
  if (level === undefined || node.children === null) return;
  if (level !== "#" && level !== "+") {
    const child = node.children.get(level);
    if (child !== undefined) walk(child, levels, depth + 1, false, found);
    return;
  }
  for (const [name, child] of node.children) {
    if (top && name.startsWith("$")) continue; // [MQTT-4.7.2-1]
    walk(child, levels, level === "#" ? depth : depth + 1, false, found);
  }
}
