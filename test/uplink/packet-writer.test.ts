import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type IPublishPacket, type Packet, parser } from "mqtt-packet";
import type { EntryTime } from "../../src/base/timepiece.ts";
import { IdentityProperties } from "../../src/uplink/identity-properties.ts";
import { PacketIds } from "../../src/uplink/packet-ids.ts";
import { PacketWriter, publishSize } from "../../src/uplink/packet-writer.ts";
import { userProperty } from "../../src/uplink/properties.ts";
import { seededRandom } from "../support/random.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));

describe("the packets we write", () => {
  it("are what a parser of the standard reads, for MQTT 5", () => {
    check({ topic: "plant/öfen", qos: 1, retain: false, properties: [userProperty("a", "b")] });
    check({ topic: "t", qos: 2, retain: true, properties: [] });
  });

  it("are what a parser of the standard reads, for MQTT 3.1.1", () => {
    check({ topic: "plant/oven", qos: 1, retain: true, properties: null });
    check({ topic: "plant/oven", qos: 2, retain: false, properties: null });
  });

  it("have any length: around each step of the length field, copied or not", () => {
    for (const payloadBytes of [
      0, 1, 110, 130, 4095, 4096, 4097, 16_370, 16_400, 65_536, 2_097_200,
    ]) {
      check({ topic: "t", qos: 1, retain: false, properties: null, payloadBytes });
      check({ topic: "t", qos: 1, retain: false, properties: [], payloadBytes });
    }
  });

  it("leave as one piece when they were written in one turn", () => {
    const pieces: Uint8Array[] = [];
    const writer = new PacketWriter((bytes) => pieces.push(bytes));
    for (let packetId = 1; packetId <= 100; packetId++) publish(writer, { packetId });
    writer.pubrel(7);
    assert.equal(pieces.length, 0);
    writer.flush();
    writer.flush();
    assert.equal(pieces.length, 1);
    const packets = parse(pieces, 4);
    assert.equal(packets.length, 101);
    assert.deepEqual([packets[100]?.cmd, packets[100]?.messageId], ["pubrel", 7]);
  });

  it("are written into chunks that are used again, but none that the socket still holds", () => {
    const random = seededRandom(SEED);
    const held: Array<{ readonly bytes: Uint8Array; readonly written: () => void }> = [];
    const left: Buffer[] = [];
    const chunks = new Set<ArrayBufferLike>();
    const writer = new PacketWriter((bytes, written) => {
      held.push({ bytes, written });
      chunks.add(bytes.buffer);
    });
    for (let packetId = 1; packetId <= 60_000; packetId++) {
      publish(writer, { packetId, payloadBytes: Math.floor(random() * 300) });
      if (random() < 0.1) writer.flush();
      while (held.length > random() * 20) {
        const { bytes, written } = held.shift() as (typeof held)[number];
        left.push(Buffer.from(bytes)); // what leaves is what stands there when the socket takes it
        written();
      }
    }
    writer.flush();
    left.push(...held.map(({ bytes }) => Buffer.from(bytes)));
    const ids = parse(left, 4).map((packet) => packet.messageId);
    assert.deepEqual(
      ids,
      Array.from({ length: 60_000 }, (_, index) => index + 1),
      `SEED=${SEED}`,
    );
    assert.ok(chunks.size <= 12, `${chunks.size} chunks, SEED=${SEED}`);
  });

  it("are never changed by later ones", () => {
    const pieces: Uint8Array[] = [];
    const writer = new PacketWriter((bytes) => pieces.push(bytes));
    for (let packetId = 1; packetId <= 5000; packetId++) {
      publish(writer, { packetId });
      if (packetId % 7 === 0) writer.flush();
    }
    writer.flush();
    const ids = parse(pieces, 4).map((packet) => packet.messageId);
    assert.deepEqual(
      ids,
      Array.from({ length: 5000 }, (_, index) => index + 1),
    );
  });
});

