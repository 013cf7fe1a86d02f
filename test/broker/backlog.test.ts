import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Backlog } from "../../src/broker/backlog.ts";
import type { Queued, SessionQueue } from "../../src/broker/ports.ts";
import { PublishFrame, publishFrameOf } from "../../src/mqtt/publish-frame.ts";

const COUNT = 20;
const MESSAGE = {
  ...{ topic: "t", payload: Buffer.from("x"), retain: false, properties: null },
  qos: 1,
} as const;

describe("a queue as its reader sees it", () => {
  it("holds no more bytes ready than may be, and reads the others when their turn comes", async () => {
    const queue = queueOf(COUNT, 100_000);
    const backlog = filled(queue);
    const ready = taken(backlog);
    assert.ok(ready.length >= 2 && ready.length <= 3, `${ready.length} were held ready`);
    assert.equal(backlog.isBehind, true);
    const all = [...ready];
    while (all.length < COUNT) {
      await backlog.read();
      all.push(...taken(backlog));
    }
    assert.deepEqual(all, numbers(1, COUNT));
  });

  it("holds nothing ready while its reader is away, and goes on behind what was taken", async () => {
    const backlog = filled(queueOf(COUNT, 10));
    assert.deepEqual([taken(backlog, 3), backlog.next?.index], [[1, 2, 3], 4]);
    backlog.rest();
    assert.equal(backlog.next, undefined);
    const reading = backlog.read();
    backlog.rest(); // what a read brings that began before is not held either
    await reading;
    assert.equal(backlog.next, undefined);
    await backlog.read();
    assert.deepEqual(taken(backlog), numbers(4, COUNT));
    backlog.rest();
    assert.equal(backlog.isBehind, false);
  });

  it("does not keep the chunks in which messages came that stay", () => {
    const backlog = new Backlog(queueOf(0, 10));
    for (let index = 1; index <= COUNT; index++) {
      const { bytes, start, topicStart, topicEnd, end } = publishFrameOf(MESSAGE);
      const chunk = Buffer.concat([bytes, Buffer.alloc(60_000)]);
      backlog.arrived(index, new PublishFrame(chunk, start, topicStart, topicEnd, end, "t"), true);
    }
    backlog.settle();
    for (let next = backlog.next; next !== undefined; next = backlog.next) {
      const { message } = next.entry;
      assert.ok(message instanceof PublishFrame && message.bytes.buffer.byteLength < 1000);
      backlog.shift();
    }
  });
});

/** The indexes of what is held ready, taken away. */
function taken(backlog: Backlog, most = COUNT): number[] {
  const indexes: number[] = [];
  for (let next = backlog.next; next && indexes.length < most; next = backlog.next) {
    indexes.push(next.index);
    backlog.shift();
  }
  return indexes;
}

function filled(queue: SessionQueue & { tailIndex: number }): Backlog {
  const { tailIndex } = queue;
  queue.tailIndex = 0;
  const backlog = new Backlog(queue);
  queue.tailIndex = tailIndex;
  for (const { index, entry } of entries(tailIndex, queue.bytes)) {
    backlog.arrived(index, publishFrameOf(entry.message), true);
  }
  return backlog;
}

function queueOf(count: number, bytes: number): SessionQueue & { tailIndex: number } {
  return {
    ...{ name: "q", headIndex: 0, tailIndex: count, bytes },
    async read(after, { bytesMax }) {
      const most = Math.max(1, Math.floor(bytesMax / bytes));
      return entries(count, bytes).slice(after, after + most);
    },
    acknowledge() {},
    drop() {},
  };
}

function entries(count: number, bytes: number): Queued[] {
  const payload = Buffer.alloc(bytes);
  const message = { topic: "a", payload, qos: 1, retain: false, properties: null } as const;
  return numbers(1, count).map((index) => ({ index, entry: { seq: index, message } }));
}

function numbers(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}
