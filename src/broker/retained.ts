import type { Rows } from "../base/rows.ts";
import type { Message, QoS } from "../mqtt/message.ts";
import { type PublishFrame, publishFrameOf } from "../mqtt/publish-frame.ts";
import { TopicTree } from "../mqtt/topic-tree.ts";
import type { Rights } from "./access.ts";
import type { Counters } from "./counters.ts";
import type { RetainedSources } from "./retained-sources.ts";

export interface RetainedLimits {
  readonly retainedMax: number;
  readonly retainedPerUserMax: number;
  /** Of topics and payloads. */
  readonly retainedBytesMax: number;
}

/**
 * Retained messages: in memory by topic, and as rows that commit together with the message itself.
 * A row's key is the topic; its value one byte of QoS and the payload.
 */
export class Retained {
  readonly #rows: Rows;
  readonly #sources: RetainedSources;
  readonly #max: number;
  readonly #perUserMax: number;
  readonly #bytesMax: number;
  #bytes = 0;
  readonly #counters: Counters;
  readonly #tree = new TopicTree<PublishFrame>();
  /** When the last one of each topic was taken, by the gateway that took it: also of those that took one away. */
  readonly #stamps = new Map<string, number>();

  constructor(rows: Rows, sources: RetainedSources, limits: RetainedLimits, counters: Counters) {
    this.#rows = rows;
    this.#sources = sources;
    this.#max = limits.retainedMax;
    this.#perUserMax = limits.retainedPerUserMax;
    this.#bytesMax = limits.retainedBytesMax;
    this.#counters = counters;
  }

  get size(): number {
    return this.#tree.size;
  }

  async load(): Promise<void> {
    await this.#sources.load();
    for await (const [topic, value] of this.#rows.entries({})) {
      const message = { topic, payload: value.subarray(1), retain: true, properties: null };
      this.#put(publishFrameOf({ ...message, qos: value[0] as number as QoS }));
    }
  }

  /** A time for a message taken now that is later than that of the one before it, whatever clock gave that one its time. */
  nextMs(topic: string, nowMs: number): number {
    return Math.max(nowMs, (this.#stamps.get(topic) ?? 0) + 1);
  }

  /**
   * Keeps a message as the last of its topic; an empty payload takes the last one away [MQTT-3.3.1-10].
   * One that was taken before the last one, as it may come from another gateway, is left alone; of two of the same time all gateways
   * keep the same one. `rights`: of the client that publishes, null for one within; it must still have them when the message is
   * given out. Its row joins the commit that gathers now. `failed` is told when the row could not be written.
   */
  keep(
    message: Message,
    { wallMs, rights }: { readonly wallMs: number; readonly rights: Rights | null },
    failed: (error: unknown) => void,
  ): void {
    const { topic, payload, qos } = message;
    if (this.#isOutdated(message, wallMs)) return;
    if (payload.length === 0) {
      this.#sources.note(topic, true, rights);
      if (this.#takeAway(topic)) this.#rows.del(topic).catch(failed);
      return;
    }
    if (!this.#hasRoomFor(topic, payload) || this.#hasAll(topic, rights)) {
      this.#sources.note(topic, true, rights);
      this.#counters.dropped("retained-full");
      // What it would have replaced is not the last one any more.
      if (this.#takeAway(topic)) this.#rows.del(topic).catch(failed);
      return;
    }
    this.#sources.note(topic, false, rights);
    this.#put(publishFrameOf({ topic, payload, qos, retain: true, properties: null }));
    const value = Buffer.allocUnsafe(1 + payload.length);
    value[0] = qos;
    value.set(payload, 1);
    this.#rows.put(topic, value).catch(failed);
  }

  #hasRoomFor(topic: string, payload: Uint8Array): boolean {
    const last = this.#tree.get(topic);
    if (last === undefined && this.#tree.size >= this.#max) return false;
    const more = bytesOf(topic, payload) - (last === undefined ? 0 : bytesOf(topic, last.payload));
    return this.#bytes + more <= this.#bytesMax;
  }

  /** Whether that one has as many as it may, and none there that this one replaces. */
  #hasAll(topic: string, rights: Rights | null): boolean {
    return this.#sources.countOf(rights) >= this.#perUserMax && !this.#sources.isOf(topic, rights);
  }

  #put(frame: PublishFrame): void {
    this.#takeAway(frame.topic);
    this.#tree.set(frame.topic, frame.kept());
    this.#bytes += bytesOf(frame.topic, frame.payload);
  }

  /** Tells whether there was one. */
  #takeAway(topic: string): boolean {
    const last = this.#tree.get(topic);
    if (last !== undefined) this.#bytes -= bytesOf(topic, last.payload);
    return this.#tree.delete(topic);
  }

  #isOutdated({ topic, payload }: Message, wallMs: number): boolean {
    const lastMs = this.#stamps.get(topic);
    if (lastMs !== undefined && wallMs < lastMs) return true;
    const last = this.#tree.get(topic)?.payload ?? NOTHING;
    if (wallMs === lastMs && Buffer.compare(payload, last) < 0) return true;
    // Without a time the next one to come is the last one, which is so on a gateway that stands alone.
    if (this.#stamps.size >= 2 * this.#max) this.#stamps.clear();
    this.#stamps.set(topic, wallMs);
    return false;
  }

  match(filter: string, found: (frame: PublishFrame) => void): void {
    for (const frame of this.matching(filter)) if (frame !== undefined) found(frame);
  }

  /** The same step by step; see TopicTree. */
  *matching(filter: string): Generator<PublishFrame | undefined, void> {
    for (const frame of this.#tree.matching(filter)) {
      yield frame !== undefined && this.#sources.mayStand(frame.topic) ? frame : undefined;
    }
  }
}

function bytesOf(topic: string, payload: Uint8Array): number {
  return Buffer.byteLength(topic) + payload.length;
}

const NOTHING = Buffer.alloc(0);
