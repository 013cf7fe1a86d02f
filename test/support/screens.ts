import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "./until.ts";
import { within } from "./within.ts";

const FOLDER = join(import.meta.dirname, "..", "screens");

export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the program as it is shipped, to its end. `npm test` builds it. */
export function fieldgate(...argv: readonly string[]): Promise<Said> {
  return new Promise((resolve) => {
    const options = { timeout: 60_000, env: { ...process.env, NO_COLOR: "1" } };
    execFile(process.execPath, ["dist/fieldgate.js", ...argv], options, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, err });
    });
  });
}

/** A command that goes on: what it has said so far, and how to end it. */
export class Going {
  out = "";
  err = "";
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  constructor(...argv: readonly string[]) {
    const env = { ...process.env, NO_COLOR: "1" };
    this.#child = spawn(process.execPath, ["dist/fieldgate.js", ...argv], { env });
    this.#child.stdout?.on("data", (chunk) => {
      this.out += chunk;
    });
    this.#child.stderr?.on("data", (chunk) => {
      this.err += chunk;
    });
    this.#ended = once(this.#child, "close");
  }

  write(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** Waits until it has said so, on either of its outputs. */
  async says(what: RegExp): Promise<void> {
    await until(`it says ${what}`, () => {
      if (what.test(this.err + this.out)) return true;
      if (this.#child.exitCode === null) return false;
      throw new Error(`it ended before it said ${what}: ${this.err}${this.out}`);
    });
  }

  /** Resolves when it has ended by itself, with its exit code. */
  async ended(): Promise<number | null> {
    await within(60_000, "it did not end", this.#ended);
    return this.#child.exitCode;
  }

  /** As `head` does when it has seen enough. */
  readNoFurther(): void {
    this.#child.stdout?.destroy();
  }

  async interrupt(): Promise<number | null> {
    this.#child.kill("SIGINT");
    return this.ended();
  }
}

/**
 * Compares what a command wrote with what is recorded in test/screens, numbers, times, addresses and folders masked.
 * With FIELDGATE_RECORD=1 it is recorded anew: look at the change before you commit it.
 */
export function assertScreen(name: string, screen: string): void {
  const file = join(FOLDER, `${name}.txt`);
  if (process.env["FIELDGATE_RECORD"] === "1") writeFileSync(file, masked(screen));
  assert.ok(existsSync(file), `${file} is not recorded: FIELDGATE_RECORD=1 records it`);
  assert.equal(masked(screen), readFileSync(file, "utf8"), name);
}

/** What of a screen is the same each time. */
export function masked(screen: string): string {
  return screen
    .replaceAll(/\/tmp\/[\w.-]+/g, "DIR")
    .replaceAll(/\b[0-9a-f]{32}\b/g, "JOURNAL")
    .replaceAll(/\d{4}-\d\d-\d\d/g, "DATE")
    .replaceAll(/\d+(?:[.,:]\d+)*/g, "#")
    .replaceAll(/# (?:KiB|MiB|GiB)\b/g, "# bytes")
    .replaceAll(/# (?:ms|s|min|h|days)\b/g, "# s")
    .replaceAll(/(?<=\S) {2,}/g, "  ");
}
