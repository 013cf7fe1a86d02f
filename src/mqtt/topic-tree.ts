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
    for (const value of this.matching(filter)) if (value !== undefined) found(value);
  }

  /**
   * The same, one step at a time: undefined for a step that found nothing, so that whoever asks may rest meanwhile. What is
   * set or deleted between two steps may be found or not.
   */
  *matching(filter: string): Generator<Value | undefined, void> {
    const levels = filter.split("/");
    const open: Open<Value>[] = [];
    yield enter(this.#root, levels, 0, open);
    for (let last = open.at(-1); last !== undefined; last = open.at(-1)) {
      const { done, value } = last.children.next();
      if (done === true) open.pop();
      else if (open.length > 1 || !last.isTop || !value[0].startsWith("$")) {
        yield enter(value[1], levels, last.depth, open); // [MQTT-4.7.2-1]
      }
    }
  }
}

class Node<Value> {
  children: Map<string, Node<Value>> | null = null;
  value: Value | undefined = undefined;
}

/** Children of which each is to be looked at, with the levels from `depth` on. */
interface Open<Value> {
  readonly children: Iterator<[name: string, Node<Value>], undefined>;
  readonly depth: number;
  /** They are the first levels of topics. */
  readonly isTop: boolean;
}

/** The value that a node has for the filter; what is to be looked at below it is added to `open`. */
function enter<Value>(
  from: Node<Value>,
  levels: readonly string[],
  fromDepth: number,
  open: Open<Value>[],
): Value | undefined {
  let [node, depth]: [Node<Value> | undefined, number] = [from, fromDepth];
  while (node !== undefined) {
    const level = levels[depth];
    if (level === undefined) return node.value;
    if (level === "#" || level === "+") {
      if (node.children !== null) {
        const children = node.children.entries() as Open<Value>["children"];
        open.push({
          children,
          depth: level === "#" ? depth : depth + 1,
          isTop: depth === 0 && open.length === 0,
        });
      }
      return level === "#" ? node.value : undefined;
    }
    node = node.children?.get(level);
    depth++;
  }
  return undefined;
}
