import type { Clock } from "../base/clock.ts";
import { errorFields, FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { lowerQoS, type QoS } from "../mqtt/message.ts";
import type { PublishFrame } from "../mqtt/publish-frame.ts";
import type { Rights } from "./access.ts";
import type { Counters } from "./counters.ts";
import type { BrokerJournal, SessionQueue } from "./ports.ts";
import type { Retained } from "./retained.ts";
import type { Route, SharedQueue } from "./router.ts";
import type { Session } from "./session.ts";
import { type Released, Uncommitted } from "./uncommitted.ts";

/**
 * Takes messages in: into the journal when they must be kept, then, once they are, on to everyone who gets them.
 *
 *   admit ── QoS 1, 2, retained, or an uplink lane ──▶ journal ── committed ──▶ sessions, acknowledgement
 *         └─ QoS 0 otherwise ──▶ sessions, behind what the same publisher still has on its way to the disk
 */
export class Intake {
  readonly #journal: BrokerJournal;
  readonly #retained: Retained;
  readonly #counters: Counters;
  readonly #clock: Clock;
  readonly #log: Log;
  /** Messages of QoS 0 among them, which the journal knows nothing of, and what they cost in memory. */
  #behindBytes = 0;
  readonly #uncommitted: Uncommitted;
  #unfollow: () => void = () => {};

  constructor(
    journal: BrokerJournal,
    retained: Retained,
    counters: Counters,
    tools: { readonly clock: Clock; readonly log: Log },
  ) {
    this.#journal = journal;
    this.#retained = retained;
    this.#counters = counters;
    this.#clock = tools.clock;
    this.#log = tools.log;
    this.#uncommitted = new Uncommitted(this.#released);
  }

  open(): void {
    this.#unfollow = this.#journal.onCommit((durableSeq) => this.#uncommitted.release(durableSeq));
  }

  close(): void {
    this.#unfollow();
  }

  /** What is not durable, and what waits behind that. */
  get pendingBytes(): number {
    return this.#journal.pendingBytes + this.#behindBytes;
  }

  /**
   * Takes a message whose topic is in order. Whoever publishes is told by `accepted` once it is kept: at once for
   * QoS 0, never when it is refused.
   * @returns the reason of a refusal, or null
   */
  admit(
    frame: PublishFrame,
    route: Route<Session>,
    publisher: Publisher,
    token: number,
  ): string | null {
    if (frame.qos === 0 && route.lane === 0 && !frame.retain) {
      this.#counters.accepted++;
      this.#pass(frame, route, publisher);
      route.beyond?.(frame);
      return null;
    }
    const nowMs = this.#clock.wallMs();
    const wallMs = frame.retain ? this.#retained.nextMs(frame.topic, nowMs) : nowMs;
    const refusal = this.#keep(frame, route, publisher, token, wallMs);
    if (refusal === null) this.#counters.accepted++;
    return refusal;
  }

  /**
   * Takes a message that another gateway of the site has kept: it is kept here only for those who wait for it here.
   * @param wallMs when that gateway took it
   * @returns the reason of a refusal, or null
   */
  admitFromPeer(
    frame: PublishFrame,
    route: Route<Session>,
    publisher: Publisher,
    wallMs: number,
  ): string | null {
    const waits = frame.qos > 0 && (route.queued.length > 0 || route.shared.length > 0);
    if (waits || frame.retain) return this.#keep(frame, route, publisher, -1, wallMs);
    this.#pass(frame, route, publisher);
    return null;
  }

  /** Delivers a message of the broker's own, of QoS 0: it is not counted and not kept. */
  tell(frame: PublishFrame, route: Route<Session>): void {
    deliver(frame, route, null, "");
  }

  /** To those who are here now, behind what the same publisher still has on its way to the disk. */
  #pass(frame: PublishFrame, route: Route<Session>, publisher: Publisher): void {
    publisher.published++;
    const { lastSeq: seq } = publisher;
    if (seq > this.#journal.durableSeq) {
      this.#uncommitted.push(seq, frame, route, publisher, -1, null, NO_SHARES);
      this.#waitsBehind(publisher, behindCost(frame));
    } else {
      deliver(frame, route, null, publisher.clientId);
    }
  }

  #keep(
    frame: PublishFrame,
    route: Route<Session>,
    publisher: Publisher,
    token: number,
    wallMs: number,
  ): string | null {
    const targets = frame.qos === 0 ? NO_TARGETS : route.queued;
    const queues = targets.length === 0 ? NO_QUEUES : queuesWithRoom(route);
    const shares = route.shared.length === 0 ? NO_SHARES : sharesOf(frame, route, publisher);
    const all = shares.length === 0 ? queues : [...queues, ...shares.map(({ queue }) => queue)];
    let seq: number;
    try {
      seq = this.#journal.append(frame, route.lane, wallMs, all);
    } catch (error) {
      if (!(error instanceof FieldgateError)) throw error;
      if (frame.qos === 0 || !publisher.holdsRefused) {
        this.#counters.dropped(error.code === "ERR_STORE_FULL" ? "store-full" : "store-failed");
      }
      return error.message;
    }
    if (frame.retain) {
      const rights = publisher.rights ?? null;
      this.#retained.keep(frame, { wallMs, rights }, (error) => this.#rowFailed(error));
    }
    this.#counters.acceptedDurable++;
    publisher.published++;
    publisher.lastSeq = seq;
    const indexes = targets.length === 0 ? NO_INDEXES : indexesIn(route, queues);
    const shared =
      shares.length === 0
        ? NO_SHARES
        : shares.map((share) => ({ share, index: share.queue.tailIndex }));
    this.#uncommitted.push(seq, frame, route, publisher, token, indexes, shared);
    return null;
  }

  readonly #released: Released = (frame, route, publisher, token, indexes, shared) => {
    if (indexes === null) this.#waitsBehind(publisher, -behindCost(frame));
    if (token >= 0) publisher.accepted(token, frame.qos);
    deliver(frame, route, indexes, publisher.clientId);
    for (const { share, index } of shared) share.arrived(index, frame);
  };

  #waitsBehind(publisher: Publisher, bytes: number): void {
    publisher.behindBytes += bytes;
    this.#behindBytes += bytes;
  }

  #rowFailed(error: unknown): void {
    this.#log.error("row not written", errorFields(error));
  }
}

