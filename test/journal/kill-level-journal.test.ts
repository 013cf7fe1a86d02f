import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { levelJournal } from "../../src/journal/level-journal.ts";
import { seededRandom } from "../support/random.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const ROUNDS = Number(process.env["KILLS"] ?? 3);
const ALL = { messagesMax: 100_000, bytesMax: 2 ** 30 };

interface Line {
  readonly seq: number;
  readonly serial: number;
  readonly tail: number;
  readonly head: number;
  readonly cursor: number;
}

describe("a journal whose process is killed", () => {
  it("has everything that it said was durable, in order, and goes on", async () => {
    const path = mkdtempSync(join(tmpdir(), "fieldgate-kill-"));
    const random = seededRandom(SEED);
    let serial = 0;
    try {
      for (let round = 0; round < ROUNDS; round++) {
        const last = await runAndKill(path, serial, 20 + Math.floor(random() * 200));
        serial = await check(path, last);
      }
    } finally {
      rmSync(path, { recursive: true, force: true });
    }
  });
});

/** Kills the writer after so many commits. Returns what it said last. */
async function runAndKill(path: string, serial: number, commits: number): Promise<Line> {
  const script = join(import.meta.dirname, "../support/journal-writer.ts");
  const child = spawn(process.execPath, ["--import", "tsx", script, path, `${serial}`], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  let last: Line | null = null;
  let count = 0;
  for await (const text of createInterface({ input: child.stdout })) {
    last = JSON.parse(text) as Line;
    if (++count === commits) child.kill("SIGKILL");
  }
  await exited;
  assert.ok(last && count >= commits, `SEED=${SEED}: the writer ended by itself`);
  return last;
}

async function check(path: string, last: Line): Promise<number> {
  const journal = levelJournal(
    { path, bytesMax: 2 ** 30, durability: "local" },
    { clock: systemClock, log: silentLog, random: Math.random },
  );
  await journal.start(new AbortController().signal);
  const hint = `SEED=${SEED}`;
  const queue = journal.queue("q");
  const cursor = journal.cursor("c");
  assert.ok(journal.durableSeq >= last.seq, `${hint}: ${journal.durableSeq} < ${last.seq}`);
  assert.ok(queue.tailIndex >= last.tail, `${hint}: queue lost references`);
  assert.ok(queue.headIndex >= last.head, `${hint}: an acknowledgement was lost`);
  assert.ok(cursor.seq >= last.cursor, `${hint}: a cursor went back`);
  const { entries } = await journal.read(cursor.seq, ALL);
  const serials = entries.map((entry) => Number(Buffer.from(entry.message.payload)));
  const end = serials.at(-1) ?? 0;
  assert.ok(end >= last.serial, `${hint}: ${last.serial} was acknowledged, the last is ${end}`);
  const expected = serials.map((_, i) => end - serials.length + 1 + i);
  assert.deepEqual(serials, expected, `${hint}: a gap`);
  const waiting = await queue.read(queue.headIndex, ALL);
  assert.equal(waiting.length, queue.tailIndex - queue.headIndex, hint);
  assert.equal(Number(waiting.at(-1)?.entry.message.payload), end, hint);
  assert.equal(Number(await journal.rows("space").get("serial")), end, `${hint}: a torn turn`);
  assert.equal(journal.counters.missingEntries, 0);
  await journal.stop();
  return end;
}
