import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { masked } from "./screens.ts";

const FILE = join(import.meta.dirname, "..", "..", "docs", "field-guide.md");

/**
 * Compares what a command wrote with what docs/field-guide.md shows of it, numbers masked: the indented lines below
 * `<!-- screen: NAME -->`. With FIELDGATE_RECORD=1 they are written anew.
 */
export function assertShown(name: string, screen: string): void {
  if (process.env["FIELDGATE_RECORD"] === "1") record(name, screen);
  assert.equal(masked(shown(name)), masked(screen.trimEnd()), name);
}

/** Names of the screens that the guide shows. */
export function screensShown(): readonly string[] {
  return [...readFileSync(FILE, "utf8").matchAll(MARK)].map((match) => match[1] ?? "");
}

const MARK = /^<!-- screen: ([\w-]+) -->$/gm;

function shown(name: string): string {
  const { before: _, lines } = parted(name);
  return lines.map((line) => line.slice(4)).join("\n");
}

function record(name: string, screen: string): void {
  const { before, after } = parted(name);
  const lines = screen
    .trimEnd()
    .split("\n")
    .map((line) => `    ${line}`.trimEnd());
  writeFileSync(FILE, [...before, ...lines, ...after].join("\n"));
}

/** The guide's lines up to a screen, the screen's, and those behind it. */
function parted(name: string) {
  const all = readFileSync(FILE, "utf8").split("\n");
  const mark = all.indexOf(`<!-- screen: ${name} -->`);
  assert.ok(mark >= 0, `docs/field-guide.md shows no screen ${name}`);
  const from = mark + 2; // the mark, an empty line
  let end = from;
  while (end < all.length && (all[end]?.startsWith("    ") || isGap(all, end))) end++;
  return { before: all.slice(0, from), lines: all.slice(from, end), after: all.slice(end) };
}

/** An empty line within a screen: the screen goes on behind it. */
function isGap(all: readonly string[], at: number): boolean {
  return all[at] === "" && all[at + 1]?.startsWith("    ") === true;
}