/** Someone from whom messages come, in order. */
export interface Publisher {
  /** Of the client that publishes, or the name of one within; it may decide which member of a shared group gets it. */
  readonly clientId: string;
  /** The seq of its last message that went into the journal. */
  lastSeq: number;
  /** How many of its messages were taken. */
  published: number;
  /** Memory that its messages of QoS 0 take which wait behind others of it that are not durable. */
  behindBytes: number;
  /** What it may do; nothing for one within. */
  readonly rights?: Rights;
  /** It holds what is refused, QoS 0 aside, and tries again: a refusal is no loss. */
  readonly holdsRefused: boolean;
  /** A message is kept: acknowledge it. */
  accepted(token: number, qos: QoS): void;
}

/** What keeping one in order takes beside its bytes. */
const BEHIND_COST = 256;

function behindCost({ start, end }: PublishFrame): number {
  return end - start + BEHIND_COST;
}

const NO_TARGETS: Route<Session>["queued"] = [];
const NO_QUEUES: Route<Session>["queues"] = [];
const NO_INDEXES: readonly number[] = [];
const NO_SHARES: readonly never[] = [];

/** The queues of shared groups that take a message of QoS 1 or 2. */
function sharesOf(
  { qos, topic }: PublishFrame,
  { shared }: Route<Session>,
  { clientId }: Publisher,
): readonly SharedQueue[] {
  const queues: SharedQueue[] = [];
  for (const group of shared) {
    const queue = qos === 0 || group.qosMax === 0 ? null : group.queueFor(topic, clientId);
    if (queue !== null) queues.push(queue);
  }
  return queues;
}

/** The queues that take the message; those that are full have dropped something, or do not. */
function queuesWithRoom({ queued, queues }: Route<Session>): Route<Session>["queues"] {
  const taking = queued.filter(({ subscriber }) => subscriber.hasRoom());
  if (taking.length === queued.length) return queues;
  return taking.map(({ subscriber }) => subscriber.queue as SessionQueue);
}

/** For each of route.queued its place in the queue that has just taken the message, or 0 where none did. */
function indexesIn({ queues }: Route<Session>, took: Route<Session>["queues"]): readonly number[] {
  if (took === queues) return took.map(({ tailIndex }) => tailIndex);
  let next = 0; // those that took it stand in the same order
  return queues.map((queue) => {
    if (queue !== took[next]) return 0;
    next++;
    return queue.tailIndex;
  });
}

function deliver(
  frame: PublishFrame,
  route: Route<Session>,
  indexes: readonly number[] | null,
  publisherId: string,
): void {
  const { direct, queued, shared } = route;
  route.listener?.(frame, publisherId);
  for (const group of shared) {
    if (frame.qos === 0 || group.qosMax === 0) group.deliverNow(frame, publisherId);
  }
  for (let i = 0; i < direct.length; i++) {
    const target = direct[i] as Route<Session>["direct"][number];
    const qos = lowerQoS(frame.qos, target.qos);
    if (qos === 0) target.subscriber.deliverNow(frame, false);
    else target.subscriber.deliverFromMemory(frame, qos, false);
  }
  for (let i = 0; i < queued.length; i++) {
    const target = queued[i] as Route<Session>["queued"][number];
    if (frame.qos === 0) target.subscriber.deliverNow(frame, false);
    else if (indexes !== null && indexes[i] !== 0) {
      target.subscriber.deliverQueued(indexes[i] as number, frame);
    }
  }
}
