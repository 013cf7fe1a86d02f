import { lowerQoS, type QoS } from "../mqtt/message.ts";
import type { PublishFrame } from "../mqtt/publish-frame.ts";
import type { Counters } from "./counters.ts";
import type { SessionQueue } from "./ports.ts";
import type { SharedSubscription } from "./router.ts";
import type { Session } from "./session.ts";
import { Partition, type PartitionWorld } from "./share-partition.ts";
import {
  type Candidate,
  partitionOf,
  type ShareStrategy,
  type ShareStrategyName,
  shareStrategy,
} from "./share-strategy.ts";

export interface ShareLimits {
  readonly queueMessagesMax: number;
  readonly queueBytesMax: number;
  readonly sharedWhenFull: "drop-oldest" | "drop-new";
  readonly sharedStuckMs: number;
  readonly sharedAckTimeoutMs: number;
}

/** What a group needs of those around it. */
export interface ShareWorld
  extends Pick<PartitionWorld, "nowMs" | "keepTaken" | "forgetTaken" | "readFailed"> {
  readonly limits: ShareLimits;
  readonly counters: Counters;
  /** The durable queue of one of its partitions, and which messages of it a session has already. */
  queue(key: string, partition: number): SessionQueue;
  taken(queue: string): ReadonlySet<number>;
}

export interface ShareStatus {
  readonly group: string;
  readonly filter: string;
  readonly strategy: ShareStrategyName;
  readonly members: number;
  readonly connected: number;
  /** Messages that no member has acknowledged, those in flight included. */
  readonly queued: number;
  readonly inflight: number;
  /** Given back by members that left, and dropped because the queue was full, since the gateway started. */
  readonly givenBack: number;
  readonly dropped: number;
}

/** A shared subscription: a group's name and a filter. Of each message that matches, one member gets one copy. */
export class ShareGroup implements SharedSubscription, PartitionWorld {
  readonly group: string;
  readonly filter: string;
  readonly strategyName: ShareStrategyName;
  /** The highest QoS granted to a member; what is published at a higher one is queued, and 0 is not. */
  qosMax: QoS = 0;

  readonly #key: string;
  readonly #strategy: ShareStrategy;
  readonly #world: ShareWorld;
  readonly #members: Member[] = [];
  readonly #partitions = new Map<number, Partition>();
  /** Nothing is lent any more: the broker stops. */
  frozen = false;

  constructor(
    key: string,
    group: string,
    filter: string,
    strategyName: ShareStrategyName,
    world: ShareWorld,
  ) {
    this.#key = key;
    this.group = group;
    this.filter = filter;
    this.strategyName = strategyName;
    this.#strategy = shareStrategy(strategyName);
    this.#world = world;
  }

  get isEmpty(): boolean {
    return this.#members.length === 0;
  }

  /** Messages that wait, and are with no member. */
  get unsent(): number {
    const { queued, inflight } = this.status();
    return queued - inflight;
  }

  isOnlyOf(session: Session): boolean {
    return this.#members.length === 1 && this.#members[0]?.session === session;
  }

  /** Makes a session a member, or changes the QoS that is granted to it. */
  join(session: Session, qos: QoS): void {
    const known = this.#member(session);
    if (known !== undefined) known.qos = qos;
    else this.#members.push(new Member(session, qos, this.#world.nowMs()));
    session.loans.lenders.add(this);
    this.#changed();
    this.lend();
  }

