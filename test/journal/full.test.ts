import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, describe, it } from "node:test";
import type { JournalOptions } from "../../src/journal/options.ts";
import type { StoreJournal } from "../../src/journal/store-journal.ts";
import { isCode, NOW } from "../support/journal-samples.ts";
import { levelKind } from "../support/journals.ts";
import { until } from "../support/until.ts";

const MIB = 2 ** 20;
const ALL = { messagesMax: 100_000, bytesMax: 2 ** 30 };
const [ALARM, BULK] = [1, 3];
const kind = levelKind(7);

describe("a journal that is full", () => {
  after(() => kind.end());

  it("gives up the oldest of a lane that allows it, though another lane still holds what is older", async () => {
    let journal = await full("drop-oldest");
    const alarm = journal.append(sample(1), ALARM, NOW, []);
    await fill(journal, 12 * MIB);
    assert.ok(journal.storeBytes < 4 * MIB * 1.1, `${journal.storeBytes} bytes`);
    for (let round = 0; round < 2; round++) {
      await check(journal);
      const { entries } = await journal.read(0, ALL, ALARM);
      assert.deepEqual(
        entries.map(({ seq }) => seq),
        [alarm],
      );
      assert.equal(journal.counters.missingEntries, 0);
      journal = await kind.restart(journal);
    }
  });

  it("takes nothing that a session still waits for", async () => {
    const journal = await full("drop-oldest");
    const queue = journal.queue("session");
    const seqs: number[] = [];
    for (let i = 0; i < 100; i++) seqs.push(journal.append(sample(1000), BULK, NOW, [queue]));
    await journal.committed();
    await fill(journal, 6 * MIB, 3).catch((error) => assert.ok(isCode(error, "ERR_STORE_FULL")));
    assert.deepEqual(
      (await queue.read(0, ALL)).map(({ entry }) => entry.seq),
      seqs,
    );
    await check(journal);
  });

  it("asks who reads the lane to let go first, and drops nothing that is in hand", async () => {
    const journal = await full("drop-oldest");
    const cursor = journal.cursor("uplink/bulk");
    cursor.isReading = true;
    await assert.rejects(fill(journal, 12 * MIB, 3), (error) => isCode(error, "ERR_STORE_FULL"));
    assert.equal(cursor.isWanted, true);
    assert.deepEqual(cursor.dropped, {});
    cursor.isReading = false;
    await until("it drops", () => (cursor.dropped["full"] ?? 0) > 0);
    await until("it asks no more", () => !cursor.isWanted);
    await check(journal);
  });

  it("refuses QoS 0 first where that is the policy, then everything", async () => {
    const journal = await full("drop-qos0");
    const tight = () => journal.append({ ...sample(3000), qos: 0 }, BULK, NOW, []);
    await assert.rejects(
      async () => {
        for (let i = 0; i < 10_000; i++) {
          tight();
          await journal.committed();
        }
      },
      (error) => isCode(error, "ERR_STORE_FULL"),
    );
    assert.equal(journal.room, "tight");
    journal.append(sample(10), BULK, NOW, []);
    journal.append({ ...sample(10), qos: 0 }, ALARM, NOW, []);
    await assert.rejects(fill(journal, 6 * MIB, 3), (error) => isCode(error, "ERR_STORE_FULL"));
    assert.equal(journal.room, "full");
    assert.deepEqual(journal.cursor("uplink/bulk").dropped, {});
  });
});

async function full(whenFull: "drop-oldest" | "drop-qos0"): Promise<StoreJournal> {
  const lanes: JournalOptions["lanes"] = {
    [ALARM]: { whenFull: "reject-new", cursor: "uplink/alarm" },
    [BULK]: { whenFull, cursor: "uplink/bulk" },
  };
  const journal = await kind.create({ bytesMax: 4 * MIB, lanes, tidyEveryMs: 20 });
  for (const { cursor } of Object.values(lanes)) journal.cursor(cursor);
  return journal;
}

/** Appends so much to the bulk lane, each entry kept before the next; waits for room so many times 20 ms. */
async function fill(journal: StoreJournal, bytes: number, patience = 200): Promise<void> {
  for (let at = 0; at < bytes; at += 8192) {
    for (let tries = 1; ; tries++) {
      try {
        journal.append(sample(8192), BULK, NOW, []);
        break;
      } catch (error) {
        if (tries >= patience) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    await journal.committed();
  }
}

/** accepted = dropped(full) + queued, where queued is what can be read. */
async function check(journal: StoreJournal): Promise<void> {
  const cursor = journal.cursor("uplink/bulk");
  let [queued, afterSeq] = [0, cursor.seq];
  while (afterSeq < journal.durableSeq) {
    const read = await journal.read(afterSeq, ALL, BULK);
    queued += read.entries.length;
    afterSeq = read.throughSeq;
  }
  assert.equal(cursor.count, cursor.dropped["full"] ?? 0);
  assert.equal(journal.laneTotals[BULK], cursor.count + queued);
}

function sample(bytes: number) {
  return {
    topic: "t",
    payload: randomBytes(bytes),
    qos: 1,
    retain: false,
    properties: null,
  } as const;
}
