import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FieldgateError } from "../../src/base/errors.ts";
import { silentLog } from "../../src/base/log.ts";
import type { Rows } from "../../src/base/rows.ts";
import type { Queue } from "../../src/journal/journal.ts";
import { memoryJournal } from "../../src/journal/memory-journal.ts";
import { LoggedJournal } from "../../src/replica/logged-journal.ts";
import { LOG_LANE, readLogEntry } from "../../src/replica/site-log.ts";
import { ALL, message, NOW } from "../support/journal-samples.ts";
import { seededRandom } from "../support/random.ts";
import { SimClock } from "../support/sim-clock.ts";

describe("a journal that tells other gateways of its sessions", () => {
  it("says in the same commit which entries wait for whom, under which index", () =>
    withLogged({}, async ({ logged, journal, log }) => {
      const [one, other] = [logged.queue("one"), logged.queue("other")];
      logged.append(message("t", "1"), 1, NOW, [one]);
      logged.append(message("t", "2"), 1, NOW, [one, other]);
      logged.append(message("t", "3"), 1, NOW, []);
      await journal.committed();
      check(await log(), ["head one 0", "waits one 1 1,2", "head other 0", "waits other 1 2"]);
      logged.append(message("t", "5"), 1, NOW, [one]);
      await journal.committed();
      check((await log()).slice(4), ["waits one 3 5"]);
    }));

  it("says what is kept of sessions and nothing of other rows, nor of queues that are no session's", () =>
    withLogged({}, async ({ logged, log }) => {
      const shared = logged.queue("$share/group");
      logged.append(message("t", "1"), 1, NOW, [shared]);
      const session = logged.rows("session");
      await session.put("one", Buffer.from("x"));
      await session.put("two", Buffer.from("y"));
      await session.del("one");
      await session.clear({ gte: "t", lt: "u" });
      await logged.rows("health").put("beat", Buffer.from("z"));
      check(await log(), [
        "put session one eA==",
        "put session two eQ==",
        "del session one",
        "clear session t u",
      ]);
      assert.equal(await session.get("two"), undefined, "the rows are what they would be");
    }));

  it("says how far a client has acknowledged, now and then, and before it forgets an identifier of QoS 2", () =>
    withLogged({}, async ({ logged, journal, clock, log }) => {
      const queue = logged.queue("one");
      for (let n = 0; n < 3; n++) logged.append(message("t", "x"), 1, NOW, [queue]);
      await journal.committed();
      queue.acknowledge(2);
      await clock.run(clock.monotonicMs() + 199);
      assert.equal((await log()).length, 2);
      await clock.run(clock.monotonicMs() + 2);
      await journal.committed();
      assert.equal((await log()).at(-1), "head one 2");
      queue.acknowledge(3);
      await logged.rows("released").del("one\u00007");
      check((await log()).slice(-2), ["head one 3", "del released one\u00007"]);
    }));

  it("lets nothing count as safe before what it says of it is written", () =>
    withLogged({}, async ({ logged, journal }) => {
      const queue = logged.queue("one");
      const seq = logged.append(message("t", "1"), 1, NOW, [queue]);
      assert.equal(logged.through(seq), seq - 1);
      await journal.committed();
      assert.equal(logged.through(seq), seq - 1, "it is on the disk, and perhaps not its log");
      assert.equal(logged.through(journal.durableSeq), journal.durableSeq);
    }));

  it("tells all that there is when it is asked, and what changes meanwhile once", () =>
    withLogged({}, async ({ logged, journal, log }) => {
      const queue = logged.queue("one");
      for (let n = 0; n < 4; n++) logged.append(message("t", "x"), 1, NOW, [queue]);
      await logged.rows("session").put("one", Buffer.from("x"));
      await logged.rows("session").put("two", Buffer.from("y"));
      queue.acknowledge(1);
      await journal.committed();
      const before = (await log()).length;
      const told = logged.tellAll();
      void logged.rows("session").put("two", Buffer.from("z"));
      await told;
      await journal.committed();
      const seqs = "2,3,4";
      check((await log()).slice(before), [
        "all",
        "put session two eg==",
        "put session one eA==",
        "head one 1",
        `waits one 2 ${seqs}`,
        "whole",
      ]);
    }));
});

