import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import type { Rows } from "../../src/base/rows.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { levelPersistence } from "../../src/broker/level-persistence.ts";
import { memoryJournal } from "../../src/journal/memory-journal.ts";

const ALARMS = { topic: "alarms/#", qos: 1 } as const;
type Sessions = NonNullable<Parameters<typeof levelPersistence>[1]>["sessions"];

const NOBODY: Sessions = { persistentOf: () => null };

describe("what a client that connects costs the store", () => {
  it("is nothing when the client has no subscription there, once those who have were listed", () =>
    withRows(async (rows) => {
      await levelPersistence(rows).addSubscriptions({ id: "valve" }, [ALARMS]);
      const { read, persistence } = await listed(rows);
      await persistence.cleanSubscriptions({ id: "sensor" });
      assert.deepEqual(await persistence.subscriptionsByClient({ id: "sensor" }), []);
      assert.equal(read.walks, 0);
      assert.deepEqual(await persistence.subscriptionsByClient({ id: "valve" }), [ALARMS]);
      assert.equal(read.walks, 1);
    }));

  it("is nothing when its session is in memory, and the answer is the session's", () =>
    withRows(async (rows) => {
      const session = { subscriptions: new Map([["commands/#", { qos: 2 as const }]]) };
      const persistentOf = (id: string) => (id === "valve" ? session : null);
      const { read, persistence } = await listed(rows, { persistentOf });
      const found = await persistence.subscriptionsByClient({ id: "valve" });
      assert.deepEqual(found, [{ topic: "commands/#", qos: 2 }]);
      assert.equal(read.walks, 0);
    }));
});

describe("subscriptions in the store", () => {
  it("are found before anybody has listed them", () =>
    withRows(async (rows) => {
      await levelPersistence(rows).addSubscriptions({ id: "valve" }, [ALARMS]);
      const another = levelPersistence(rows);
      assert.deepEqual(await another.subscriptionsByClient({ id: "valve" }), [ALARMS]);
      await another.cleanSubscriptions({ id: "valve" });
      assert.deepEqual(await another.subscriptionsByClient({ id: "valve" }), []);
    }));

  it("are cleaned, and can be stored and cleaned again", () =>
    withRows(async (rows) => {
      const { read, persistence } = await listed(rows);
      for (let round = 0; round < 2; round++) {
        await persistence.addSubscriptions({ id: "valve" }, [ALARMS]);
        assert.deepEqual(await persistence.subscriptionsByClient({ id: "valve" }), [ALARMS]);
        await persistence.cleanSubscriptions({ id: "valve" });
        assert.deepEqual(await persistence.subscriptionsByClient({ id: "valve" }), []);
      }
      const { walks } = read;
      await persistence.cleanSubscriptions({ id: "valve" });
      assert.equal(read.walks, walks, "it is known that nothing is left");
      assert.deepEqual(await persistence.subscriptionsByClient({ id: "valve" }), []);
    }));

  it("stay known when they come while others of the client are being cleaned", () =>
    withRows(async (rows) => {
      const { persistence } = await listed(rows);
      await persistence.addSubscriptions({ id: "valve" }, [ALARMS]);
      const cleaning = persistence.cleanSubscriptions({ id: "valve" });
      const later = { topic: "commands/#", qos: 2 } as const;
      await Promise.all([cleaning, persistence.addSubscriptions({ id: "valve" }, [later])]);
      const direct = await levelPersistence(rows).subscriptionsByClient({ id: "valve" });
      assert.deepEqual(await persistence.subscriptionsByClient({ id: "valve" }), direct);
      await persistence.cleanSubscriptions({ id: "valve" });
      assert.deepEqual(await levelPersistence(rows).subscriptionsByClient({ id: "valve" }), []);
    }));
});

/** On rows that count the walks through them, all subscriptions listed. */
async function listed(rows: Rows, sessions: Sessions = NOBODY) {
  const read = { walks: 0 };
  const counted: Rows = {
    get: (key) => rows.get(key),
    put: (key, value) => rows.put(key, value),
    del: (key) => rows.del(key),
    clear: (range) => rows.clear(range),
    entries(range) {
      read.walks++;
      return rows.entries(range);
    },
  };
  const persistence = levelPersistence(counted, { journal: { lastSeq: 0 }, sessions });
  for await (const _ of persistence.storedSubscriptions());
  read.walks = 0;
  return { read, persistence };
}

async function withRows(use: (rows: Rows) => Promise<void>): Promise<void> {
  const tools = { clock: systemClock, log: silentLog, random: Math.random };
  const journal = memoryJournal({}, tools);
  await journal.start(new AbortController().signal);
  try {
    await use(journal.rows("aedes"));
  } finally {
    await journal.stop();
  }
}
