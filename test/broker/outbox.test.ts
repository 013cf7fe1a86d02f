import assert from "node:assert/strict";
import { describe, it } from "node:test";
import packet from "mqtt-packet";
import { Outbox, Turn } from "../../src/broker/outbox.ts";
import type { Channel } from "../../src/broker/ports.ts";
import type { QoS } from "../../src/mqtt/message.ts";
import { PACKET, PublishFrame, publishTopicEnd } from "../../src/mqtt/publish-frame.ts";
import { PINGRESP } from "../../src/mqtt/server-packet.ts";
import { seededRandom } from "../support/random.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const ROUNDS = 300;

describe(`what leaves a connection in one turn, SEED=${SEED}`, () => {
  const random = seededRandom(SEED);
  const below = (n: number) => Math.floor(random() * n);

  it("is what was said, packet for packet, in whatever bursts the messages came and however long they are", () => {
    for (let round = 0; round < ROUNDS; round++) {
      const { outbox, turn, written } = outboxOf(below(3) === 0 ? 1 : 0);
      const chunks = Array.from({ length: 1 + below(3) }, () => chunkOf(1 + below(40), below));
      const expected: Buffer[] = [];
      for (let step = 0; step < 60; step++) {
        const chunk = chunks[below(chunks.length)] as PublishFrame[];
        expected.push(...somethingSaid(outbox, chunk, below));
        if (below(15) === 0) turn.flush();
      }
      turn.flush();
      assert.ok(
        Buffer.concat(written).equals(Buffer.concat(expected)),
        `SEED=${SEED}, round ${round}`,
      );
      assert.equal(outbox.bytes, 0);
    }
  });

  it("is written over a copy: what came is for others, too", () => {
    const { outbox, turn } = outboxOf(0);
    const frames = chunkOf(20, below);
    const before = Buffer.from((frames[0] as PublishFrame).bytes);
    for (const frame of frames) said(outbox, frame, below);
    turn.flush();
    assert.ok((frames[0] as PublishFrame).bytes.equals(before), `SEED=${SEED}`);
  });
});

/** An acknowledgement, a packet as it is, or a burst of messages of a chunk; tells what must leave. */
function somethingSaid(
  outbox: Outbox,
  chunk: readonly PublishFrame[],
  below: (n: number) => number,
): Buffer[] {
  const what = below(10);
  if (what === 0) {
    const messageId = 1 + below(65_535);
    outbox.acknowledge(PACKET.puback << 4, messageId);
    return [packet.generate({ cmd: "puback", messageId })];
  }
  if (what === 1) {
    outbox.raw(PINGRESP);
    return [PINGRESP];
  }
  const from = below(chunk.length);
  const burst = chunk.slice(from, from + 1 + below(12)).filter(() => below(20) > 0);
  return burst.map((frame) => said(outbox, frame, below));
}

/** Sends it at a QoS that is at most its own, and tells what must leave. */
function said(outbox: Outbox, frame: PublishFrame, below: (n: number) => number): Buffer {
  const qos = below(frame.qos + 1) as QoS;
  const [retain, dup] = [below(4) === 0, qos > 0 && below(4) === 0];
  const messageId = qos === 0 ? 0 : 1 + below(65_535);
  outbox.publish(frame, qos, retain, dup, messageId);
  const { topic, payload } = frame;
  return packet.generate({ cmd: "publish", topic, payload, qos, retain, dup, messageId });
}

/** Messages as they come in one piece. Payloads are short, and now and then longer than a slab. */
function chunkOf(count: number, below: (n: number) => number): PublishFrame[] {
  const packets = Array.from({ length: count }, (_, i) => {
    const bytes = below(20) === 0 ? below(100_000) : below(200);
    const payload = Buffer.alloc(bytes, below(256));
    const [qos, retain] = [below(3) as QoS, below(5) === 0];
    const topic = `t/${"x".repeat(below(30))}`;
    return packet.generate({
      cmd: "publish",
      topic,
      payload,
      qos,
      retain,
      dup: false,
      messageId: i + 1,
    });
  });
  const chunk = Buffer.concat(packets);
  let start = 0;
  return packets.map(({ length }) => {
    const from = start;
    start += length;
    let bodyStart = from + 1;
    while ((chunk[bodyStart++] as number) >= 0x80);
    const topicEnd = publishTopicEnd(chunk, from, bodyStart, start);
    return new PublishFrame(chunk, from, bodyStart + 2, topicEnd as number, start, null);
  });
}

/** An outbox whose turn ends when the test says so, and what it has written; `pendingBytes`: its client is slow. */
function outboxOf(pendingBytes: number) {
  const written: Buffer[] = [];
  const turn = new Turn(() => {});
  const write = (parts: readonly Buffer[], done: () => void) => {
    written.push(...parts.map((part) => Buffer.from(part)));
    done();
  };
  const channel = { pendingBytes, write } as unknown as Channel;
  return { outbox: new Outbox(channel, turn), turn, written };
}
