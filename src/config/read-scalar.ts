import { likelyByteSize, parseByteSize } from "./byte-size.ts";
import type { ScalarNode } from "./config-node.ts";
import { either, expectation } from "./expectation.ts";
import type { MistakeCode } from "./mistake.ts";
import { byNearness, nearest } from "./nearest.ts";
import type { Kind, Shape } from "./shape.ts";

export type ScalarResult =
  | { readonly value: string | number | boolean }
  | { readonly code: MistakeCode; readonly message: string };

/**
 * A single value by its shape, or what is wrong with it. What was written is not repeated in a message, whatever belongs there,
 * because it can be a secret in the wrong place; a number out of its range is, and the word that a slip was near to.
 */
export function readScalar(node: ScalarNode, shape: Shape, kind: Kind): ScalarResult {
  if (node.value === null) return wrong("type", `has no value, must be ${expectation(shape)}`);
  switch (kind.is) {
    case "text":
      return readText(node, shape);
    case "choice":
      return readChoice(node, shape, kind.words);
    case "flag":
      return readFlag(node, shape);
    case "bytes":
      return readBytes(node, shape);
    case "numbers":
      return readNumber(node, shape, (number) => kind.numbers.includes(number), "choice");
    case "whole":
      return readNumber(node, shape, (number) => isInRange(number, shape), "range");
    case "number":
      return readNumber(node, shape, (number) => isWithin(number, shape), "range");
    default:
      return wrong("type", `must be ${expectation(shape)}`);
  }
}

function readText(node: ScalarNode, shape: Shape): ScalarResult {
  if (typeof node.value !== "string") {
    return wrong("type", "must be text: put it in quotes");
  }
  if (node.value.length < (shape.minLength ?? 0)) return wrong("pattern", "must not be empty");
  if (node.value.includes("\0")) return wrong("pattern", "must not contain U+0000");
  if (shape.pattern !== undefined && !new RegExp(shape.pattern).test(node.value)) {
    return wrong("pattern", `must be ${expectation(shape)}`);
  }
  return { value: node.value };
}

function readChoice(node: ScalarNode, shape: Shape, words: readonly string[]): ScalarResult {
  if (typeof node.value !== "string") return wrong("type", `must be ${expectation(shape)}`);
  if (words.includes(node.value)) return { value: node.value };
  const likely = nearest(node.value, words);
  const hint = likely === null || words.length === 1 ? "" : `, did you mean "${likely}"?`;
  const list = either(byNearness(node.value, words), "or");
  const allowed = words.length === 1 ? `must be ${list}` : `must be one of ${list}`;
  return wrong("choice", `${allowed}${hint}`);
}

function readFlag(node: ScalarNode, shape: Shape): ScalarResult {
  if (typeof node.value === "boolean") return { value: node.value };
  const word = String(node.value).toLowerCase();
  const meant = ["yes", "on", "y", "1"].includes(word)
    ? ", did you mean true?"
    : ["no", "off", "n", "0"].includes(word)
      ? ", did you mean false?"
      : "";
  return wrong("type", `must be ${expectation(shape)}${meant}`);
}

function readBytes(node: ScalarNode, shape: Shape): ScalarResult {
  const size = typeof node.value === "string" ? parseByteSize(node.value) : node.value;
  if (size === null) {
    const likely = likelyByteSize(String(node.value));
    const hint = likely === null ? "; units are B, kB, MB, GB, TB, KiB, MiB, GiB" : "";
    const meant = likely === null ? "" : `, did you mean ${likely}?`;
    return wrong("size", `must be ${expectation(shape)}${hint}${meant}`);
  }
  if (typeof size !== "number") return wrong("type", `must be ${expectation(shape)}`);
  if (isInRange(size, shape)) return { value: size };
  return wrong("range", `must be ${expectation(shape)}, not ${node.source}`);
}

function readNumber(
  node: ScalarNode,
  shape: Shape,
  fits: (number: number) => boolean,
  code: MistakeCode,
): ScalarResult {
  if (typeof node.value === "number") {
    if (fits(node.value)) return { value: node.value };
    return wrong(code, `must be ${expectation(shape)}, not ${node.source}`);
  }
  if (typeof node.value === "string" && parseByteSize(node.value) !== null) {
    return wrong("size", `must be ${expectation(shape)}: a size has no place here`);
  }
  const quotes = /^[0-9]+$/.test(String(node.value)) ? " without quotes" : "";
  return wrong("type", `must be ${expectation(shape)}${quotes}`);
}

function isInRange(number: number, shape: Shape): boolean {
  return Number.isSafeInteger(number) && isWithin(number, shape);
}

function isWithin(number: number, shape: Shape): boolean {
  const { minimum = -Number.MAX_VALUE, maximum = Number.MAX_VALUE } = shape;
  return number >= minimum && number <= maximum;
}

function wrong(code: MistakeCode, message: string): ScalarResult {
  return { code, message };
}
