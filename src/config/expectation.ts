import { assertNever } from "../base/errors.ts";
import { formatByteSize } from "./byte-size.ts";
import { kindOf, type Shape } from "./shape.ts";

/** What a value of this shape has to be, in words that complete "must be ...". */
export function expectation(shape: Shape): string {
  const kind = kindOf(shape);
  switch (kind.is) {
    case "section":
      return "a section of keys and values";
    case "record":
      return "a section of names and texts";
    case "list":
      return "a list";
    case "choice":
      return kind.words.length === 1 ? String(kind.words[0]) : `one of ${either(kind.words, "or")}`;
    case "numbers":
      return either(kind.numbers.map(String), "or");
    case "bytes":
      return `a size${range(shape)}, as a number of bytes or like 64KiB`;
    case "whole":
      return `a whole number${range(shape)}`;
    case "number":
      return `a number${range(shape)}`;
    case "flag":
      return "true or false";
    case "text":
      return shape.expects ?? "text";
    default:
      return assertNever(kind);
  }
}

/** The bounds of a number with their unit, after a space: " from 1 to 60000 ms"; with a unit alone: " of ms". */
export function range(shape: Shape): string {
  const { minimum, maximum } = shape;
  const unit = shape.unit === undefined || shape.unit === "bytes" ? "" : ` ${shape.unit}`;
  if (minimum !== undefined && maximum !== undefined) {
    return ` from ${bound(shape, minimum)} to ${bound(shape, maximum)}${unit}`;
  }
  if (minimum !== undefined) return ` of at least ${bound(shape, minimum)}${unit}`;
  if (maximum !== undefined) return ` of at most ${bound(shape, maximum)}${unit}`;
  return unit === "" ? "" : ` of${unit}`;
}

/** `a, b or c`. */
export function either(words: readonly string[], conjunction: "and" | "or"): string {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} ${conjunction} ${words.at(-1)}`;
}

function bound(shape: Shape, value: number): string {
  return shape.unit === "bytes" ? formatByteSize(value) : String(value);
}
