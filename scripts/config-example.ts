import { formatByteSize } from "../src/config/byte-size.ts";
import { kindOf, type Shape } from "../src/config/shape.ts";
import { chosen } from "./config-example-values.ts";

type Values = Readonly<Record<string, unknown>>;

/**
 * deploy/fieldgate.example.yaml: the chosen values as they are, every other key that has a default commented out with it.
 * Prose stands behind "# ", a key that can be uncommented behind "#" alone.
 */
export function configExample(shape: Shape): string {
  const kind = kindOf(shape);
  if (kind.is !== "section") throw new Error("the file is a section");
  const sections = Object.entries(kind.keys).map(([key, inner]) =>
    [banner, ...entry(key, inner, (chosen as Values)[key], "", new Set())].join("\n"),
  );
  return `${[intro, ...sections].join("\n")}\n`;
}

const intro = `# yaml-language-server: $schema=./fieldgate.schema.json
#
# An example of /etc/fieldgate/fieldgate.yaml with every section. All keys: docs/config.md.
# A key behind "#" has the default that stands there: remove the "#" to change it.
# Check the file with: fieldgate config check --config FILE`;

/** Sets the sections apart. Biome's formatter takes an empty line behind a comment away. */
const banner = `# ${"-".repeat(78)}`;

/** The lines of a key. `told` holds the descriptions that stand above already: nothing is explained twice. */
function entry(
  key: string,
  shape: Shape,
  value: unknown,
  indent: string,
  told: Set<string>,
): string[] {
  const prose = wrapped(shape.description ?? "", indent, told);
  const kind = kindOf(shape);
  if (kind.is === "section") {
    return [...prose, `${indent}${key}:`, ...body(kind.keys, value, `${indent}  `, told)];
  }
  if (kind.is === "list" && kindOf(kind.items).is === "section" && value !== undefined) {
    const items = (value as unknown[]).map((item) => listItem(kind.items, item, indent, told));
    return [...prose, `${indent}${key}:`, ...items.flat()];
  }
  if (value !== undefined) return [...prose, `${indent}${key}: ${inline(value, shape)}`];
  return [...prose, `${indent}#${key}: ${inline(shape.default, shape)}`];
}

function body(
  keys: Readonly<Record<string, Shape>>,
  value: unknown,
  indent: string,
  told: Set<string>,
): string[] {
  const values = (value ?? {}) as Values;
  return Object.entries(keys).flatMap(([key, inner]) => {
    const isSilent = values[key] === undefined && inner.default === undefined;
    const isRepeated = values[key] === undefined && told.has(inner.description ?? "");
    return isSilent || isRepeated ? [] : entry(key, inner, values[key], indent, told);
  });
}

/** The item's first key stands behind the dash, above its description's turn to be told. */
function listItem(shape: Shape, value: unknown, indent: string, told: Set<string>): string[] {
  const kind = kindOf(shape);
  if (kind.is !== "section") throw new Error("only lists of sections are written in lines");
  const lines = body(kind.keys, value, `${indent}    `, told);
  const first = lines.findIndex((line) => !line.trimStart().startsWith("#"));
  const head = lines.slice(0, first).map((line) => line.slice(2));
  const dash = `${indent}  - ${lines[first]?.trimStart()}`;
  return [...head, dash, ...lines.slice(first + 1)];
}

function inline(value: unknown, shape: Shape): string {
  if (shape.unit === "bytes" && Number(value) % 1024 === 0) return formatByteSize(Number(value));
  if (Array.isArray(value)) return `[${value.map((item) => inline(item, {})).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).map(([key, item]) => `${key}: ${inline(item, {})}`);
    return `{ ${entries.join(", ")} }`;
  }
  const isWord = typeof value === "string" && /^[A-Za-z][A-Za-z0-9._-]*$/.test(value);
  return isWord ? value : JSON.stringify(value);
}

function wrapped(text: string, indent: string, told: Set<string>): string[] {
  if (text === "" || told.has(text)) return [];
  told.add(text);
  const lines: string[] = [];
  let line = `${indent}#`;
  for (const word of text.split(" ")) {
    if (line.length + word.length > 110) {
      lines.push(line);
      line = `${indent}#`;
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}
