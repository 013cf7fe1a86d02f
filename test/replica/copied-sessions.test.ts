import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import { type MemoryJournal, memoryJournal } from "../../src/journal/memory-journal.ts";
import { CopiedSessions, homeRow } from "../../src/replica/copied-sessions.ts";
import type { SiteRecord } from "../../src/replica/site-log.ts";
import { list } from "../support/journal-samples.ts";
import { seededRandom } from "../support/random.ts";
import { SimClock } from "../support/sim-clock.ts";

describe("the sessions of another gateway, as its journal tells of them", () => {
  it("have a queue of what waits behind what was acknowledged, in order, said twice or not", () =>
    withSessions(async ({ sessions, tell }) => {
      await tell(
        put("session", "one", "x"),
        ["waits", "one", 3, [7, 9]],
        ["waits", "one", 1, [4, 5]],
      );
      await tell(["waits", "one", 5, [12]], ["waits", "one", 4, [9, 12]]);
      await tell(["head", "one", 2], ["waits", "two", 1, [4]]);
      assert.deepEqual(await sessions.queue("one"), {
        headIndex: 2,
        references: [
          { index: 3, seq: 7 },
          { index: 4, seq: 9 },
          { index: 5, seq: 12 },
        ],
      });
      assert.deepEqual([sessions.has("one"), sessions.has("two"), sessions.size], [true, false, 1]);
    }));

  it("have identifiers of QoS 2 in both directions, homes, wills, and where feeds stand", () =>
    withSessions(async ({ sessions, tell }) => {
      await tell(put("received", "one\u00007", ""), put("received", "one\u00009", ""));
      await tell(put("released", "one\u00008", ""), put("received", "onetwo\u00001", ""));
      await tell(["del", "received", "one\u00009"], put("feed", "j", "41"), put("feed", "j", "42"));
      assert.deepEqual(await sessions.numbers("received", "one"), [7]);
      assert.deepEqual(await sessions.numbers("released", "one"), [8]);
      assert.deepEqual([...(await sessions.feeds())], [["j", 42]]);
      assert.equal(sessions.home("one"), null);
      await tell(put("session", "one", "x"));
      assert.deepEqual(sessions.home("one"), { moves: 0, gone: false });
      const home = Buffer.from(homeRow({ moves: 3, gone: true })).toString();
      await tell(put("home", "one", home));
      assert.deepEqual(sessions.home("one"), { moves: 3, gone: true });
      await tell(put("aedes", `will:${encodeURIComponent("one\u0000broker")}`, "w"));
      assert.deepEqual([sessions.hasWill("one"), sessions.hasWill("on")], [true, false]);
    }));

  it("are gone with all that they had when they end, and only they", () =>
    withSessions(async ({ sessions, tell, rows }) => {
      for (const client of ["one", "two"]) {
        await tell(put("session", client, "x"), ["waits", client, 1, [4]], ["head", client, 0]);
      }
      await tell(["del", "session", "one"]);
      assert.deepEqual([sessions.has("one"), sessions.has("two")], [false, true]);
      assert.deepEqual((await sessions.queue("one")).references, []);
      assert.deepEqual((await sessions.queue("two")).references, [{ index: 1, seq: 4 }]);
      assert.deepEqual(await rows("head"), ["two"]);
    }));

  it("forget what is not said again when all is told again, and nothing before the end of it", () =>
    withSessions(async ({ sessions, tell }) => {
      await tell(put("session", "one", "x"), ["waits", "one", 1, [4]], put("session", "two", "x"));
      await tell(put("home", "one", "{}"), put("aedes", "will:one%00b", "w"));
      await tell(["all"], put("session", "two", "y"));
      assert.deepEqual([sessions.has("one"), sessions.hasWill("one")], [true, true]);
      await tell(["whole"]);
      assert.deepEqual([sessions.has("one"), sessions.hasWill("one")], [false, false]);
      assert.equal(sessions.home("one"), null);
      assert.deepEqual((await sessions.queue("one")).references, []);
      assert.equal(sessions.has("two"), true);
    }));

  it("are the same after a restart", () =>
    withSessions(async ({ sessions, tell, again }) => {
      await tell(put("session", "one", "x"), ["waits", "one", 1, [4, 5]], ["head", "one", 1]);
      await tell(put("aedes", `will:${encodeURIComponent("one\u0000b")}`, "w"));
      await tell(put("home", "one", '{"moves":2}'));
      const later = await again();
      assert.deepEqual(await later.queue("one"), await sessions.queue("one"));
      assert.deepEqual([later.has("one"), later.hasWill("one")], [true, true]);
      assert.deepEqual(later.home("one"), { moves: 2, gone: false });
    }));

  it("take no more room than what waits, after a while", () =>
    withSessions(async ({ tell, rows, clock }) => {
      await tell(put("session", "one", "x"));
      for (let n = 0; n < 50; n++) await tell(["waits", "one", n * 2 + 1, [n * 10, n * 10 + 5]]);
      await tell(["head", "one", 96]);
      await clock.run(clock.monotonicMs() + 10_001);
      await tell(["head", "one", 97]);
      assert.equal((await rows("queue")).length, 2);
    }));
});

function put(
  space: "session" | "received" | "released" | "aedes" | "home" | "feed",
  key: string,
  value: string,
): SiteRecord {
  return ["put", space, key, Buffer.from(value).toString("base64")];
}

async function withSessions(
  use: (tools: {
    sessions: CopiedSessions;
    tell: (...records: readonly SiteRecord[]) => Promise<void>;
    /** Keys of a space. */
    rows: (space: "queue" | "head") => Promise<string[]>;
    again: () => Promise<CopiedSessions>;
    clock: SimClock;
  }) => Promise<void>,
): Promise<void> {
  const clock = new SimClock();
  const copy: MemoryJournal = memoryJournal({}, { clock, log: silentLog, random: seededRandom(1) });
  await copy.start(new AbortController().signal);
  const made = async () => {
    const sessions = new CopiedSessions((space) => copy.rows(space), clock);
    await sessions.load();
    return sessions;
  };
  const sessions = await made();
  const tell = async (...records: readonly SiteRecord[]) => {
    for (const record of records) await sessions.apply(record);
    await copy.committed();
  };
  const rows = async (space: "queue" | "head") => await list(sessions.rows(space).entries({}));
  try {
    await use({ sessions, tell, rows, again: made, clock });
  } finally {
    await copy.stop();
  }
}
