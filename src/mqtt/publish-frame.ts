import { ownCopy } from "../base/own-copy.ts";
import type { Message, QoS } from "./message.ts";

/** Types of MQTT 3.1.1 control packets, as the upper half of the first byte (table 2.1). */
export const PACKET = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
} as const;

/**
 * A message as it stands in a PUBLISH packet of MQTT 3.1.1 (section 3.3): the bytes that came or will leave, and where
 * in them things are. Made once for a message, however many receive it; all that can be is read off the bytes when asked for.
 */
export class PublishFrame implements Message {
  readonly bytes: Buffer;
  readonly start: number;
  readonly topicStart: number;
  readonly topicEnd: number;
  readonly end: number;
  readonly qos: QoS;
  #topic: string | null;
  #kept: PublishFrame | null = null;

  constructor(
    bytes: Buffer,
    start: number,
    topicStart: number,
    topicEnd: number,
    end: number,
    topic: string | null,
  ) {
    this.bytes = bytes;
    this.start = start;
    this.qos = (((bytes[start] as number) >> 1) & 3) as QoS;
    this.topicStart = topicStart;
    this.topicEnd = topicEnd;
    this.end = end;
    this.#topic = topic;
  }

  get topic(): string {
    this.#topic ??= this.bytes.toString("utf8", this.topicStart, this.topicEnd);
    return this.#topic;
  }

  get retain(): boolean {
    return ((this.bytes[this.start] as number) & 1) === 1;
  }

  get properties(): null {
    return null;
  }

  get payloadStart(): number {
    return this.qos === 0 ? this.topicEnd : this.topicEnd + 2;
  }

  /** A view of them: made for each who asks, so the hot path takes `bytes` from `payloadStart` to `end`. */
  get payload(): Buffer {
    return this.bytes.subarray(this.payloadStart, this.end);
  }

  /**
   * The same, for one who keeps it long: in memory of its own, if it lies in a chunk, Buffer's pool perhaps, of which it is a small part
   * and which would stay as long. However many keep it, it is one.
   */
  kept(): PublishFrame {
    const { bytes, start, topicStart, topicEnd, end } = this;
    if (bytes.buffer.byteLength <= 2 * (end - start)) return this;
    if (this.#kept === null) {
      const own = ownCopy(bytes.subarray(start, end));
      const [topicFrom, topicTo] = [topicStart - start, topicEnd - start];
      this.#kept = new PublishFrame(own, 0, topicFrom, topicTo, own.length, this.#topic);
    }
    return this.#kept;
  }

  /** 0 when the quality of service is 0. */
  get packetId(): number {
    return this.qos === 0 ? 0 : this.bytes.readUInt16BE(this.topicEnd);
  }

  get duplicate(): boolean {
    return ((this.bytes[this.start] as number) & 8) !== 0;
  }
}

/**
 * Where the topic of a PUBLISH ends, or why the packet is malformed: a QoS of 3 [MQTT-3.3.1-4], DUP with QoS 0
 * [MQTT-3.3.1-2], a topic or packet identifier beyond the end, a packet identifier of 0 [MQTT-2.3.1-1].
 * The topic's characters are not looked at.
 */
export function publishTopicEnd(
  bytes: Buffer,
  start: number,
  bodyStart: number,
  end: number,
): number | string {
  const header = bytes[start] as number;
  const qos = (header >> 1) & 3;
  if (qos === 3) return "QoS 3";
  if (qos === 0 && (header & 8) !== 0) return "DUP with QoS 0";
  if (bodyStart + 2 > end) return "PUBLISH without topic";
  const topicEnd =
    bodyStart + 2 + (((bytes[bodyStart] as number) << 8) | (bytes[bodyStart + 1] as number));
  if (topicEnd + (qos === 0 ? 0 : 2) > end) return "PUBLISH shorter than its topic";
  if (qos !== 0 && bytes[topicEnd] === 0 && bytes[topicEnd + 1] === 0) return "packet identifier 0";
  return topicEnd;
}

/** Bytes of a message's payload, without a view of them being made. */
export function payloadBytesOf(message: Message): number {
  if (message instanceof PublishFrame) return message.end - message.payloadStart;
  return message.payload.length;
}

/** A message that did not come as a PUBLISH, as one: with packet identifier 0 where there is one. */
export function publishFrameOf(message: Message): PublishFrame {
  if (message instanceof PublishFrame) return message;
  const topicBytes = Buffer.byteLength(message.topic);
  const length = 2 + topicBytes + (message.qos === 0 ? 0 : 2) + message.payload.length;
  const bytes = Buffer.allocUnsafe(1 + lengthBytes(length) + length);
  bytes[0] = (PACKET.publish << 4) | (message.qos << 1) | (message.retain ? 1 : 0);
  let at = writeLength(bytes, 1, length);
  at = bytes.writeUInt16BE(topicBytes, at);
  const topicStart = at;
  at += bytes.write(message.topic, at);
  const topicEnd = at;
  if (message.qos !== 0) at = bytes.writeUInt16BE(0, at);
  bytes.set(message.payload, at);
  return new PublishFrame(bytes, 0, topicStart, topicEnd, bytes.length, message.topic);
}

/** Bytes that a remaining length takes on the wire (section 2.2.3). */
export function lengthBytes(length: number): number {
  if (length < 128) return 1;
  if (length < 16_384) return 2;
  return length < 2_097_152 ? 3 : 4;
}

/** Writes a remaining length at `at` and returns where it ends. */
export function writeLength(bytes: Buffer, at: number, length: number): number {
  let left = length;
  let to = at;
  while (left >= 128) {
    bytes[to++] = (left & 127) | 128;
    left >>>= 7;
  }
  bytes[to++] = left;
  return to;
}
