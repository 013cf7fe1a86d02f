import { TokenBucket } from "../base/token-bucket.ts";
import { topicMatches } from "../mqtt/topic.ts";

/** So much a second; 0: without limit. */
export interface Rate {
  readonly messages: number;
  readonly bytes: number;
}

export interface RateOptions {
  /** Of all clients together, and of each. */
  readonly publishRate: number;
  readonly publishBytesRate: number;
  readonly clientPublishRate: number;
  readonly clientPublishBytesRate: number;
  /** Filters that one connection asks for or gives back; 0: without limit. */
  readonly clientFiltersRate: number;
  /** Of clients that have left so many are remembered. */
  readonly clientRatesLeftMax: number;
  readonly overRate: OverRate;
  /** Of all messages that a filter matches. */
  readonly topicRates: readonly (Rate & { readonly match: string; readonly overRate: OverRate })[];
}

/** What happens to a client that publishes faster: it is read more slowly, or its message is refused. */
export type OverRate = "pause" | "refuse";

/** One limit, shared by all that it is about. */
export class RateLimit {
  readonly refuses: boolean;
  readonly #messages: TokenBucket | null;
  readonly #bytes: TokenBucket | null;

  constructor({ messages, bytes }: Rate, overRate: OverRate) {
    this.refuses = overRate === "refuse";
    this.#messages = messages > 0 ? new TokenBucket(messages) : null;
    this.#bytes = bytes > 0 ? new TokenBucket(bytes) : null;
  }

  /** How long until a message may come, in ms; 0 when it may now. */
  waitMs(nowMs: number): number {
    return Math.max(this.#messages?.waitMs(nowMs) ?? 0, this.#bytes?.waitMs(nowMs) ?? 0);
  }

  /** Whether nothing is left of what was taken. */
  isPaidOff(nowMs: number): boolean {
    return (this.#messages?.isFull(nowMs) ?? true) && (this.#bytes?.isFull(nowMs) ?? true);
  }

  take(bytes: number, nowMs: number): void {
    this.#messages?.take(1, nowMs);
    this.#bytes?.take(bytes, nowMs);
  }
}

/** Which limits a message meets: decided once for a client and once for a topic, not for each message. */
export class Rates {
  readonly #options: RateOptions;
  readonly #broker: readonly RateLimit[];
  /** Of clients that have left before theirs was paid off, those who left first in front. */
  readonly #left = new Map<string, RateLimit>();
  #forgotten = 0;
  readonly #asking = new WeakMap<object, TokenBucket>();
  readonly #byTopic: readonly { readonly match: string; readonly limit: RateLimit }[];

  constructor(options: RateOptions) {
    const { publishRate: messages, publishBytesRate: bytes, overRate, topicRates } = options;
    this.#options = options;
    this.#broker = messages + bytes > 0 ? [new RateLimit({ messages, bytes }, overRate)] : [];
    this.#byTopic = topicRates.map((each) => ({
      match: each.match,
      limit: new RateLimit(each, each.overRate),
    }));
  }

  /** Null when there are none at all. */
  ofTopic(topic: string): readonly RateLimit[] | null {
    const own = this.#byTopic.filter(({ match }) => topicMatches(match, topic));
    const all = [...this.#broker, ...own.map(({ limit }) => limit)];
    return all.length === 0 ? null : all;
  }

  /** A limit of one client's own, from when it connects; null without one. Who comes again has what is left of its own. */
  ofClient(clientId: string): RateLimit | null {
    const left = this.#left.get(clientId);
    this.#left.delete(clientId);
    if (left !== undefined) return left;
    const { clientPublishRate: messages, clientPublishBytesRate: bytes, overRate } = this.#options;
    return messages + bytes === 0 ? null : new RateLimit({ messages, bytes }, overRate);
  }

  /** A client is gone: a new connection must not give it a new burst. */
  left(clientId: string, limit: RateLimit, nowMs: number): void {
    if (!limit.isPaidOff(nowMs)) this.#left.set(clientId, limit);
    for (const [first, other] of this.#left) {
      const isPaidOff = other.isPaidOff(nowMs);
      if (this.#left.size <= this.#options.clientRatesLeftMax && !isPaidOff) break;
      this.#left.delete(first);
      if (!isPaidOff) this.#forgotten++;
    }
  }

  /**
   * A connection asks for so many filters, or gives them back.
   * @returns how long nothing more is to be read of it, in ms
   */
  asked(connection: object, filters: number, nowMs: number): number {
    const { clientFiltersRate } = this.#options;
    if (clientFiltersRate === 0) return 0;
    const bucket = this.#asking.get(connection) ?? new TokenBucket(clientFiltersRate);
    this.#asking.set(connection, bucket);
    bucket.take(filters, nowMs);
    return bucket.waitMs(nowMs);
  }

  /** Of clients that have left and owe: how many are remembered, and how many were forgotten for want of room. */
  get remembered(): { readonly left: number; readonly forgotten: number } {
    return { left: this.#left.size, forgotten: this.#forgotten };
  }
}

/**
 * Takes a message of so many bytes into account. A limit that refuses is asked first, so that what is refused costs nothing
 * elsewhere; one that pauses takes the message and goes into debt.
 * @returns -1 when it is refused; otherwise how long nothing more is to be read, in ms
 */
export function paceOf(
  client: RateLimit | null,
  topic: readonly RateLimit[] | null,
  bytes: number,
  nowMs: number,
): number {
  if (client?.refuses && client.waitMs(nowMs) > 0) return -1;
  if (topic?.some((limit) => limit.refuses && limit.waitMs(nowMs) > 0)) return -1;
  let waitMs = 0;
  if (client !== null) {
    client.take(bytes, nowMs);
    if (!client.refuses) waitMs = client.waitMs(nowMs);
  }
  for (const limit of topic ?? []) {
    limit.take(bytes, nowMs);
    if (!limit.refuses) waitMs = Math.max(waitMs, limit.waitMs(nowMs));
  }
  return waitMs;
}
