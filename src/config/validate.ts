import type { ConfigNode, MapNode, ScalarNode } from "./config-node.ts";
import { expectation } from "./expectation.ts";
import {
  itemPath,
  keyPath,
  type Mistake,
  type MistakeCode,
  type Place,
  quoted,
} from "./mistake.ts";
import { nearest } from "./nearest.ts";
import { readScalar } from "./read-scalar.ts";
import { isLeftOut, type Kind, kindOf, type Shape } from "./shape.ts";

/** What a file says, as far as it is right, and everything that is wrong with it. */
export interface Validated {
  /** Only what was written: defaults are not filled in, wrong values are left out. */
  readonly value: unknown;
  readonly mistakes: Mistake[];
  /** Where the value of each path stands. */
  readonly places: ReadonlyMap<string, Place>;
}

interface Walk {
  readonly mistakes: Mistake[];
  readonly places: Map<string, Place>;
}

/**
 * Reads a tree by a shape and finds every mistake at once, in the order of the file. A section or a list without
 * anything in it, as when all its lines are commented out, counts as not written. Pure; throws nothing.
 */
export function validate(root: ConfigNode, shape: Shape): Validated {
  const walk: Walk = { mistakes: [], places: new Map() };
  const value = read(walk, root, shape, "");
  return { value, ...walk };
}

function read(walk: Walk, node: ConfigNode, shape: Shape, path: string): unknown {
  if (!walk.places.has(path)) walk.places.set(path, node.place);
  const kind = kindOf(shape);
  switch (kind.is) {
    case "section":
      if (isEmpty(node)) return readSection(walk, emptyMap(node.place), shape, kind.keys, path);
      if (node.kind === "map") return readSection(walk, node, shape, kind.keys, path);
      break;
    case "record":
      if (node.kind === "map") return readRecord(walk, node, kind.values, path);
      break;
    case "list":
      if (node.kind === "list") return readList(walk, node.items, shape, kind.items, path);
      break;
    default:
      if (node.kind === "scalar") return readPlain(walk, node, shape, kind, path);
  }
  mistake(walk, node.place, path, "type", `must be ${expectation(shape)}, not ${called(node)}`);
  return undefined;
}

function readSection(
  walk: Walk,
  node: MapNode,
  shape: Shape,
  keys: Readonly<Record<string, Shape>>,
  path: string,
): Record<string, unknown> {
  const value: Record<string, unknown> = {};
  const seen = new Map<string, Place>();
  for (const entry of node.entries) {
    const at = keyPath(path, entry.key);
    const first = seen.get(entry.key);
    const known = Object.hasOwn(keys, entry.key) ? keys[entry.key] : undefined;
    if (first) twice(walk, entry.place, at, first);
    else seen.set(entry.key, entry.place);
    if (!known) {
      if (!first) unknownKey(walk, entry.place, at, entry.key, Object.keys(keys));
      continue;
    }
    if (saysNothing(entry.value, known)) {
      seen.delete(entry.key);
      continue;
    }
    const one = read(walk, entry.value, known, at);
    if (!first && one !== undefined) value[entry.key] = one;
  }
  for (const [key, known] of Object.entries(keys)) {
    if (seen.has(key) || isLeftOut(shape, key)) continue;
    const message = `is missing: ${known.description ?? expectation(known)}`;
    mistake(walk, node.place, keyPath(path, key), "missing", message);
  }
  return value;
}

/** Names that the schema does not know, such as fields. Without a prototype, so that no name finds what is not there. */
function readRecord(
  walk: Walk,
  node: MapNode,
  values: Shape,
  path: string,
): Record<string, unknown> {
  const value: Record<string, unknown> = Object.create(null);
  const seen = new Map<string, Place>();
  for (const entry of node.entries) {
    const at = keyPath(path, entry.key);
    const first = seen.get(entry.key);
    if (first) twice(walk, entry.place, at, first);
    if (entry.key === "" || entry.key === "__proto__") {
      mistake(walk, entry.place, at, "unknown-key", `${quoted(entry.key)} cannot be a name here`);
      continue;
    }
    const one = read(walk, entry.value, values, at);
    if (!first && one !== undefined) value[entry.key] = one;
    seen.set(entry.key, first ?? entry.place);
  }
  return value;
}

function readList(
  walk: Walk,
  nodes: readonly ConfigNode[],
  shape: Shape,
  items: Shape,
  path: string,
): unknown[] {
  const { minItems = 0, maxItems = Number.POSITIVE_INFINITY } = shape;
  const place = walk.places.get(path) as Place;
  if (nodes.length < minItems) {
    mistake(walk, place, path, "range", `must have at least ${minItems}, has ${nodes.length}`);
  }
  if (nodes.length > maxItems) {
    mistake(walk, place, path, "range", `must have at most ${maxItems}, has ${nodes.length}`);
  }
  return nodes.map((node, index) => read(walk, node, items, itemPath(path, index)));
}

function readPlain(
  walk: Walk,
  node: ScalarNode,
  shape: Shape,
  kind: Kind,
  path: string,
): string | number | boolean | undefined {
  const result = readScalar(node, shape, kind);
  if ("value" in result) return result.value;
  mistake(walk, node.place, path, result.code, result.message);
  return undefined;
}

function unknownKey(
  walk: Walk,
  place: Place,
  path: string,
  key: string,
  keys: readonly string[],
): void {
  const likely = nearest(key, keys);
  const hint = likely === null ? `known here: ${keys.join(", ")}` : `did you mean "${likely}"?`;
  mistake(walk, place, path, "unknown-key", `unknown key, ${hint}`);
}

function twice(walk: Walk, place: Place, path: string, first: Place): void {
  mistake(walk, place, path, "duplicate-key", `is here twice, first on line ${first.line}`);
}

function mistake(walk: Walk, place: Place, path: string, code: MistakeCode, message: string): void {
  walk.mistakes.push({ line: place.line, column: place.column, path, code, message });
}

function isEmpty(node: ConfigNode): boolean {
  return node.kind === "scalar" && node.value === null;
}

/** A list or record without anything in it is not written; a section without anything in it has its defaults. */
function saysNothing(node: ConfigNode, shape: Shape): boolean {
  return isEmpty(node) && ["list", "record"].includes(kindOf(shape).is);
}

function emptyMap(place: Place): MapNode {
  return { kind: "map", place, entries: [] };
}

function called(node: ConfigNode): string {
  if (node.kind === "list") return "a list";
  if (node.kind === "map") return "a section";
  if (node.value === null) return "nothing";
  return typeof node.value === "string" ? "text" : node.source;
}
