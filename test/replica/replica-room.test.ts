import assert from "node:assert/strict";
import { it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { type MemoryJournal, memoryJournal } from "../../src/journal/memory-journal.ts";
import { newCounters } from "../../src/replica/counters.ts";
import { ReplicaRoom } from "../../src/replica/replica-room.ts";
import { message, NOW } from "../support/journal-samples.ts";

it("a gateway that never returns leaves no copy for ever: one whose messages are in the cloud goes for a new one", () =>
  withRoom(2, async ({ room, ids, deliver, counters }) => {
    await copied(room, "a");
    await copied(room, "b");
    deliver("b");
    await copied(room, "c");
    assert.deepEqual(ids(), "a c");
    assert.deepEqual([counters.replicasRemoved, counters.replicasRefused], [1, 0]);
    await copied(room, "c");
    assert.deepEqual(ids(), "a c", "one that is there is there");
  }));

it("what the cloud does not have is never given up, nor the copy of a gateway that is there: the new one is refused", () =>
  withRoom(2, async ({ room, ids, deliver, inUse, counters }) => {
    await copied(room, "a");
    await copied(room, "b");
    deliver("b");
    inUse.add(idOf("b"));
    await assert.rejects(copied(room, "c"), { code: "ERR_PEER_REPLICAS" });
    assert.deepEqual([ids(), counters.replicasRefused], ["a b", 1]);
    inUse.clear();
    await copied(room, "c");
    assert.deepEqual(ids(), "a c");
  }));

it("a copy without sessions goes before one in which some may be", () =>
  withRoom(2, async ({ room, ids, deliver }) => {
    await copied(room, "a");
    await copied(room, "b");
    deliver("a", 0);
    deliver("b");
    await copied(room, "c");
    assert.equal(ids(), "a c");
    deliver("c");
    await copied(room, "d");
    assert.equal(ids(), "a d");
    await copied(room, "e");
    assert.equal(ids(), "d e", "then that one too");
  }));

it("never holds more, however many come at once", () =>
  withRoom(3, async ({ room, ids, most }) => {
    const names = ["a", "b", "c", "d", "e", "f"];
    const all = await Promise.allSettled(names.map((name) => copied(room, name)));
    assert.equal(all.filter(({ status }) => status === "rejected").length, 3);
    assert.deepEqual([ids(), most()], ["a b c", 3]);
  }));

function idOf(name: string): string {
  return name.repeat(32);
}

async function copied(room: ReplicaRoom, name: string): Promise<void> {
  await room.open(idOf(name));
}

/** Each copy has ten entries that its uplink has not delivered and its origin needs. */
async function withRoom(
  replicasMax: number,
  use: (tools: {
    room: ReplicaRoom;
    ids: () => string;
    most: () => number;
    deliver: (name: string, originSeq?: number) => void;
    inUse: Set<string>;
    counters: ReturnType<typeof newCounters>;
  }) => Promise<void>,
): Promise<void> {
  const copies = new Map<string, MemoryJournal>();
  const inUse = new Set<string>();
  const counters = newCounters();
  let most = 0;
  const room = new ReplicaRoom(replicasMax, {
    log: silentLog,
    counters,
    isInUse: (journal) => inUse.has(journal),
    gone: async () => undefined,
    replicas: {
      all: () => [...copies.values()],
      open: async (id) => {
        const known = copies.get(id);
        if (known !== undefined) return known;
        const made = memoryJournal(
          { id },
          { clock: systemClock, log: silentLog, random: Math.random },
        );
        await made.start(new AbortController().signal);
        for (const name of ["origin", "uplink/telemetry"]) made.cursor(name);
        for (let n = 0; n < 10; n++) made.append(message("t", String(n)), 2, NOW, []);
        await made.committed();
        copies.set(id, made);
        most = Math.max(most, copies.size);
        return made;
      },
      remove: async (id) => {
        await copies.get(id)?.stop();
        copies.delete(id);
      },
    },
  });
  const deliver = (name: string, originSeq = 10) => {
    const copy = copies.get(idOf(name));
    copy?.cursor("uplink/telemetry").move(10, 10);
    copy?.cursor("origin").move(originSeq, 0);
  };
  const ids = () => [...copies.keys()].map((id) => id[0]).join(" ");
  try {
    await use({ room, ids, most: () => most, deliver, inUse, counters });
  } finally {
    for (const copy of copies.values()) await copy.stop();
  }
}
