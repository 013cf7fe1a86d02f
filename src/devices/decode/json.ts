import { type Decoded, readings, refused, type Value } from "./reading.ts";
import { textOf } from "./text.ts";

/** Deeper nesting is refused: writing it out again would recurse as deep. */
const DEPTH_MAX = 16;

/** A JSON object: one reading a member, nested values as they are. Anything else at the top is refused. */
export function decodeJson(frame: Uint8Array): Decoded {
  const text = textOf(frame);
  if (text === null) return refused("not-text");
  if (depthOf(text) > DEPTH_MAX) return refused("too-deep");
  const value = parse(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return refused("not-json");
  }
  return readings(Object.entries(value).map(([field, member]) => ({ field, value: member })));
}

function parse(text: string): Value | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Depth of brackets outside strings, found without recursion and before anything is built. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (quoted) {
      if (character === "\\") i++;
      else if (character === '"') quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === "{" || character === "[") deepest = Math.max(deepest, ++depth);
    else if (character === "}" || character === "]") depth--;
  }
  return deepest;
}