describe("while the journal is full", () => {
  it("what is said gathers within a bound; then it is given up, and all is told when there is room", () =>
    withLogged({ recordBytesMax: 20_000 }, async ({ logged, journal, world, log }) => {
      const queue = logged.queue("one");
      const seq = logged.append(message("t", "1"), 1, NOW, [queue]);
      world.isFull = true;
      const rows = logged.rows("session");
      for (let n = 0; n < 500; n++) void rows.put(`client-${n % 7}`, Buffer.alloc(100, n));
      await journal.committed();
      assert.equal(world.lost, 1);
      assert.ok(logged.recordBytes <= 20_000, `${logged.recordBytes} bytes wait`);
      assert.equal(logged.through(journal.durableSeq), seq - 1, "what waits for a session is held");
      await assert.rejects(logged.tellAll(), { code: "ERR_STORE_FULL" });
      assert.equal(logged.through(journal.durableSeq), seq - 1, "still");

      world.isFull = false;
      await logged.tellAll();
      await journal.committed();
      const said = await log();
      const last = said.slice(said.lastIndexOf("all"));
      assert.equal(last.at(-1), "whole");
      assert.equal(last.filter((record) => record.startsWith("put session")).length, 7);
      assert.ok(last.includes("waits one 1 1"), last.join("\n"));
      assert.equal(logged.through(journal.durableSeq), journal.durableSeq);
    }));

  it("a snapshot larger than the bound is told in parts", () =>
    withLogged({ recordBytesMax: 5000 }, async ({ logged, journal, world, log }) => {
      for (let n = 0; n < 100; n++) {
        await logged.rows("session").put(`client-${n}`, Buffer.alloc(100, n));
      }
      const before = (await log()).length;
      await logged.tellAll();
      await journal.committed();
      assert.equal((await log()).length - before, 102);
      assert.equal(world.lost, 0);
    }));
});

function check(said: readonly string[], expected: readonly string[]): void {
  assert.deepEqual(said, expected);
}

interface World {
  isFull: boolean;
  lost: number;
}

/** On a journal in memory and in virtual time, which goes on by itself while someone waits for the disk. */
async function withLogged(
  { recordBytesMax = 2 ** 20 },
  use: (tools: {
    logged: LoggedJournal<Queue, Rows>;
    journal: ReturnType<typeof memoryJournal>;
    clock: SimClock;
    world: World;
    log: () => Promise<string[]>;
  }) => Promise<void>,
): Promise<void> {
  const clock = new SimClock();
  const journal = memoryJournal({}, { clock, log: silentLog, random: seededRandom(1) });
  await journal.start(new AbortController().signal);
  const world: World = { isFull: false, lost: 0 };
  const append = journal.append.bind(journal);
  journal.append = (...taken) => {
    if (world.isFull) throw new FieldgateError("ERR_STORE_FULL", "full");
    return append(...taken);
  };
  const logged = new LoggedJournal<Queue, Rows>(journal, (name) => !name.startsWith("$share/"), {
    clock,
    log: silentLog,
    headsEveryMs: 200,
    recordBytesMax,
    lost: () => world.lost++,
  });
  logged.begin();
  const log = async () => {
    await journal.committed();
    const { entries } = await journal.read(0, ALL, LOG_LANE);
    return entries.flatMap(({ message: { payload } }) => readLogEntry(payload)).map(line);
  };
  try {
    await use({ logged, journal, clock, world, log });
  } finally {
    logged.end();
    await journal.stop();
  }
}

function line(record: readonly unknown[]): string {
  return record.map(String).join(" ");
}
