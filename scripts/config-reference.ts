import { formatByteSize } from "../src/config/byte-size.ts";
import { expectation, range } from "../src/config/expectation.ts";
import { isLeftOut, kindOf, type Shape } from "../src/config/shape.ts";
import { configRules } from "./config-rules.ts";

/** docs/config.md: a table for every section of the schema, and the rules between keys. */
export function configReference(shape: Shape): string {
  return `${[intro, ...sections(shape, ""), configRules].join("\n\n")}\n`;
}

const intro = `# Configuration

<!-- Written by scripts/write-docs.ts from src/config/schema.ts: change the schema and run npm run docs. -->

One YAML file, by default \`/etc/fieldgate/fieldgate.yaml\`. A key that is left out has its default; an unknown key is a
mistake. \`fieldgate config check\` names every mistake at once, each with its line, and exits with 2 when there is one;
\`fieldgate config show\` prints the configuration with all defaults and without passwords.
[deploy/fieldgate.example.yaml](../deploy/fieldgate.example.yaml) is a start, and
[deploy/fieldgate.schema.json](../deploy/fieldgate.schema.json) lets an editor complete and check while you type: begin
the file with \`# yaml-language-server: $schema=\` and its path or address.

A size is a whole number of bytes, or text with a unit: \`B\`, \`kB\`, \`MB\`, \`GB\` count in thousands, \`KiB\`, \`MiB\`, \`GiB\`
in 1024s. Times are whole numbers of the unit in the name of the key. A section, a list or a map that is written without
anything in it, because all its lines are commented out, counts as left out.`;

/** The table of a section, then those of the sections in it. */
function sections(shape: Shape, path: string): string[] {
  const kind = kindOf(shape);
  if (kind.is === "list") return sections(kind.items, `${path}[]`);
  if (kind.is !== "section") return [];
  const rows = Object.entries(kind.keys).map(([key, inner]) => row(key, inner, shape));
  const deeper = Object.entries(kind.keys).flatMap(([key, inner]) =>
    sections(inner, path === "" ? key : `${path}.${key}`),
  );
  const head = path === "" ? "## The file" : `## ${path}`;
  const about = path === "" ? [] : [shape.description ?? ""].filter((text) => text !== "");
  return [[head, ...about, [...tableHead, ...rows].join("\n")].join("\n\n"), ...deeper];
}

const tableHead = [
  "| Key | Type | Unit | Default | Range | Description | Example |",
  "| --- | --- | --- | --- | --- | --- | --- |",
];

function row(key: string, shape: Shape, section: Shape): string {
  const example = shape.examples?.[0];
  const cells = [
    `\`${key}\``,
    typeText(shape),
    shape.unit ?? "",
    defaultText(shape, isLeftOut(section, key)),
    rangeText(shape),
    shape.description ?? "",
    example === undefined ? "" : code(example, shape),
  ];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

function typeText(shape: Shape): string {
  const kind = kindOf(shape);
  switch (kind.is) {
    case "list":
      return kindOf(kind.items).is === "section" ? "list of sections" : "list of texts";
    case "record":
      return "map of texts";
    case "choice":
      return "word";
    case "numbers":
    case "whole":
      return "whole number";
    case "number":
      return kind.is;
    case "bytes":
      return "size";
    case "flag":
      return "true or false";
    case "section":
    case "text":
      return kind.is;
  }
}

function defaultText(shape: Shape, isOptional: boolean): string {
  if (!isOptional) return "required";
  if (shape.default === undefined) return "none";
  return kindOf(shape).is === "section" ? "its defaults" : code(shape.default, shape);
}

function rangeText(shape: Shape): string {
  const kind = kindOf(shape);
  if (kind.is === "choice") return kind.words.map((word) => `\`${word}\``).join(", ");
  if (kind.is === "numbers") return kind.numbers.join(", ");
  if (kind.is === "text" && shape.expects !== undefined) return expectation(shape);
  if (kind.is === "list") {
    const least = shape.minItems === undefined ? "" : `at least ${shape.minItems}, `;
    return `${least}at most ${shape.maxItems}`;
  }
  return kind.is === "whole" || kind.is === "bytes"
    ? range({ ...shape, ...(kind.is === "whole" && { unit: "" }) })
        .trim()
        .replace(/^of /, "")
    : "";
}

function code(value: unknown, shape: Shape): string {
  if (shape.unit === "bytes") return `\`${formatByteSize(Number(value))}\``;
  return `\`${typeof value === "string" ? value : JSON.stringify(value)}\``;
}
