import { lengthBytes, PACKET, writeLength } from "../mqtt/publish-frame.ts";

/**
 * Writes PUBLISH and PUBREL packets one after another into large chunks, so that a whole turn's messages leave in one
 * write to the socket. Encoding here instead of handing each message to the client's own `publish` is what makes a
 * backlog drain several times as fast (bench/uplink.ts).
 *
 * A chunk's bytes stay as they are until the socket has taken all of them; then the chunk is used again. Fresh ones would
 * grow old while they wait for the garbage collector, 64 KiB each.
 */
export class PacketWriter {
  readonly #write: Write;
  #chunk = NO_CHUNK;
  #start = 0;
  #at = 0;
  readonly #free: Chunk[] = [];

  /** @param write takes bytes, and says when they may change */
  constructor(write: Write) {
    this.#write = write;
  }

  publish(packet: PublishPacket): void {
    const { payload } = packet;
    const inPlace = payload.length <= PAYLOAD_COPIED_BYTES_MAX;
    const size = packet.size.bytes - (inPlace ? 0 : payload.length);
    this.#reserve(size);
    const { bytes } = this.#chunk;
    bytes[this.#at] = (PACKET.publish << 4) | (packet.qos << 1) | (packet.retain ? 1 : 0);
    let at = writeLength(bytes, this.#at + 1, packet.size.remaining);
    at = bytes.writeUInt16BE(packet.size.topicBytes, at);
    at += bytes.write(packet.topic, at);
    at = bytes.writeUInt16BE(packet.packetId, at);
    if (packet.properties !== null) {
      at = writeLength(bytes, at, packet.size.propertiesBytes);
      for (const property of packet.properties) {
        bytes.set(property, at);
        at += property.length;
      }
    }
    if (inPlace) bytes.set(payload, at);
    this.#at += size;
    if (inPlace) return;
    this.flush();
    this.#write(payload, NOTHING_TO_DO);
  }

  pubrel(packetId: number): void {
    this.#acknowledge((PACKET.pubrel << 4) | 0b0010, packetId, 0);
  }

  /** PUBACK, PUBREC or PUBCOMP. A reason code other than 0 only under MQTT 5. */
  acknowledge(type: "puback" | "pubrec" | "pubcomp", packetId: number, reasonCode: number): void {
    this.#acknowledge(PACKET[type] << 4, packetId, reasonCode);
  }

  /** Hands on what has gathered. */
  flush(): void {
    if (this.#at === this.#start) return;
    const piece = this.#chunk.bytes.subarray(this.#start, this.#at);
    this.#start = this.#at;
    this.#chunk.unwritten++;
    this.#write(piece, this.#chunk.written);
  }

  #acknowledge(header: number, packetId: number, reasonCode: number): void {
    const length = reasonCode === 0 ? 2 : 3;
    this.#reserve(2 + length);
    const { bytes } = this.#chunk;
    bytes[this.#at] = header;
    bytes[this.#at + 1] = length;
    bytes.writeUInt16BE(packetId, this.#at + 2);
    if (reasonCode !== 0) bytes[this.#at + 4] = reasonCode;
    this.#at += 2 + length;
  }

  #reserve(size: number): void {
    if (this.#at + size <= this.#chunk.bytes.length) return;
    this.flush();
    this.#giveBack(this.#chunk);
    this.#chunk =
      size > CHUNK_BYTES ? this.#chunkOf(size) : (this.#free.pop() ?? this.#chunkOf(CHUNK_BYTES));
    this.#start = 0;
    this.#at = 0;
  }

  #chunkOf(size: number): Chunk {
    const chunk: Chunk = {
      bytes: Buffer.allocUnsafeSlow(size),
      unwritten: 0,
      written: () => {
        chunk.unwritten--;
        if (chunk !== this.#chunk) this.#giveBack(chunk);
      },
    };
    return chunk;
  }

  /** Of a chunk that is full: it can be used again once the socket has taken its last piece. */
  #giveBack(chunk: Chunk): void {
    if (chunk.unwritten > 0 || chunk.bytes.length !== CHUNK_BYTES) return;
    if (this.#free.length < FREE_CHUNKS_MAX) this.#free.push(chunk);
  }
}

/** Takes bytes; calls back when they have left and may change. */
export type Write = (bytes: Uint8Array, written: () => void) => void;

interface Chunk {
  readonly bytes: Buffer;
  /** Pieces of it that the socket holds. */
  unwritten: number;
  readonly written: () => void;
}

export interface PublishPacket {
  readonly topic: string;
  readonly packetId: number;
  readonly qos: 1 | 2;
  readonly retain: boolean;
  /** Null under MQTT 3.1.1, which has none. */
  readonly properties: readonly Uint8Array[] | null;
  readonly payload: Uint8Array;
  readonly size: PublishSize;
}

export interface PublishSize {
  readonly topicBytes: number;
  readonly propertiesBytes: number;
  readonly remaining: number;
  /** The whole packet. */
  readonly bytes: number;
}

/** The lengths of a PUBLISH with a QoS of 1 or 2 (section 3.3). */
export function publishSize(
  topic: string,
  properties: readonly Uint8Array[] | null,
  payloadBytes: number,
): PublishSize {
  const topicBytes = Buffer.byteLength(topic);
  let propertiesBytes = 0;
  for (const property of properties ?? []) propertiesBytes += property.length;
  const propertiesField = properties === null ? 0 : lengthBytes(propertiesBytes) + propertiesBytes;
  const remaining = 2 + topicBytes + 2 + propertiesField + payloadBytes;
  return { topicBytes, propertiesBytes, remaining, bytes: 1 + lengthBytes(remaining) + remaining };
}

/** The longest packet that MQTT knows: its remaining length has four bytes (section 2.2.3). */
export const REMAINING_BYTES_MAX = 268_435_455;

const CHUNK_BYTES = 64 * 1024;
/** Longer payloads go to the socket as they are. */
const PAYLOAD_COPIED_BYTES_MAX = 4096;
/** What is kept for the next turns. */
const FREE_CHUNKS_MAX = 4;
const NOTHING_TO_DO = () => {};
const NO_CHUNK: Chunk = { bytes: Buffer.alloc(0), unwritten: 0, written: NOTHING_TO_DO };
