/**
 * The figures of the journal: `npm run bench -- journal [--backlog MESSAGES] [--turns N] [--directory DIR]`
 *
 * Messages have 100 bytes of payload, half of it noise, and a topic of 20 bytes. Ratios are of one run on one disk, in turns;
 * what is told is the median. Bytes are those that the kernel was asked to write to the device for this process.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { figure, inTurns, median, table } from "./support/figures.ts";
import {
  deviceBytes,
  Loaded,
  MESSAGE_BYTES,
  rateOf,
  replay,
  replayQueue,
} from "./support/journal-load.ts";

const { values } = parseArgs({
  options: {
    backlog: { type: "string", default: "1000000" },
    turns: { type: "string", default: "7" },
    directory: { type: "string", default: tmpdir() },
  },
});
const BACKLOG = Number(values.backlog);
const TURNS = Number(values.turns);
const TURN_MS = 1000;
const MIB = 2 ** 20;
const rows: string[][] = [["what", "target", "seen"]];
const directory = mkdtempSync(join(values.directory, "fieldgate-bench-"));
try {
  await appending();
  await alone();
  await amplification();
  await delayed();
  await backlog();
} finally {
  rmSync(directory, { recursive: true, force: true });
}
console.log(table(rows));
console.log(`load at the end: ${figure(loadavg()[0] ?? 0)}`);

/** 1,000 publishers, each of which appends its next message when its last one is durable. */
async function appending(): Promise<void> {
  const { ours, bare } = await besideBare(1000);
  tell("append and sync, 1,000 waiting", "200,000/s", `${figure(ours)}/s`);
  tell("  a bare write and fdatasync of as many bytes", "2 times", `${figure(bare / ours)} times`);
}

async function alone(): Promise<void> {
  const { ours, bare } = await besideBare(1);
  const seen = `${figure(bare / ours)} times (${figure(1000 / ours)} ms)`;
  tell("one waiter alone, against the bare loop", "1.5 times", seen);
}

/** In turns with a file and nothing but write and fdatasync of as many bytes, because other programs use the disk too. */
async function besideBare(waiting: number): Promise<{ ours: number; bare: number }> {
  const loaded = await Loaded.start(join(directory, `append-${waiting}`));
  const file = await open(join(directory, `bare-${waiting}`), "w");
  const bytes = Buffer.alloc(waiting * MESSAGE_BYTES, 0x61);
  const steps = [() => loaded.pass(waiting), () => writeAndSync(file, bytes)];
  const [ours = [], bare = []] = await inTurns(steps, TURNS, (step) =>
    rateOf(TURN_MS, waiting, step),
  );
  await file.close();
  await loaded.journal.stop();
  return { ours: median(ours), bare: median(bare) };
}

async function writeAndSync(file: FileHandle, bytes: Buffer): Promise<void> {
  await file.write(bytes);
  await file.datasync();
}

/** A reader right behind and a session that takes what waits for it. */
async function amplification(): Promise<void> {
  for (const waiting of [1000, 100]) {
    const loaded = await Loaded.start(join(directory, `amplification-${waiting}`));
    const before = deviceBytes();
    await rateOf(TURN_MS * TURNS, waiting, () => loaded.follow(waiting));
    await loaded.journal.stop();
    const ratio = (deviceBytes() - before) / (loaded.messages * MESSAGE_BYTES);
    tell(`bytes to the device a byte, fills and drains, ${waiting} a commit`, "2.5", figure(ratio));
  }
}

/** Ten senders of a message every 10 ms each: what `store.commitDelayMs` makes of them. */
async function delayed(): Promise<void> {
  for (const commitDelayMs of [0, 20, 100]) {
    const path = join(directory, `delay-${commitDelayMs}`);
    const loaded = await Loaded.start(path, { commitDelayMs });
    const before = deviceBytes();
    const until = performance.now() + 3 * TURN_MS;
    await Promise.all(
      Array.from({ length: 10 }, async (_, i) => {
        await new Promise((resolve) => setTimeout(resolve, i));
        while (performance.now() < until) {
          void loaded.follow(1);
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
      }),
    );
    await loaded.journal.stop();
    const bytes = (deviceBytes() - before) / loaded.messages;
    const messages = loaded.messages / loaded.journal.counters.commits;
    tell(
      `commitDelayMs ${commitDelayMs}, about 1,000 messages/s`,
      "",
      `${figure(bytes)} bytes a message, ${figure(messages)} messages a commit`,
    );
  }
}

/** A journal whose reader and session do nothing for long, in turns with one whose readers follow. */
async function backlog(): Promise<void> {
  const path = join(directory, "backlog");
  const full = await Loaded.start(path);
  const before = deviceBytes();
  while (full.messages < BACKLOG) await full.grow(1000);
  const grown = (deviceBytes() - before) / (BACKLOG * MESSAGE_BYTES);
  tell("bytes to the device a byte while a backlog grows", "", figure(grown));
  const empty = await Loaded.start(join(directory, "empty"));
  const steps = [() => full.grow(1000), () => empty.follow(1000)];
  const [onFull = [], onEmpty = []] = await inTurns(steps, TURNS, (step) =>
    rateOf(TURN_MS, 1000, step),
  );
  await empty.journal.stop();
  await full.journal.stop();
  tell(
    `append at a backlog of ${figure(BACKLOG)}, against an empty one`,
    "0.9",
    `${figure(median(onFull) / median(onEmpty))} (${figure(median(onFull))}/s and ${figure(median(onEmpty))}/s)`,
  );
  await resting(path);
  await drained(path);
}

/** In processes of their own: one with the backlog, one with nothing, which both do the same. */
async function resting(path: string): Promise<void> {
  const nothing = await rest(join(directory, "nothing"));
  const full = await rest(path);
  const at = (bytes: number) => `${figure(bytes / MIB)} MiB`;
  tell(`start with ${figure(BACKLOG)} messages queued`, "1,000 ms", `${figure(full.startMs)} ms`);
  tell(
    "memory at that backlog over an empty journal, started",
    "30 MiB",
    at(full.startedBytes - nothing.startedBytes),
  );
  tell(
    "  after a second of appending to each",
    "30 MiB",
    `${at(full.workedBytes - nothing.workedBytes)}; over one at rest ${at(full.workedBytes - nothing.startedBytes)}`,
  );
}

async function rest(path: string): Promise<{
  readonly startMs: number;
  readonly startedBytes: number;
  readonly workedBytes: number;
}> {
  const argv = ["--expose-gc", "--import", "tsx", "bench/support/journal-rest.ts", path];
  const { stdout } = await promisify(execFile)(process.execPath, argv);
  return JSON.parse(stdout);
}

async function drained(path: string): Promise<void> {
  const { journal, session } = await Loaded.start(path);
  const messages = session.tailIndex;
  tell(
    "replay from disk to a reader",
    "500,000/s",
    `${figure(await replay(journal))}/s, all ${figure(messages)}`,
  );
  const queued = await replayQueue(session, 5 * TURN_MS);
  tell("replay from disk to a session", "500,000/s", `${figure(queued)}/s`);
  const { storeBytes } = journal;
  journal.forgetCursor("reader");
  session.drop();
  const begun = performance.now();
  await journal.tidy();
  const seconds = (performance.now() - begun) / 1000;
  tell(
    "trim all of it and give the space back",
    "",
    `${figure(storeBytes / MIB)} to ${figure(journal.storeBytes / MIB)} MiB in ${figure(seconds)} s`,
  );
  await journal.stop();
}

function tell(what: string, target: string, seen: string): void {
  rows.push([what, target, seen]);
  console.error(`${what}: ${seen}`);
}
