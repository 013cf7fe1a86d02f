import { isAlias, isMap, isScalar, isSeq, type Node, type Pair } from "yaml";
import type { ConfigNode, MapEntry } from "./config-node.ts";
import type { Mistake, Place } from "./mistake.ts";

/** What the copy needs of the text that the nodes come from. */
interface Source {
  place(offset: number): Place;
  mistake(
    offset: number,
    message: string,
    code?: Extract<Mistake["code"], "syntax" | "limit">,
  ): void;
}

interface Limits {
  readonly nodesMax: number;
  readonly depthMax: number;
}

/**
 * A node of `yaml` as a tree of ours, aliases followed. What cannot be copied is a mistake and stands as nothing in the
 * tree. An alias means the nearest anchor of its name before it, so one walk in the order of the file finds them all.
 */
export function copyNode(node: Node | null, source: Source, limits: Limits): ConfigNode {
  return node ? new Copy(source, limits).node(node) : nothing(source.place(0));
}

class Copy {
  readonly #source: Source;
  readonly #limits: Limits;
  readonly #anchors = new Map<string, Node>();
  #nodes = 0;
  #depth = 0;
  #aliases = 0;
  #stopped = false;

  constructor(source: Source, limits: Limits) {
    this.#source = source;
    this.#limits = limits;
  }

  node(node: Node): ConfigNode {
    const offset = node.range?.[0] ?? 0;
    const place = this.#source.place(offset);
    this.#nodes++;
    if (
      this.#stopped ||
      this.#nodes > this.#limits.nodesMax ||
      this.#depth > this.#limits.depthMax
    ) {
      this.#stop(offset);
      return nothing(place);
    }
    this.#depth++;
    const copied = isAlias(node) ? this.#alias(node.source, offset) : this.#content(node, offset);
    this.#depth--;
    return copied;
  }

  /** Says once that a limit was reached; all that follows stays out of the tree. */
  #stop(offset: number): void {
    if (this.#stopped) return;
    this.#stopped = true;
    const { nodesMax } = this.#limits;
    const message = `more than ${nodesMax} values, or nested too deep, with all aliases filled in`;
    this.#source.mistake(offset, message, "limit");
  }

  #alias(name: string, offset: number): ConfigNode {
    const target = this.#anchors.get(name);
    if (target) {
      this.#aliases++;
      const copied = this.node(target);
      this.#aliases--;
      return copied;
    }
    this.#source.mistake(offset, "this alias (*) stands for nothing: no anchor (&) before it");
    return nothing(this.#source.place(offset));
  }

  #content(node: Node, offset: number): ConfigNode {
    if (isAlias(node)) return nothing(this.#source.place(offset));
    const place = this.#source.place(offset);
    if (node.tag !== undefined) {
      this.#source.mistake(offset, "tags (!) mean nothing here: put text in quotes instead");
    }
    const copied = this.#untagged(node, place);
    // An anchor within an alias's target was noted where it stands; noting it again would let it win over later ones.
    if (node.anchor !== undefined && this.#aliases === 0) this.#anchors.set(node.anchor, node);
    return copied;
  }

  #untagged(node: Node, place: Place): ConfigNode {
    if (isMap(node)) {
      const pairs = node.items as Pair<Node | null, Node | null>[];
      return { kind: "map", place, entries: pairs.flatMap((pair) => this.#entry(pair, place)) };
    }
    if (isSeq(node)) {
      return { kind: "list", place, items: node.items.map((item) => this.node(item as Node)) };
    }
    const value: unknown = isScalar(node) ? node.value : null;
    if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean") {
      return nothing(place);
    }
    const source = isScalar(node) ? node.source : undefined;
    return { kind: "scalar", place, value, source: source ?? String(value) };
  }

  #entry({ key, value }: Pair<Node | null, Node | null>, parent: Place): MapEntry[] {
    const offset = key?.range?.[0];
    const place = offset === undefined ? parent : this.#source.place(offset);
    const name = keyText(key);
    if (name === null) {
      this.#source.mistake(offset ?? 0, "not a key: a key is a plain word");
      return [];
    }
    const copied = value ? this.node(value) : nothing(place);
    const isNothing = copied.kind === "scalar" && copied.value === null;
    return [{ key: name, place, value: isNothing ? nothing(place) : copied }];
  }
}

/** A key as written: 1 and true are names here. */
function keyText(key: Node | null): string | null {
  if (!isScalar(key)) return null;
  if (typeof key.value === "string") return key.value;
  return key.source === undefined || key.source === "" ? null : key.source;
}

function nothing(place: Place): ConfigNode {
  return { kind: "scalar", place, value: null, source: "" };
}
