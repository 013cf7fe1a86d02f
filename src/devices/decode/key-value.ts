import { type Decoded, type Reading, readings, refused } from "./reading.ts";
import { cellValue, textOf } from "./text.ts";

/** `key=value` pairs, separated by spaces, commas, semicolons or ampersands. A key twice is refused: one of the two is wrong. */
export function decodeKeyValue(frame: Uint8Array): Decoded {
  const text = textOf(frame);
  if (text === null) return refused("not-text");
  const seen = new Set<string>();
  const found: Reading[] = [];
  for (const pair of text.split(/[\s,;&]+/)) {
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    if (equals < 1) return refused("not-key-value");
    const field = pair.slice(0, equals);
    if (seen.has(field)) return refused("duplicate-field");
    seen.add(field);
    found.push({ field, value: cellValue(pair.slice(equals + 1)) });
  }
  return readings(found);
}
