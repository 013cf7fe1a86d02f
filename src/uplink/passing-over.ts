import type { QoS } from "../mqtt/message.ts";
import { PACKET, publishTopicEnd } from "../mqtt/publish-frame.ts";

/** What a PUBLISH says before its payload, under MQTT 3.1.1. */
export interface PublishHead {
  readonly topic: string;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly duplicate: boolean;
  /** 0 with QoS 0. */
  readonly packetId: number;
}

/**
 * A PUBLISH that is longer than what is taken, as it comes: its head is kept, at most 64 KiB, and the rest is counted and thrown
 * away.
 */
export class PassingOver {
  readonly #bodyStart: number;
  readonly #bytes: number;
  #head = NOTHING;
  #seen = 0;

  /** @param frame where its body begins and where it ends, counted from its header */
  constructor(frame: { readonly bodyStart: number; readonly end: number }) {
    this.#bodyStart = frame.bodyStart;
    this.#bytes = frame.end;
  }

  /** Whether a packet with this first byte can be passed over. */
  static can(header: number): boolean {
    return header >> 4 === PACKET.publish;
  }

  /** Takes what has come; returns what lies behind the packet, or null while it goes on. */
  take(chunk: Buffer): Buffer | null {
    const own = chunk.subarray(0, this.#bytes - this.#seen);
    this.#seen += own.length;
    const wanted = HEAD_BYTES_MAX - this.#head.length;
    if (wanted > 0) this.#head = Buffer.concat([this.#head, own.subarray(0, wanted)]);
    return this.#seen < this.#bytes ? null : chunk.subarray(own.length);
  }

  /** Once all of it has come: its head, or null when it is malformed. */
  read(): PublishHead | null {
    const head = this.#head;
    const topicEnd = publishTopicEnd(head, 0, this.#bodyStart, this.#bytes);
    if (typeof topicEnd === "string") return null;
    const header = head[0] as number;
    const qos = ((header >> 1) & 3) as QoS;
    return {
      topic: head.toString("utf8", this.#bodyStart + 2, topicEnd),
      qos,
      retain: (header & 1) === 1,
      duplicate: (header & 8) !== 0,
      packetId: qos === 0 ? 0 : head.readUInt16BE(topicEnd),
    };
  }
}

const NOTHING = Buffer.alloc(0);
/** Header, length, topic and packet identifier. */
const HEAD_BYTES_MAX = 1 + 4 + 2 + 65_535 + 2;
