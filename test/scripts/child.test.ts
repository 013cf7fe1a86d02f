import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

const CHILD = join(import.meta.dirname, "../../scripts/child.mjs");
const DEADLINE_MS = 30_000;
const IDLE = "setInterval(() => {}, 1000)";

describe("a script's child", () => {
  it("hands its exit code on", async () => {
    await check("process.exit(7)", "", "7");
  });

  it("gets a signal once, however many come, and may end in its own time", async () => {
    await check(
      "process.on('SIGINT', () => { console.log('got\\nup'); setTimeout(() => process.exit(0), 300); });",
      "SIGINT",
      "got 0",
    );
  });

  it("is killed when it does not end in time", async () => {
    await check("process.on('SIGTERM', () => console.log('deaf'));", "SIGTERM", "deaf 137");
  });

  it("takes what it started with it", async () => {
    await check(
      `const sleep = require('node:child_process').spawn(process.execPath, ['-e', '${IDLE}'], { stdio: 'ignore' });
       console.log('started', sleep.pid); process.on('SIGINT', () => process.exit(0));`,
      "SIGINT",
      "started GONE 0",
    );
  });
});

/** Runs a program as a child, sends `signal` each time it says that it is up; compares what else it says and the exit code. */
async function check(
  program: string,
  signal: NodeJS.Signals | "",
  expected: string,
): Promise<void> {
  const source = `${signal === "" ? "" : `${IDLE};`} ${program}; console.log('up');`;
  const script = `import { runNode } from ${JSON.stringify(CHILD)};
    process.exitCode = await runNode(["-e", ${JSON.stringify(source)}], { stopMsMax: 1000 });`;
  const runner = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "ignore"],
    timeout: DEADLINE_MS,
    killSignal: "SIGKILL",
  });
  const [words, [code]] = await Promise.all([printed(runner, signal), once(runner, "exit")]);
  const seen = await Promise.all(
    words.map(async (word) => (/^\d+$/.test(word) && (await ends(Number(word))) ? "GONE" : word)),
  );
  assert.equal([...seen, code].join(" "), expected);
}

/** The words that the runner prints, without `up`, at which it gets the signal. */
async function printed(runner: ChildProcess, signal: NodeJS.Signals | ""): Promise<string[]> {
  const words: string[] = [];
  assert.ok(runner.stdout !== null);
  for await (const line of createInterface({ input: runner.stdout })) {
    if (line !== "up") words.push(...line.split(" "));
    else if (signal !== "") runner.kill(signal);
  }
  return words;
}

/** Whether a process ends before the deadline: a signal may take a moment to arrive. */
async function ends(pid: number): Promise<boolean> {
  for (const start = performance.now(); performance.now() - start < DEADLINE_MS; ) {
    if (!isAlive(pid)) return true;
    await sleep(10);
  }
  return false;
}

/** A process that nobody has reaped yet (state Z) is dead all the same. */
function isAlive(pid: number): boolean {
  try {
    return !/\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
