/**
 * The figures of the journal: `npm run bench -- journal [--backlog MESSAGES] [--turns N] [--directory DIR]`
 *
 * Messages have 100 bytes of payload, half of it noise, and a topic of 20 bytes. Ratios are of one run on one disk, in turns;
 * what is told is the median. Bytes are those that the kernel was asked to write to the device for this process.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { hostWrites } from "../src/health/host-writes.ts";
import { figure, inTurns, median } from "./support/figures.ts";
import {
  deviceBytes,
  Loaded,
  MESSAGE_BYTES,
  MESSAGES,
  rateOf,
  replay,
  replayQueue,
} from "./support/journal-load.ts";
import { bareFile, bareLevel } from "./support/layouts.ts";
import { Targets } from "./support/targets.ts";

const { values } = parseArgs({
  options: {
    backlog: { type: "string", default: "10000000" },
    turns: { type: "string", default: "7" },
    directory: { type: "string", default: tmpdir() },
  },
});
const BACKLOG = Number(values.backlog);
const TURNS = Number(values.turns);
const TURN_MS = 1000;
const MIB = 2 ** 20;
const targets = new Targets(true);
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
targets.print();
console.log(`load at the end: ${figure(loadavg()[0] ?? 0)}`);

/** 1,000 publishers, each of which appends its next message when its last one is durable. */
async function appending(): Promise<void> {
  const { ours, bare, level } = await besideBare(1000);
  targets.atLeast("append and sync, 1,000 waiting", ours, 200_000, "/s");
  targets.atMost(
    "  a bare write and fdatasync of the same bytes is faster by",
    bare / ours,
    2,
    " times",
  );
  targets.tell(
    "  the same against LevelDB alone, blocks encoded before: the floor",
    `${figure(bare / level)} times`,
  );
}

async function alone(): Promise<void> {
  const { ours, bare, level } = await besideBare(1);
  targets.atMost("one waiter alone, against the bare loop", bare / ours, 1.5, " times");
  targets.tell("  LevelDB alone against the bare loop", `${figure(bare / level)} times`);
  targets.tell("  how long it waits", `${figure(1000 / ours)} ms`);
}

/** In turns, because other programs use the disk too: messages a second. */
async function besideBare(
  waiting: number,
): Promise<{ readonly ours: number; readonly bare: number; readonly level: number }> {
  const loaded = await Loaded.start(join(directory, `append-${waiting}`));
  const messages = MESSAGES.slice(0, waiting);
  const others = [await bareFile(fresh()), await bareLevel(fresh())];
  const steps = [
    () => loaded.pass(waiting),
    ...others.map((layout) => () => layout.commit(messages, true)),
  ];
  const rates = await inTurns(steps, TURNS, (step) => rateOf(TURN_MS, waiting, step));
  for (const layout of others) await layout.stop();
  await loaded.journal.stop();
  const [ours = 0, bare = 0, level = 0] = rates.map(median);
  return { ours, bare, level };
}

/** A reader right behind and a session that takes what waits for it. */
async function amplification(): Promise<void> {
  for (const waiting of [1000, 100]) {
    const loaded = await Loaded.start(join(directory, `amplification-${waiting}`));
    const before = deviceBytes();
    const onDevice = await deviceOf(directory);
    await rateOf(TURN_MS * TURNS, waiting, () => loaded.follow(waiting));
    await loaded.journal.stop();
    const bytes = loaded.messages * MESSAGE_BYTES;
    const ratio = (deviceBytes() - before) / bytes;
    targets.atMost(`bytes to the device a byte, fills and drains, ${waiting} a commit`, ratio, 2.5);
    const seen = ((await deviceOf(directory)) - onDevice) / bytes;
    targets.tell(
      "  by what the device says it was written, by all programs and the file system",
      figure(seen),
    );
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
    targets.tell(
      `commitDelayMs ${commitDelayMs}, about 1,000 messages/s`,
      `${figure(bytes)} bytes a message`,
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
  targets.tell("bytes to the device a byte while a backlog grows", figure(grown));
  const empty = await Loaded.start(join(directory, "empty"));
  const steps = [() => full.grow(1000), () => empty.follow(1000)];
  const [onFull = [], onEmpty = []] = await inTurns(steps, TURNS, (step) =>
    rateOf(TURN_MS, 1000, step),
  );
  await empty.journal.stop();
  await full.journal.stop();
  targets.atLeast(
    `append at a backlog of ${figure(BACKLOG)}, against an empty one`,
    median(onFull) / median(onEmpty),
    0.9,
  );
  await resting(path);
  await drained(path);
}

/** In processes of their own: one with the backlog, one with nothing, which both do the same. */
async function resting(path: string): Promise<void> {
  const nothing = await rest(join(directory, "nothing"));
  const full = await rest(path);
  targets.atMost(`start with ${figure(BACKLOG)} messages queued`, full.startMs, 1000, " ms");
  targets.atMost(
    "memory at that backlog over an empty journal, started",
    (full.startedBytes - nothing.startedBytes) / MIB,
    30,
    " MiB",
  );
  targets.atMost(
    "  after a second of appending to each",
    (full.workedBytes - nothing.workedBytes) / MIB,
    30,
    " MiB",
  );
  const over = (full.workedBytes - nothing.startedBytes) / MIB;
  targets.tell("  after a second of appending, over an empty one at rest", `${figure(over)} MiB`);
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
  const what = `replay from disk to a reader, all ${figure(messages)}`;
  targets.atLeast(what, await replay(journal), 500_000, "/s");
  const queued = await replayQueue(session, 5 * TURN_MS);
  targets.atLeast("replay from disk to a session", queued, 500_000, "/s");
  const { storeBytes } = journal;
  journal.forgetCursor("reader");
  session.drop();
  const begun = performance.now();
  await journal.tidy();
  targets.tell(
    "trim all of it and give the space back",
    `${figure((performance.now() - begun) / 1000)} s`,
  );
  targets.tell("  what is left of its bytes", figure(journal.storeBytes / storeBytes));
  await journal.stop();
}

async function deviceOf(path: string): Promise<number> {
  return (await hostWrites(path)).deviceBytes ?? Number.NaN;
}

function fresh(): string {
  return mkdtempSync(join(directory, "layout-"));
}
