import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Shipper } from "../../src/uplink/shipper.ts";
import { MemorySource } from "../support/memory-source.ts";

describe("a lane's shipper", () => {
  it("sends in order and moves the cursor through what is acknowledged without a gap", async () => {
    const lane = await laneOf(3);
    lane.sendAll();
    lane.check("cursor 0, 3 in flight");
    lane.acknowledge(1);
    lane.check("cursor 0, 2 in flight");
    lane.acknowledge(0);
    lane.check("cursor 2, 1 in flight");
    lane.acknowledge(2);
    lane.check("cursor 3, 0 in flight");
    assert.equal(lane.cursor.count, 3);
  });

  it("sends no more than its window", async () => {
    const lane = await laneOf(10, { windowMax: 4 });
    assert.deepEqual(lane.sendAll(), [1, 2, 3, 4]);
    lane.acknowledge(1);
    assert.deepEqual(lane.sendAll(), [], "the window is as wide as its oldest message allows");
    lane.acknowledge(0);
    lane.shipper.settle();
    assert.deepEqual(lane.sendAll(), [5, 6]);
  });

  it("forgets what was in flight and reads it again from the cursor", async () => {
    const lane = await laneOf(5);
    lane.sendAll();
    lane.acknowledge(0);
    lane.acknowledge(3);
    lane.check("cursor 1, 3 in flight");
    lane.shipper.reset();
    lane.check("cursor 1, 0 in flight");
    await lane.read();
    assert.deepEqual(lane.sendAll(), [2, 3, 4, 5]);
  });

  it("ignores a read that began before it was reset", async () => {
    const lane = await laneOf(0);
    lane.append(3);
    const afterSeq = lane.shipper.beginRead(3);
    const late = lane.source.read(afterSeq ?? 0, LIMITS, 2);
    lane.shipper.reset();
    assert.equal(lane.shipper.beginRead(3), null, "one read at a time");
    lane.shipper.took(await late, 3);
    assert.equal(lane.shipper.peek(), null);
    await lane.read();
    assert.deepEqual(lane.sendAll(), [1, 2, 3]);
  });

  it("keeps at most two batches ahead", async () => {
    const lane = await laneOf(100, { windowMax: 1, batch: 4 });
    assert.equal(lane.shipper.beginRead(100), null);
    let sent = 0;
    for (; sent < 100; sent++) {
      assert.deepEqual(lane.sendAll(), [sent + 1]);
      lane.acknowledge(0);
      lane.shipper.settle();
      await lane.read();
    }
    lane.check("cursor 100, 0 in flight");
  });

  it("passes by what belongs to other lanes without reading", async () => {
    const lane = await laneOf(0);
    for (let count = 0; count < 10; count++) lane.source.append(1, "t", "p");
    lane.source.commit();
    lane.shipper.advance(10, lane.source.laneTotals[2] ?? 0);
    lane.check("cursor 10, 0 in flight");
    assert.equal(lane.shipper.beginRead(10), null);
    assert.equal(lane.cursor.count, 0);
  });

  it("does not pass by a message of its own that it has not read", async () => {
    const lane = await laneOf(0);
    lane.append(1);
    lane.source.append(1, "t", "p");
    lane.source.commit();
    lane.shipper.advance(2, lane.source.laneTotals[2] ?? 0);
    lane.check("cursor 0, 0 in flight");
    assert.equal(lane.shipper.beginRead(2), 0);
  });

  it("does not read again and again where the journal has no more", () => {
    const lane = new MemorySource();
    const shipper = new Shipper(2, lane.cursor("c"), 4, 4);
    assert.equal(shipper.beginRead(10), 0);
    shipper.took({ entries: [], throughSeq: 0 }, 10);
    assert.equal(shipper.beginRead(10), null);
    assert.equal(shipper.beginRead(11), 0);
  });

  it("is owed an acknowledgement from the first message in flight, and anew with each one", async () => {
    const lane = await laneOf(3);
    assert.equal(lane.shipper.dueMs(100), null);
    lane.sendAll(1000);
    assert.equal(lane.shipper.dueMs(100), 1100);
    lane.shipper.finished(0, 1050);
    assert.equal(lane.shipper.dueMs(100), 1150);
    lane.shipper.finished(0, 1090);
    assert.equal(lane.shipper.dueMs(100), 1150, "a repeated one is no progress");
    lane.shipper.finished(1, 1060);
    lane.shipper.finished(2, 1060);
    assert.equal(lane.shipper.dueMs(100), null);
  });
});

const LIMITS = { messagesMax: 4, bytesMax: 1000 };

/** A lane with `count` messages in its journal, the first of which were read. */
async function laneOf(
  count: number,
  { windowMax = 16, batch = 100 }: { readonly windowMax?: number; readonly batch?: number } = {},
) {
  const source = new MemorySource();
  const cursor = source.cursor("lane");
  const shipper = new Shipper(2, cursor, windowMax, batch);
  const lane = {
    source,
    cursor,
    shipper,
    append(messages: number): void {
      for (let index = 0; index < messages; index++) source.append(2, "t", "p");
      source.commit();
    },
    async read(): Promise<void> {
      const limits = { messagesMax: batch, bytesMax: 1_000_000 };
      for (;;) {
        const afterSeq = shipper.beginRead(source.durableSeq);
        if (afterSeq === null) return;
        shipper.took(await source.read(afterSeq, limits, 2), source.durableSeq);
      }
    },
    sendAll(nowMs = 0): number[] {
      const sent: number[] = [];
      for (let entry = shipper.peek(); entry !== null; entry = shipper.peek()) {
        sent.push(entry.seq);
        shipper.sent(1, nowMs);
      }
      return sent;
    },
    acknowledge(slot: number): void {
      assert.equal(shipper.finished(slot, 0), true);
    },
    check(expected: string): void {
      shipper.settle();
      assert.equal(`cursor ${cursor.seq}, ${shipper.window.inflight} in flight`, expected);
    },
  };
  lane.append(count);
  await lane.read();
  return lane;
}
