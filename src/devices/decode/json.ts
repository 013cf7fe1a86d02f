import { type Decoded, readings, refused, type Value } from "./reading.ts";
import { textOf } from "./text.ts";

/** Deeper nesting is refused: writing it out again would recurse as deep. */
const DEPTH_MAX = 16;

/** A JSON object: one reading a member, nested values as they are. Anything else at the top is refused, and a member that comes twice. */
export function decodeJson(frame: Uint8Array): Decoded {
  const text = textOf(frame);
  if (text === null) return refused("not-text");
  const { depth, members } = shapeOf(text);
  if (depth > DEPTH_MAX) return refused("too-deep");
  const value = exactly(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return refused("not-json");
  }
  const found = Object.entries(value);
  if (found.length < members) return refused("duplicate-field");
  return readings(found.map(([field, member]) => ({ field, value: member })));
}

/** Strings, which may hold digits, and numbers. */
const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g;
const MAY_BE_ROUNDED = /\d{16}|\d[eE]/;

/** What the text says, with numbers as text that would be rounded or are too large: whole ones beyond 2^53. Undefined when it is no JSON. */
function exactly(text: string): Value | undefined {
  const value = parse(text);
  if (value === undefined || !MAY_BE_ROUNDED.test(text)) return value;
  return parse(text.replaceAll(TOKEN, (token) => (isKept(token) ? token : `"${token}"`)));
}

function isKept(token: string): boolean {
  if (token.startsWith('"')) return true;
  const number = Number(token);
  return /^-?\d+$/.test(token) ? Number.isSafeInteger(number) : Number.isFinite(number);
}

function parse(text: string): Value | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Depth of brackets outside strings, and members of the outermost object, found without recursion and before anything is built. */
function shapeOf(text: string): { readonly depth: number; readonly members: number } {
  let depth = 0;
  let deepest = 0;
  let members = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (quoted) {
      if (character === "\\") i++;
      else if (character === '"') quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === "{" || character === "[") deepest = Math.max(deepest, ++depth);
    else if (character === "}" || character === "]") depth--;
    else if (character === ":" && depth === 1) members++;
  }
  return { depth: deepest, members };
}
