import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { newCounters } from "../../src/journal/counters.ts";
import { levelJournal } from "../../src/journal/level-journal.ts";
import { MemoryStore } from "../../src/journal/memory-store.ts";
import type { JournalTools } from "../../src/journal/options.ts";
import { openStore } from "../../src/journal/start.ts";
import type { Store } from "../../src/journal/store.ts";
import { SimClock } from "../support/sim-clock.ts";
import { Told } from "../support/told-losses.ts";
import { until } from "../support/until.ts";

const ID = "0".repeat(32);
const NEVER = new AbortController().signal;

describe("starts that come to nothing", () => {
  it("have the store read at every fourth, and not at those between", async () => {
    const { start, reads } = rig();
    for (let n = 1; n <= 8; n++) await start("boot-1");
    assert.deepEqual(reads, [4, 7]);
  });

  it("do not count when the machine was started again: a power that fails is no damage", async () => {
    const { start, reads } = rig();
    for (let n = 1; n <= 8; n++) await start(`boot-${n}`);
    await start("boot-8");
    await start("boot-8");
    assert.deepEqual(reads, []);
  });

  it("have it opened unread when reading takes too long", async () => {
    const { start, store, clock, told } = rig();
    for (let n = 1; n <= 3; n++) await start("boot-1");
    store.isReadable = async (signal) => {
      await clock.sleep(2 ** 30, signal);
      return true;
    };
    const starting = start("boot-1");
    await clock.run(9 * 60_000);
    assert.equal((await starting).quarantine, null);
    assert.match(told.text(), /warn the store takes too long to read: it is opened unread/);
  });

  it("have it set aside when a repair takes too long", async () => {
    const { start, store, clock } = rig();
    for (let n = 1; n <= 3; n++) await start("boot-1");
    store.isReadable = async () => false;
    store.mend = async (_, signal) => {
      await clock.sleep(2 ** 30, signal);
      return true;
    };
    const starting = start("boot-1");
    await clock.run(11 * 60_000);
    assert.equal((await starting).quarantine, "memory");
  });

  it("are given up in the midst of reading, at once and with nothing left running", async (t) => {
    const path = await blockedStore(t);
    const tools = { clock: systemClock, log: silentLog, random: Math.random };
    const journal = levelJournal({ path, bytesMax: 2 ** 30, durability: "local" }, tools);
    const stop = new AbortController();
    const begun = assert.rejects(journal.start(stop.signal), /no longer wanted/);
    await until("another process reads the store", () => readers(path).length > 0);
    stop.abort(new Error("no longer wanted"));
    await begun;
    assert.deepEqual(readers(path), []);
    assert.equal(await readFile(join(path, "journal.starts"), "utf8"), "4");
  });
});

function rig() {
  const clock = new SimClock();
  const told = new Told();
  const store: Store = new MemoryStore(
    (task) => clock.afterTurn(task),
    () => 0,
  );
  const reads: number[] = [];
  let starts = 0;
  store.isReadable = async () => {
    reads.push(starts);
    return true;
  };
  const start = async (bootId: string) => {
    starts++;
    const timepiece = { bootId, bootMs: () => 0, quality: () => "unset" as const };
    const tools: JournalTools = { clock, log: told.log, random: () => 0, timepiece };
    const opened = await openStore(store, ID, tools, newCounters(), async () => false, NEVER);
    await store.close();
    return opened;
  };
  return { clock, told, store, reads, start };
}

/** A store that three starts came to nothing on, of which a log is a pipe that nobody writes to: whoever reads it waits. */
async function blockedStore(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "fieldgate-vain-"));
  t.after(() => rm(path, { recursive: true, force: true }));
  const tools = { clock: systemClock, log: silentLog, random: Math.random };
  const journal = levelJournal({ path, bytesMax: 2 ** 30, durability: "local" }, tools);
  await journal.start(NEVER);
  await journal.stop();
  execFileSync("mkfifo", [join(path, "journal", "999999.log")]);
  await writeFile(join(path, "journal.starts"), "3");
  return path;
}

/** Processes beside this one that have something to do with the store. */
function readers(path: string): string[] {
  const listed = execFileSync("ps", ["-eo", "pid=,args="], { encoding: "utf8" });
  return listed.split("\n").filter((line) => line.includes(path) && line.includes("ClassicLevel"));
}
