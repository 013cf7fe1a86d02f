const WIDTH = 100;

/** JSON as biome formats it: lists without objects in one line where they fit, everything else one to a line. */
export function jsonText(value: unknown): string {
  return `${rendered(value, "", 0)}\n`;
}

/** `taken` counts the characters of the line before the value. */
function rendered(value: unknown, indent: string, taken: number): string {
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    const short = oneLine(value);
    const isPlain = value.flat(Number.POSITIVE_INFINITY).every((item) => typeof item !== "object");
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

function oneLine(value: unknown): string {
  return Array.isArray(value) ? `[${value.map(oneLine).join(", ")}]` : JSON.stringify(value);
}
