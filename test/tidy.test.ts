import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { describe, it } from "node:test";
import {
  asserts,
  exportsSomething,
  hasRoom,
  importsPackagesWhereTheyLive,
  isShort,
  knowsNoOtherPart,
  leavesNoTestOut,
  leavesNothingForLater,
  namesNoMachine,
  type Rule,
  type Source,
  simulatesAlone,
} from "./support/tidy-rules.ts";

const ROOT = join(import.meta.dirname, "..");
const GENERATED = new Set([
  "node_modules",
  "dist",
  "data",
  "coverage",
  ".git",
  "package-lock.json",
]);
const TEXT = /\.(ts|mjs|json|md|yaml|yml|service|sh|c)$|(^|\/)(run|LICENSE|\.gitignore)$/;
const TREE = readTree(ROOT);

describe("the tree", () => {
  it("has no source file longer than 400 lines", () => {
    check(isShort, { path: "src/base/long.ts", text: "x\n".repeat(401) });
  });

  it("keeps each source file in a part of the house", () => {
    check(hasRoom, { path: "src/utils/text.ts", text: "" });
  });

  it("has no source file that offers nothing", () => {
    check(exportsSomething, { path: "src/base/idle.ts", text: "const one = 1;" });
  });

  it("lets a part import base, mqtt, config and itself only", () => {
    check(
      knowsNoOtherPart,
      { path: "src/uplink/a.ts", text: 'import type { B } from "../broker/b.ts";' },
      { path: "src/uplink/framing/a.ts", text: 'const b = await import("../../site/b.ts");' },
      { path: "src/uplink/a.ts", text: 'import { g } from "../gateway.ts";' },
      { path: "src/gateway.ts", text: 'import { s } from "../test/support/s.ts";' },
    );
  });

  it("lets base import nothing of ours, mqtt only base, and config only those two", () => {
    check(
      knowsNoOtherPart,
      { path: "src/base/a.ts", text: 'import { B } from "../mqtt/b.ts";' },
      { path: "src/mqtt/a.ts", text: 'import { B } from "../config/b.ts";' },
      { path: "src/config/a.ts", text: 'import { B } from "../journal/b.ts";' },
    );
  });

  it("imports a package only in files named after it", () => {
    check(
      importsPackagesWhereTheyLive,
      { path: "src/uplink/link.ts", text: 'import mqtt from "mqtt";' },
      { path: "src/journal/cursor.ts", text: "const level = require('classic-level');" },
      { path: "src/devices/list.ts", text: 'import { a } from "@serialport/bindings-cpp";' },
      { path: "src/cli/run.ts", text: 'await import("yaml");' },
    );
  });

  it("lets the firmware simulator import nothing but itself", () => {
    check(simulatesAlone, {
      path: "firmware-sim/frame.ts",
      text: 'import { crc } from "../src/devices/check.ts";',
    });
  });

  it("leaves nothing for later", () => {
    check(leavesNothingForLater, { path: "README.md", text: `${"TO"}DO: write` });
  });

  it("names no folder of the machine that it was written on", () => {
    check(namesNoMachine, { path: "README.md", text: `see /${"work"}/x` });
  });

  it("leaves no test out, and runs none alone", () => {
    check(
      leavesNoTestOut,
      { path: "test/a.test.ts", text: `it.${"skip"}("works", () => {});` },
      { path: "test/a.test.ts", text: `describe.${"only"}("it", () => {});` },
      { path: "test/a.test.ts", text: `it("works", { skip: ${true} }, () => {});` },
    );
  });

  it("has no test file that asserts nothing", () => {
    check(asserts, { path: "test/a.test.ts", text: 'it("works", () => {});' });
  });

  it("names every benchmark in the README", () => {
    const readme = read("README.md");
    const unnamed = TREE.map(({ path }) => /^bench\/([^/.]+)\.ts$/.exec(path)?.[1])
      .filter((name) => name !== undefined)
      .filter((name) => !readme.includes(`bench/${name}`) && !readme.includes(`bench -- ${name}`));
    assert.deepEqual(unnamed, []);
  });

  it("pins every package to one version", () => {
    const { dependencies, devDependencies } = JSON.parse(read("package.json"));
    const loose = Object.entries({ ...dependencies, ...devDependencies }).filter(
      ([, version]) => !/^\d+\.\d+\.\d+$/.test(String(version)),
    );
    assert.deepEqual(loose, []);
  });

  it("can be checked by one command that is executable", () => {
    assert.notEqual(statSync(join(ROOT, ".ci/run")).mode & 0o111, 0);
  });
});

/** The rule finds each of the offenders, which are made up, and nothing in the tree. */
function check(rule: Rule, ...offenders: readonly Source[]): void {
  for (const offender of offenders) {
    assert.notDeepEqual(rule(offender), [], `does not see: ${offender.path}: ${offender.text}`);
  }
  assert.deepEqual(
    TREE.flatMap((file) => rule(file).map((wrong) => `${file.path} ${wrong}`)),
    [],
  );
}

function read(path: string): string {
  const file = join(ROOT, path);
  return existsSync(file) ? readFileSync(file, "utf8") : "";
}

function readTree(folder: string): Source[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !GENERATED.has(entry.name))
    .flatMap((entry) => {
      const file = join(folder, entry.name);
      if (entry.isDirectory()) return readTree(file);
      const path = relative(ROOT, file).split(sep).join("/");
      return TEXT.test(path) ? [{ path, text: readFileSync(file, "utf8") }] : [];
    });
}
