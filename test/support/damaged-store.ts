import { spawnSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { silentLog } from "../../src/base/log.ts";
import type { Random } from "../../src/base/random.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { levelJournal } from "../../src/journal/level-journal.ts";
import { compiledScript } from "./compiled-script.ts";
import { STORE_OPTIONS } from "./store-options.ts";
import type { StoreReading } from "./store-reader.ts";

const STARTS_MAX = 8;
const COMMITS = 300;

export type Damage = "bit" | "short" | "zeros" | "empty" | "gone";
export const DAMAGES: readonly Damage[] = ["bit", "short", "zeros", "empty", "gone"];

/** Fills a store with entries, a queue, a cursor, rows, some of it trimmed, and stops it in order. */
export async function fillStore(path: string, random: Random): Promise<void> {
  const tools = { clock: systemClock, log: silentLog, random };
  const journal = levelJournal({ path, ...STORE_OPTIONS }, tools);
  await journal.start(new AbortController().signal);
  const queue = journal.queue("q");
  const cursor = journal.cursor("c");
  for (let i = 0; i < COMMITS; i++) {
    for (let k = 0; k <= random() * 4; k++) {
      const payload = noise(20 + Math.floor(random() * 900), random);
      journal.append({ topic: "t", payload, qos: 1, retain: false, properties: null }, 1, 0, [
        queue,
      ]);
    }
    if (i % 10 === 0) cursor.move(Math.floor(journal.durableSeq / 2), 1);
    if (i % 10 === 5) queue.acknowledge(Math.floor(queue.tailIndex / 2));
    void journal.rows("space").put(`${i % 20}`, Buffer.from(`${i}`));
    await journal.committed();
    if (i % 100 === 50) await journal.tidy();
  }
  await journal.stop();
}

/** A copy of a store below `from`, with one of its files damaged; tells where. */
export function damagedCopy(
  from: string,
  to: string,
  [file, damage]: readonly [file: string, damage: Damage],
  random: Random,
): void {
  rmSync(to, { recursive: true, force: true });
  cpSync(from, to, { recursive: true });
  const path = join(to, file);
  const bytes = readFileSync(path);
  const at = Math.floor(random() * bytes.length);
  if (damage === "gone") rmSync(path);
  else if (damage === "empty") truncateSync(path, 0);
  else if (damage === "short") truncateSync(path, at);
  else {
    if (damage === "zeros") bytes.fill(0, at, Math.min(bytes.length, at + 4096));
    else bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(random() * 8));
    writeFileSync(path, bytes);
  }
}

/** The files of a store that can be damaged: those with something in them. */
export function filesOf(path: string): string[] {
  return [
    "journal.end",
    ...readdirSync(join(path, "journal")).map((name) => join("journal", name)),
  ].filter((file) => readFileSync(join(path, file)).length > 0);
}

export interface Started {
  /** What the first start that went through told; null when none did. */
  readonly reading: StoreReading | null;
  readonly starts: number;
  readonly stderr: string;
}

let reader: string | null = null;

/** Starts on each of these stores, again and again if the process dies, as a supervisor does. */
export function startOnEach(paths: readonly string[]): Started[] {
  const done: Started[] = [];
  let starts = 1;
  while (done.length < paths.length) {
    reader ??= compiledScript("store-reader");
    const argv = [reader, ...paths.slice(done.length)];
    const { stdout, stderr, status } = spawnSync(process.execPath, argv, {
      encoding: "utf8",
      maxBuffer: 2 ** 28,
    });
    for (const line of stdout.split("\n").filter((line) => line !== "")) {
      done.push({ reading: JSON.parse(line) as StoreReading, starts, stderr });
      starts = 1;
    }
    if (status === 0) continue;
    if (++starts <= STARTS_MAX) continue;
    done.push({ reading: null, starts, stderr });
    starts = 1;
  }
  return done;
}

function noise(length: number, random: Random): Buffer {
  return Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
}
