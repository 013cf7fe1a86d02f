const WIDTH = 100;

/** JSON as biome formats it: lists of plain values in one line where they fit, everything else one to a line. */
export function jsonText(value: unknown): string {
  return `${rendered(value, "", 0)}\n`;
}

/** `taken` counts the characters of the line before the value. */
function rendered(value: unknown, indent: string, taken: number): string {
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    const short = `[${value.map((item) => JSON.stringify(item)).join(", ")}]`;
    const isPlain = value.every((item) => typeof item !== "object" || item === null);
    if (isPlain && taken + short.length < WIDTH) return short;
    const items = value.map((item) => inner + rendered(item, inner, inner.length));
    return `[\n${items.join(",\n")}\n${indent}]`;
  }
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).map(([key, item]) => {
    const head = `${inner}${JSON.stringify(key)}: `;
    return head + rendered(item, inner, head.length);
  });
  return entries.length === 0 ? "{}" : `{\n${entries.join(",\n")}\n${indent}}`;
}
