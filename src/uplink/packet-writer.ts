import { lengthBytes, PACKET, writeLength } from "../mqtt/publish-frame.ts";

/**
 * Writes PUBLISH and PUBREL packets one after another into large chunks, so that a whole turn's messages leave in one
 * write to the socket. Encoding here instead of handing each message to the client's own `publish` is what makes a
 * backlog drain several times as fast (bench/uplink.ts).
 *
 * A chunk's bytes are written once and never changed afterwards: the socket may still hold them.
 */
export class PacketWriter {
  readonly #write: (bytes: Uint8Array) => void;
  #chunk: Buffer = EMPTY;
  #start = 0;
  #at = 0;

  /** @param write takes bytes that stay as they are */
  constructor(write: (bytes: Uint8Array) => void) {
    this.#write = write;
  }

  publish(packet: PublishPacket): void {
    const { payload } = packet;
    const inPlace = payload.length <= PAYLOAD_COPIED_BYTES_MAX;
    const size = packet.size.bytes - (inPlace ? 0 : payload.length);
    this.#reserve(size);
    const bytes = this.#chunk;
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
    this.#write(payload);
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
    const bytes = this.#chunk.subarray(this.#start, this.#at);
    this.#start = this.#at;
    this.#write(bytes);
  }

  #acknowledge(header: number, packetId: number, reasonCode: number): void {
    const length = reasonCode === 0 ? 2 : 3;
    this.#reserve(2 + length);
    this.#chunk[this.#at] = header;
    this.#chunk[this.#at + 1] = length;
    this.#chunk.writeUInt16BE(packetId, this.#at + 2);
    if (reasonCode !== 0) this.#chunk[this.#at + 4] = reasonCode;
    this.#at += 2 + length;
  }

  #reserve(size: number): void {
    if (this.#at + size <= this.#chunk.length) return;
    this.flush();
    this.#chunk = Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, size));
    this.#start = 0;
    this.#at = 0;
  }
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
const EMPTY = Buffer.alloc(0);
