import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { auditDevice, auditLane } from "../../src/health/ledger.ts";
import type { StoreJournal } from "../../src/journal/store-journal.ts";
import { memoryKind } from "../support/journals.ts";

const kind = memoryKind(1);
afterEach(() => kind.end());

describe("the proof of a lane's books", () => {
  it("counts what waits in the journal, beside other lanes, over several pages", async () => {
    const journal = await filled(9000);
    journal.cursor(CURSOR).move(journal.durableSeq / 3, 3000, { expired: 10 });
    assert.deepEqual(await auditLane(journal, LANE), {
      accepted: 9000,
      delivered: 2990,
      dropped: { expired: 10 },
      queued: 6000,
      missing: 0,
    });
  });

  it("says how many are missing when the cursor passed what it has not counted", async () => {
    const journal = await filled(300);
    journal.cursor(CURSOR).move(journal.durableSeq, 295, {});
    assert.equal((await auditLane(journal, LANE)).missing, 5);
  });

  it("says how many are too many when something was counted twice", async () => {
    const journal = await filled(300);
    journal.cursor(CURSOR).move(20, 12, {});
    assert.equal((await auditLane(journal, LANE)).missing, -2);
  });

  it("does not take what comes in or goes out meanwhile for a mistake", async () => {
    const journal = await filled(5000);
    let audits = 0;
    const cursor = journal.cursor(CURSOR);
    const busy = setInterval(() => {
      append(journal, 20);
      cursor.move(cursor.seq + 40, 20, {});
      void journal.tidy();
    });
    try {
      for (; audits < 20; audits++) {
        assert.equal((await auditLane(journal, LANE)).missing, 0, `audit ${audits}`);
      }
    } finally {
      clearInterval(busy);
    }
    await journal.committed();
  });

  it("counts a lane that nobody reads any more as given up", async () => {
    const journal = await kind.create();
    append(journal, 10);
    assert.deepEqual((await auditLane(journal, LANE)).dropped, { unread: 10 });
    assert.equal((await auditLane(journal, LANE)).missing, 0);
  });
});

describe("the proof of a device's books", () => {
  it("compares frames with what became of them", () => {
    const books = { frames: 10, accepted: 6, refused: { checksum: 2, full: 1 }, inflight: 1 };
    assert.equal(auditDevice(books).missing, 0);
    assert.equal(auditDevice({ ...books, frames: 11 }).missing, 1);
  });
});

const CURSOR = "uplink/telemetry";
const LANE = { lane: 2, cursor: CURSOR };

async function filled(count: number): Promise<StoreJournal> {
  const journal = await kind.create();
  journal.cursor(CURSOR);
  for (let done = 0; done < count; done += 100) {
    append(journal, 100);
    await journal.committed();
  }
  return journal;
}

/** Entries of lanes 2 and 0, one after the other. */
function append(journal: StoreJournal, count: number): void {
  const payload = Buffer.from("x");
  const message = { topic: "t", payload, qos: 1, retain: false, properties: null } as const;
  for (let index = 0; index < count; index++) {
    journal.append(message, 2, 0, []);
    journal.append(message, 0, 0, []);
  }
}
