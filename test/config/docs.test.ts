import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import Schema from "typebox/schema";
import { configExample } from "../../scripts/config-example.ts";
import { configReference } from "../../scripts/config-reference.ts";
import { jsonText } from "../../scripts/json-text.ts";
import { jsonSchema } from "../../src/config/json-schema.ts";
import { configShape } from "../../src/config/schema.ts";
import { isLeftOut, kindOf, type Shape } from "../../src/config/shape.ts";
import { parseConfig } from "../../src/config/yaml-load.ts";

const example = await text("deploy/fieldgate.example.yaml");

describe("what is written from the schema", () => {
  it("docs/config.md is fresh", async () => {
    assert.equal(await text("docs/config.md"), configReference(configShape), "npm run docs");
  });

  it("deploy/fieldgate.schema.json is fresh", async () => {
    const fresh = jsonText(jsonSchema(configShape));
    assert.equal(await text("deploy/fieldgate.schema.json"), fresh, "npm run docs");
  });

  it("deploy/fieldgate.example.yaml is fresh", () => {
    assert.equal(example, configExample(configShape), "npm run docs");
  });

  it("every key of the schema has a description and a place in the reference", async () => {
    const reference = await text("docs/config.md");
    for (const { path, key, shape } of keysOf(configShape, "")) {
      assert.ok(shape.description, `${path}.${key} has no description`);
      assert.ok(reference.includes(`| \`${key}\` |`), `${path}.${key} has no row`);
    }
  });

  it("every default and example keeps the rules of its own key", () => {
    for (const { path, key, shape } of keysOf(configShape, "")) {
      if (kindOf(shape).is === "section") continue;
      const valid = Schema.Compile(jsonSchema(shape));
      for (const value of [shape.default, ...(shape.examples ?? [])]) {
        if (value !== undefined) assert.ok(valid.Check(value), `${path}.${key}: ${String(value)}`);
      }
    }
  });
});

describe("the example", () => {
  it("is valid, and has every section", () => {
    const config = parseConfig(example, "example");
    assert.deepEqual(Object.keys(config), Object.keys(configShape.properties ?? {}));
  });

  it("says the same with every commented key uncommented", () => {
    const uncommented = example.replaceAll(/^( *)#(?=[A-Za-z])/gm, "$1");
    assert.notEqual(uncommented, example);
    assert.deepEqual(parseConfig(uncommented, "example"), parseConfig(example, "example"));
  });

  it("names every key that has a default", () => {
    for (const { path, key, shape, section } of keysOf(configShape, "")) {
      if (shape.default === undefined || !isLeftOut(section, key)) continue;
      assert.match(example, new RegExp(`^[ #-]*${key}:`, "m"), `${path}.${key}`);
    }
  });
});

describe("the codes of errors", () => {
  it("each have one row in docs/errors.md, and no row is about another one", async () => {
    const source = await text("src/base/errors.ts");
    const union = source.slice(source.indexOf("ErrorCode ="), source.indexOf(";"));
    const codes = [...union.matchAll(/"(ERR_[A-Z_]+)"/g)].map(([, code]) => code);
    const rows = (await text("docs/errors.md")).matchAll(/^\| `(ERR_[A-Z_]+)` \| .+ \| .+ \|$/gm);
    assert.ok(codes.length > 20, `only ${codes.length} codes found in the source`);
    assert.deepEqual([...rows].map(([, code]) => code).sort(), codes.sort());
  });
});

interface Key {
  readonly path: string;
  readonly key: string;
  readonly shape: Shape;
  readonly section: Shape;
}

function keysOf(section: Shape, path: string): Key[] {
  const kind = kindOf(section);
  if (kind.is === "list") return keysOf(kind.items, `${path}[]`);
  if (kind.is !== "section") return [];
  return Object.entries(kind.keys).flatMap(([key, shape]) => [
    { path, key, shape, section },
    ...keysOf(shape, `${path}.${key}`),
  ]);
}

function text(path: string): Promise<string> {
  return readFile(new URL(`../../${path}`, import.meta.url), "utf8");
}