describe("the identity of a message", () => {
  it("is the journal, the seq, the time, the gateway and the site", () => {
    const identity = new IdentityProperties(
      "ab".repeat(16),
      { gateway: "gw-a", site: "plant-7" },
      null,
    );
    const read = (seq: number, wallMs: number, time: EntryTime | null = null) => {
      const message = { topic: "t", payload: Buffer.alloc(0), qos: 1, retain: false } as const;
      const entry = { seq, wallMs, time, message: { ...message, properties: null } };
      const pieces: Uint8Array[] = [];
      const writer = new PacketWriter((bytes) => pieces.push(bytes));
      publish(writer, { properties: [identity.of(entry)] });
      writer.flush();
      const [packet] = parse(pieces, 5) as IPublishPacket[];
      return { ...packet?.properties?.userProperties };
    };
    const same = { "fg-journal": "ab".repeat(16), "fg-gateway": "gw-a", "fg-site": "plant-7" };
    const at = (ms: number) => ({ "fg-time": new Date(ms).toISOString() });
    assert.deepEqual(read(1, 1_700_000_000_123), {
      ...same,
      ...at(1_700_000_000_123),
      "fg-seq": "1",
    });
    const most = Number.MAX_SAFE_INTEGER;
    assert.deepEqual(read(most, 0), { ...same, ...at(0), "fg-seq": String(most) });
    assert.deepEqual(read(42, -1), { ...same, ...at(0), "fg-seq": "42" });
    const known = (quality: ReturnType<EntryTime["quality"]>, shiftMs: number): EntryTime => ({
      bootId: "cd".repeat(16),
      quality: () => quality,
      shiftMs: () => shiftMs,
      bootMs: (wallMs) => wallMs - 1000,
      ageMs: () => null,
    });
    const told = (seq: number, ms: number) => ({ ...same, ...at(ms), "fg-seq": String(seq) });
    assert.deepEqual(read(2, 1500, known("synchronised", 0)), told(2, 1500));
    assert.deepEqual(read(3, 1500, known("unset", 0)), {
      ...told(3, 1500),
      "fg-clock": "unset",
      "fg-boot": "cd".repeat(16),
      "fg-boot-ms": "500",
    });
    assert.deepEqual(read(most, 1500, known("free-running", 0)), {
      ...told(most, 1500),
      "fg-clock": "free-running",
    });
    assert.deepEqual(read(4, 1500, known("redated", 2_000_000)), {
      ...told(4, 2_001_500),
      "fg-clock": "redated",
    });
    assert.deepEqual(read(5, 1500), told(5, 1500));
  });
});

describe("packet identifiers", () => {
  it("go round, skip those in use, and are never 0", () => {
    const ids = new PacketIds();
    assert.equal(ids.take(10), 1);
    for (let id = 2; id <= 65_535; id++) assert.equal(ids.take(id), id);
    assert.equal(ids.take(1), null, "all are in use");
    ids.release(3);
    ids.release(3);
    assert.equal(ids.tokenOf(3), null);
    assert.equal(ids.take(99), 3);
    assert.equal(ids.tokenOf(3), 99);
    assert.equal(ids.take(1), null);
    assert.equal(ids.tokenOf(1), 10);
    assert.equal(ids.tokenOf(0), null);
    assert.equal(ids.tokenOf(70_000), null);
  });
});

interface Written {
  readonly topic: string;
  readonly qos: 1 | 2;
  readonly retain: boolean;
  readonly properties: readonly Uint8Array[] | null;
  readonly payloadBytes: number;
  readonly packetId: number;
}

function publish(writer: PacketWriter, changes: Partial<Written>): number {
  const written = {
    topic: "plant/oven",
    qos: 1,
    retain: false,
    properties: null,
    ...changes,
  } as const;
  const { payloadBytes = 10, packetId = 513 } = changes;
  const payload = Buffer.alloc(payloadBytes, "p");
  const size = publishSize(written.topic, written.properties, payload.length);
  writer.publish({ ...written, packetId, payload, size });
  return size.bytes;
}

function parse(pieces: readonly Uint8Array[], protocolVersion: 4 | 5): Packet[] {
  const packets: Packet[] = [];
  const reader = parser({ protocolVersion });
  reader.on("packet", (packet) => packets.push(packet));
  reader.on("error", (error: Error) => assert.fail(error));
  for (const piece of pieces) reader.parse(Buffer.from(piece));
  return packets;
}

/** Writes a PUBLISH and compares what a parser makes of it. */
function check(changes: Partial<Written>): void {
  const pieces: Uint8Array[] = [];
  const writer = new PacketWriter((bytes) => pieces.push(bytes));
  const bytes = publish(writer, changes);
  writer.flush();
  assert.equal(
    pieces.reduce((sum, piece) => sum + piece.length, 0),
    bytes,
  );
  const version = changes.properties === null ? 4 : 5;
  const [packet, ...others] = parse(pieces, version) as IPublishPacket[];
  assert.equal(others.length, 0);
  const given = (changes.properties ?? []).length > 0 ? { a: "b" } : {};
  assert.deepEqual(
    {
      topic: packet?.topic,
      qos: packet?.qos,
      retain: packet?.retain,
      messageId: packet?.messageId,
      payload: packet?.payload.length,
      user: { ...packet?.properties?.userProperties },
    },
    {
      topic: changes.topic,
      qos: changes.qos,
      retain: changes.retain,
      messageId: 513,
      payload: changes.payloadBytes ?? 10,
      user: given,
    },
  );
}
