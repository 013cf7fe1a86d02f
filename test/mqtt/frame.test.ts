import assert from "node:assert/strict";
import { describe, it } from "node:test";
import packet from "mqtt-packet";
import { FRAME, FrameReader, MALFORMED, MORE, TOO_LONG } from "../../src/mqtt/frame.ts";
import { PublishFrame, publishFrameOf, publishTopicEnd } from "../../src/mqtt/publish-frame.ts";
import { seededRandom } from "../support/random.ts";

describe("frame reader", () => {
  it("finds the same frames however the bytes are sliced", () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = seededRandom(seed);
      const frames = Array.from({ length: 20 }, () => {
        const size = Math.floor(random() ** 3 * 20_000);
        return publishFrameOf(message("a/b", Buffer.alloc(size, Math.floor(random() * 256)))).bytes;
      });
      const stream = Buffer.concat(frames);
      const reader = new FrameReader(1 << 20);
      const found: Buffer[] = [];
      for (let at = 0; at < stream.length; ) {
        const count = 1 + Math.floor(random() ** 4 * 30_000);
        reader.push(Buffer.from(stream.subarray(at, at + count)));
        at += count;
        while (reader.next() === FRAME) {
          found.push(Buffer.from(reader.bytes.subarray(reader.start, reader.end)));
        }
      }
      assert.equal(found.length, frames.length, `seed ${seed}`);
      assert.ok(Buffer.concat(found).equals(stream), `seed ${seed}`);
    }
  });

  it("refuses a frame that is too long from its header, whatever follows", () => {
    const reader = new FrameReader(1000);
    reader.push(Buffer.from([0x30, 0xff, 0xff, 0xff]));
    assert.equal(reader.next(), MORE);
    reader.push(Buffer.from([0x7f]));
    assert.equal(reader.next(), TOO_LONG);
    assert.ok(reader.gatheredBytes < 100);
  });

  it("refuses a length of five bytes [MQTT-2.2.3]", () => {
    const reader = new FrameReader(1000);
    reader.push(Buffer.from([0x30, 0x80, 0x80, 0x80, 0x80, 0x01]));
    assert.equal(reader.next(), MALFORMED);
  });

  it("takes memory for what has come, not for what was announced", () => {
    const reader = new FrameReader(268_435_460);
    reader.push(Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f, 1, 2, 3]));
    const before = process.memoryUsage().arrayBuffers;
    assert.equal(reader.next(), MORE);
    assert.ok(process.memoryUsage().arrayBuffers - before < 100_000);
    assert.equal(reader.gatheredBytes, 8);
  });
});

describe("publish frame", () => {
  it("reads what mqtt-packet writes, and writes what mqtt-packet reads", () => {
    for (const qos of [0, 1, 2] as const) {
      for (const topic of ["a", "plant/ü/temperature", "x".repeat(300)]) {
        const payload = Buffer.from("21.4");
        const theirs = packet.generate({
          cmd: "publish",
          topic,
          payload,
          qos,
          retain: true,
          dup: qos > 0,
          messageId: 7,
        });
        const frame = parse(theirs);
        assert.ok(frame instanceof PublishFrame);
        assert.equal(frame.topic, topic);
        assert.equal(frame.payload.toString(), "21.4");
        assert.deepEqual([frame.qos, frame.retain, frame.duplicate], [qos, true, qos > 0]);
        assert.equal(frame.packetId, qos === 0 ? 0 : 7);
        const ours = publishFrameOf({ ...message(topic, payload), qos });
        const expected = { cmd: "publish", topic, payload, qos, messageId: 0 } as const;
        assert.ok(ours.bytes.equals(generate(expected)));
      }
    }
  });

  it("says why a PUBLISH is malformed", () => {
    const cases: [number[], string][] = [
      [[0x36, 5, 0, 1, 97, 0, 1], "QoS 3"],
      [[0x38, 3, 0, 1, 97], "DUP with QoS 0"],
      [[0x30, 1, 0], "PUBLISH without topic"],
      [[0x30, 3, 0, 9, 97], "PUBLISH shorter than its topic"],
      [[0x32, 4, 0, 1, 97, 0], "PUBLISH shorter than its topic"],
      [[0x32, 5, 0, 1, 97, 0, 0], "packet identifier 0"],
    ];
    for (const [bytes, why] of cases) assert.equal(parse(Buffer.from(bytes)), why);
  });
});

function parse(bytes: Buffer): PublishFrame | string {
  const reader = new FrameReader(1 << 20);
  reader.push(bytes);
  assert.equal(reader.next(), FRAME);
  const { start, bodyStart, end } = reader;
  const topicEnd = publishTopicEnd(bytes, start, bodyStart, end);
  if (typeof topicEnd === "string") return topicEnd;
  return new PublishFrame(bytes, start, bodyStart + 2, topicEnd, end, null);
}

/** mqtt-packet refuses to write identifier 0, which stands where the sender's will be put. */
function generate(publish: {
  readonly cmd: "publish";
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
}): Buffer {
  const bytes = packet.generate({ ...publish, messageId: 1, retain: false, dup: false });
  const at = bytes.length - publish.payload.length - 1;
  if (publish.qos > 0) bytes[at] = 0;
  return bytes;
}

function message(topic: string, payload: Buffer) {
  return { topic, payload, qos: 0 as const, retain: false, properties: null };
}