  /** What a member that leaves has in flight stays with it as long as its connection lasts [MQTT-3.10.4-3]. */
  leave(session: Session): void {
    const at = this.#members.findIndex((member) => member.session === session);
    if (at === -1) return;
    this.#members.splice(at, 1);
    session.loans.lenders.delete(this);
    for (const partition of this.#partitions.values()) partition.forget(session);
    this.#changed();
  }

  /** The last member is gone. */
  end(): void {
    for (const partition of this.#partitions.values()) partition.end();
    this.#partitions.clear();
  }

  /** The partition of that number, made when it is not there. */
  partition(number: number): Partition {
    const known = this.#partitions.get(number);
    if (known !== undefined) return known;
    const queue = this.#world.queue(this.#key, number);
    const made = new Partition(number, queue, this.#world.taken(queue.name), this);
    this.#partitions.set(number, made);
    return made;
  }

  // ——— what the intake asks for

  /** The queue for a message of QoS 1 or 2; null when the group is full, and the message is not to come. */
  queueFor(topic: string, publisherId: string): Partition | null {
    const { partitions } = this.#strategy;
    const key = this.#strategy.keyOf(topic, publisherId);
    const partition = this.partition(partitionOf(key, partitions));
    while (this.#isFull()) {
      this.#world.counters.dropped("shared-queue-full");
      if (this.#world.limits.sharedWhenFull === "drop-oldest" && this.#dropOldest()) continue;
      partition.dropped++;
      return null;
    }
    return partition;
  }

  /** QoS 0: sent now to one who is here, or not at all. */
  deliverNow(frame: PublishFrame, publisherId: string): void {
    const key = this.#strategy.keyOf(frame.topic, publisherId);
    const partition = partitionOf(key, this.#strategy.partitions);
    const member = this.#strategy.choose(this.#members, partition, 0);
    if (member !== null) member.session.deliverNow(frame, false);
    else if (this.isAnyoneHere()) this.#world.counters.dropped("output-full");
  }

  // ——— what partitions ask for

  nowMs(): number {
    return this.#world.nowMs();
  }
  keepTaken(queue: string, index: number): Promise<void> {
    return this.#world.keepTaken(queue, index);
  }
  forgetTaken(queue: string, index: number): void {
    this.#world.forgetTaken(queue, index);
  }
  readFailed(error: unknown): void {
    this.#world.readFailed(error);
  }

  isMember(session: Session): boolean {
    return this.#member(session) !== undefined;
  }

  isAnyoneHere(): boolean {
    return !this.frozen && this.#members.some(({ isHere }) => isHere);
  }

  /** Whoever has messages of an ordered partition in flight gets the next one too; else who may have it already does. */
  choose(partition: Partition): { readonly session: Session; readonly qos: QoS } | null {
    if (this.frozen) return null;
    const { before } = partition;
    const holder = this.#strategy.partitions > 1 ? partition.holder : null;
    if (holder !== null) {
      const member = this.#member(holder);
      return member !== undefined && (before === holder || member.hasRoom(1)) ? member : null;
    }
    if (before !== null && before.link !== null) return this.#member(before) ?? null;
    return this.#strategy.choose(this.#members, partition.number, 1);
  }

  /** Lends what is ready to those who have room. */
  lend(): void {
    for (const partition of this.#partitions.values()) partition.lend();
  }

  // ——— what the registry asks for

  /**
   * Passes over members that are stuck, with a full window or output of which nothing moves, and closes who leaves a
   * message unacknowledged for too long: the message goes to another.
   */
  watch(nowMs: number): void {
    const { sharedStuckMs, sharedAckTimeoutMs } = this.#world.limits;
    for (const member of this.#members) member.watch(nowMs, sharedStuckMs);
    for (const partition of this.#partitions.values()) {
      partition.settle();
      const { oldest } = partition;
      if (oldest === null || nowMs - oldest.sinceMs <= sharedAckTimeoutMs) continue;
      oldest.session.link?.close("shared message not acknowledged in time");
    }
    this.lend();
  }

  status(): ShareStatus {
    const all = [...this.#partitions.values()];
    const sum = (of: (partition: Partition) => number) =>
      all.reduce((total, partition) => total + of(partition), 0);
    return {
      group: this.group,
      filter: this.filter,
      strategy: this.strategyName,
      members: this.#members.length,
      connected: this.#members.filter(({ session }) => session.link !== null).length,
      queued: sum(({ waiting }) => waiting),
      inflight: sum(({ inflight }) => inflight),
      givenBack: sum(({ givenBack }) => givenBack),
      dropped: sum(({ dropped }) => dropped),
    };
  }

  #member(session: Session): Member | undefined {
    return this.#members.find((member) => member.session === session);
  }

  #changed(): void {
    this.qosMax = 0;
    for (const { qos } of this.#members) if (qos > this.qosMax) this.qosMax = qos;
  }

  #isFull(): boolean {
    const { queueMessagesMax, queueBytesMax } = this.#world.limits;
    let messages = 0;
    let bytes = 0;
    for (const partition of this.#partitions.values()) {
      messages += partition.waiting;
      bytes += partition.bytes;
    }
    return messages >= queueMessagesMax || bytes >= queueBytesMax;
  }

  /** The oldest message of the fullest partition. */
  #dropOldest(): boolean {
    const byLength = [...this.#partitions.values()].sort((a, b) => b.waiting - a.waiting);
    return byLength.some((partition) => partition.dropOldest());
  }
}

class Member implements Candidate {
  readonly session: Session;
  qos: QoS;
  #isStuck = false;
  #finished = 0;
  #sinceMs: number;

  constructor(session: Session, qos: QoS, nowMs: number) {
    this.session = session;
    this.qos = qos;
    this.#sinceMs = nowMs;
  }

  get clientId(): string {
    return this.session.clientId;
  }

  get isHere(): boolean {
    return this.session.link !== null && !this.#isStuck;
  }

  hasRoom(qos: QoS): boolean {
    return this.session.hasRoomNow(lowerQoS(qos, this.qos));
  }

  watch(nowMs: number, stuckMs: number): void {
    const { session } = this;
    const moves =
      session.link === null || session.finished !== this.#finished || session.hasRoomNow(1);
    if (moves) {
      this.#finished = session.finished;
      this.#sinceMs = nowMs;
    }
    this.#isStuck = nowMs - this.#sinceMs > stuckMs;
  }
}
