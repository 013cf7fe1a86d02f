import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import Schema from "typebox/schema";
import { FieldgateError } from "../../src/base/errors.ts";
import { jsonSchema } from "../../src/config/json-schema.ts";
import type { Mistake } from "../../src/config/mistake.ts";
import { configSchema, configShape } from "../../src/config/schema.ts";
import { kindOf, type Shape } from "../../src/config/shape.ts";
import { validate } from "../../src/config/validate.ts";
import { parseConfig } from "../../src/config/yaml-load.ts";
import { yamlTree } from "../../src/config/yaml-tree.ts";
import { seededRandom } from "../support/random.ts";

const example = await readFile(
  new URL("../../deploy/fieldgate.example.yaml", import.meta.url),
  "utf8",
);
const limits = { tokensMax: 200_000, depthMax: 64, nodesMax: 50_000 };

describe("the loader", () => {
  it("finds mistakes in any damaged file, or makes of it what the schema's types promise", () => {
    const promised = Schema.Compile(configSchema);
    const outcomes = { accepted: 0, refused: 0 };
    seeds(250, (random) => {
      const text = damaged(example, random);
      const lines = text.split(/\r\n|[\r\n]/).length;
      const outcome = check(text);
      if ("config" in outcome) assert.ok(promised.Check(plain(outcome.config)));
      for (const mistake of "mistakes" in outcome ? outcome.mistakes : []) {
        assert.ok(mistake.line >= 1 && mistake.line <= lines, JSON.stringify(mistake));
        assert.ok(mistake.column >= 1 && mistake.message.length > 0, JSON.stringify(mistake));
      }
      outcomes["config" in outcome ? "accepted" : "refused"]++;
    });
    assert.ok(outcomes.accepted > 20 && outcomes.refused > 50, JSON.stringify(outcomes));
  });
});

describe("the JSON Schema", () => {
  it("says of single values what the loader says", () => {
    const valid = Schema.Compile(jsonSchema(configShape));
    const outcomes = { both: 0, neither: 0 };
    seeds(500, (random) => {
      const value = changed(baseline(), random);
      const { mistakes } = validate(yamlTree(JSON.stringify(value), limits).root, configShape);
      // Whether a size given as text is in range, a pattern cannot say.
      const told = mistakes.filter(
        ({ message }) => !/ a size .*, not [0-9.]+ ?[A-Za-z]+$/.test(message),
      );
      assert.equal(valid.Check(value), told.length === 0, JSON.stringify({ value, mistakes }));
      outcomes[told.length === 0 ? "both" : "neither"]++;
    });
    assert.ok(outcomes.both > 50 && outcomes.neither > 100, JSON.stringify(outcomes));
  });

  it("knows every word that the schema says", () => {
    const known = `type properties required patternProperties items minItems maxItems enum anyOf const pattern
      minLength minimum maximum default description examples unit expects additionalProperties`;
    const words = new Set(known.split(/\s+/));
    for (const shape of shapesOf(configShape)) {
      kindOf(shape);
      for (const word of Object.keys(shape)) assert.ok(words.has(word), `${word} is ignored`);
    }
  });
});

function shapesOf(shape: Shape): Shape[] {
  const inner = [
    ...Object.values(shape.properties ?? {}),
    ...Object.values(shape.patternProperties ?? {}),
    ...(shape.items ? [shape.items] : []),
  ];
  return [shape, ...inner.flatMap(shapesOf)];
}

/** The example as plain values. */
function baseline(): unknown {
  return plain(validate(yamlTree(example, limits).root, configShape).value);
}

/** A copy with one to three values replaced, keys added, or keys and items taken away. */
function changed(value: unknown, random: () => number): unknown {
  const copy = plain(value);
  for (let changes = 1 + pick(random, 3); changes > 0; changes--) change(copy, random);
  return copy;
}

function change(value: unknown, random: () => number): void {
  const holder = value as Record<string, unknown>;
  const keys = Object.keys(holder);
  const key = keys[pick(random, keys.length)];
  if (key === undefined) return;
  const inner = holder[key];
  if (typeof inner === "object" && inner !== null && random() < 0.8) change(inner, random);
  else if (Array.isArray(value) || random() < 0.6) holder[key] = odd[pick(random, odd.length)];
  else if (random() < 0.5) delete holder[key];
  else holder[["name", "port", "type", "x", "id"][pick(random, 5)] ?? "x"] = "tcp";
}

const odd = [
  null,
  0,
  1,
  2,
  5,
  8,
  -1,
  1.5,
  70_000,
  2 ** 31,
  true,
  false,
  "",
  "tcp",
  "lines",
  "0d0a",
];
odd.push("64KiB", "8M", "mqtt://a", "http://a", "gw-a", "a b", "csv", "alarm", "-1KiB", "none");
const structures: unknown[] = [[], {}, ["mqtt://a"], [1], { a: "V" }, { a: 1 }, [{}]];
(odd as unknown[]).push(...structures);

/** The text with some of its characters, lines and values lost, doubled, swapped or replaced. */
function damaged(text: string, random: () => number): string {
  let lines = text.split("\n").filter((line) => !/^ *# /.test(line));
  for (let harm = 1 + pick(random, 3); harm > 0; harm--) {
    const at = pick(random, lines.length);
    const line = lines[at] ?? "";
    const cut = pick(random, line.length + 1);
    const replaced = [
      [],
      [line, line],
      [line.slice(0, cut) + line.slice(cut + 1)],
      [line.slice(0, cut) + (strange[pick(random, strange.length)] ?? "") + line.slice(cut)],
      [line.replace("#", "")],
      [line.replace(/: .*/, `: ${strange[pick(random, strange.length)]}`)],
    ][pick(random, 6)];
    lines = lines.toSpliced(at, 1, ...(replaced ?? []));
  }
  return lines.join("\n");
}

const strange = [
  "\t",
  "'",
  '"',
  "[",
  "]",
  "{",
  "}",
  "*",
  "&a ",
  "!",
  "%",
  "@",
  "`",
  "\0",
  "- ",
  ": ",
];
strange.push(
  "#",
  "|",
  ">",
  "? ",
  ",",
  "\r",
  "\u2028",
  "😀",
  "\uFEFF",
  "null",
  "~",
  "0x10",
  "1e3",
  "-",
);

function pick(random: () => number, count: number): number {
  return Math.floor(random() * count);
}

/** Without prototypes that JSON does not have. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

function seeds(count: number, run: (random: () => number) => void): void {
  for (let seed = 1; seed <= count; seed++) {
    try {
      run(seededRandom(seed));
    } catch (error) {
      throw new Error(`with seed ${seed}: ${error}`, { cause: error });
    }
  }
}

function check(text: string): { config: unknown } | { mistakes: readonly Mistake[] } {
  try {
    return { config: parseConfig(text, "f.yaml") };
  } catch (error) {
    if (!(error instanceof FieldgateError)) throw error;
    assert.equal(error.code, "ERR_CONFIG_INVALID");
    const mistakes = error.details["mistakes"] as Mistake[];
    assert.ok(mistakes.length > 0);
    return { mistakes };
  }
}
