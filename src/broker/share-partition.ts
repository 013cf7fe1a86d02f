import { lowerQoS, type QoS } from "../mqtt/message.ts";
import { type PublishFrame, publishFrameOf } from "../mqtt/publish-frame.ts";
import { Backlog, staying } from "./backlog.ts";
import type { Lender } from "./loans.ts";
import type { Queued, SessionQueue } from "./ports.ts";
import type { Session } from "./session.ts";

/** What a partition needs of its group and of those around it. */
export interface PartitionWorld {
  nowMs(): number;
  isMember(session: Session): boolean;
  /** Whether a message that arrives is likely to be lent at once. */
  isAnyoneHere(): boolean;
  /** Who gets the next message, and at which QoS at most; null when it has to wait. */
  choose(partition: Partition): { readonly session: Session; readonly qos: QoS } | null;
  /** Keeps that a session has a message of QoS 2, which nobody else must get; or forgets it. */
  keepTaken(queue: string, index: number): Promise<void>;
  forgetTaken(queue: string, index: number): void;
  /** Something may have changed for all partitions. */
  lend(): void;
  readFailed(error: unknown): void;
}

interface Held {
  readonly session: Session;
  queued: Queued;
  readonly sinceMs: number;
}

/**
 * One durable queue of a shared group. A message waits in it until a session has borrowed it, comes back when that
 * session leaves before it has acknowledged it, and is gone when it has.
 *
 *     waiting ── lent ──▶ held ── PUBACK, PUBREC ──▶ taken (for QoS 2 kept as a row until the queue's head has passed it)
 *        ▲                 │
 *        └── given back ───┘
 */
export class Partition implements Lender {
  readonly number: number;
  givenBack = 0;
  dropped = 0;
  readonly #backlog: Backlog;
  readonly #world: PartitionWorld;
  readonly #held = new Map<number, Held>();
  /** Given back, in order of index: the next to be lent. */
  readonly #back: Queued[] = [];
  /** Who may have a message that waits: it gets it again under the same packet identifier, or has to let go of that. */
  readonly #before = new Map<number, { readonly session: Session; readonly packetId: number }>();
  readonly #taken: Set<number>;
  #ended = false;

  constructor(
    number: number,
    queue: SessionQueue,
    taken: ReadonlySet<number>,
    world: PartitionWorld,
  ) {
    this.number = number;
    this.#world = world;
    this.#backlog = new Backlog(queue);
    this.#taken = new Set(taken);
    for (const index of taken) if (index <= queue.tailIndex) this.#backlog.done(index);
    this.#forgetPassed();
  }

  get name(): string {
    return this.queue.name;
  }

  get queue(): SessionQueue {
    return this.#backlog.queue;
  }

  /** Messages that nobody has acknowledged, those in flight included. */
  get waiting(): number {
    return this.#backlog.waiting;
  }

  get inflight(): number {
    return this.#held.size;
  }

  /** Bytes of `waiting`: a share of the queue's, which still has what was acknowledged out of order. */
  get bytes(): number {
    const { tailIndex, headIndex, bytes } = this.queue;
    return tailIndex === headIndex ? 0 : (bytes * this.waiting) / (tailIndex - headIndex);
  }

  /** One of those who have messages of it in flight. */
  get holder(): Session | null {
    for (const { session } of this.#held.values()) return session;
    return null;
  }

  /** Who holds a message longest, and since when. */
  get oldest(): { readonly session: Session; readonly sinceMs: number } | null {
    for (const held of this.#held.values()) return held;
    return null;
  }

  /** Who may have the next message already. */
  get before(): Session | null {
    const next = this.#next();
    return (next && this.#before.get(next.index)?.session) ?? null;
  }

  /** A message of its queue is on disk. */
  arrived(index: number, frame: PublishFrame): void {
    this.#backlog.arrived(index, frame, this.#world.isAnyoneHere());
    this.lend();
  }

  lend(): void {
    if (this.#ended) return;
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      const member = this.#world.choose(this);
      if (member === null) return;
      this.#lendTo(member.session, member.qos, next);
    }
    if (this.#backlog.isBehind && this.#world.isAnyoneHere()) this.#readOn();
  }

  /** Called every now and then: what stays is not to keep the large chunks in which it came. */
  settle(): void {
    this.#backlog.settle();
    for (const held of this.#held.values()) held.queued = staying(held.queued);
  }

  taken(index: number, borrower: Session, qos: QoS): Promise<void> {
    const holder = this.#held.get(index) ?? this.#before.get(index);
    if (this.#ended || holder?.session !== borrower) return Promise.resolve();
    this.#before.delete(index);
    let kept = Promise.resolve();
    if (qos === 2) {
      this.#taken.add(index);
      kept = this.#world.keepTaken(this.name, index);
    }
    this.#done(index);
    this.#world.lend();
    return kept;
  }

  giveBack(index: number, borrower: Session, packetId: number): boolean {
    const held = this.#held.get(index);
    if (this.#ended || held?.session !== borrower) return false;
    this.#held.delete(index);
    this.#insert(staying(held.queued));
    this.givenBack++;
    if (!borrower.persistent || !this.#world.isMember(borrower)) return false;
    this.#before.set(index, { session: borrower, packetId });
    return true;
  }

  /** A session had the message when the last process ended. False when it is not here any more. */
  restoreHolder(index: number, session: Session, packetId: number): boolean {
    if (this.#backlog.isDone(index) || index > this.queue.tailIndex) return false;
    this.#before.set(index, { session, packetId });
    return true;
  }

  /** Drops the oldest message that nobody has in flight. False when there is none. */
  dropOldest(): boolean {
    const index = this.#next()?.index ?? this.#backlog.nextIndex();
    if (index === null) return false;
    this.dropped++;
    this.#letGo(index);
    this.#done(index);
    return true;
  }

  /** A session is no member any more: what it had may not come to it again. */
  forget(session: Session): void {
    for (const [index, before] of this.#before) {
      if (before.session === session) this.#letGo(index);
    }
  }

  /** Gives up the queue with all it holds. What is in flight stays with those who have it. */
  end(): void {
    this.#ended = true;
    for (const index of [...this.#before.keys()]) this.#letGo(index);
    for (const index of this.#taken) this.#world.forgetTaken(this.name, index);
    this.queue.drop();
  }

  #lendTo(session: Session, granted: QoS, { index, entry }: Queued): void {
    const before = this.#before.get(index);
    const isAgain = before?.session === session && granted > 0;
    if (isAgain) this.#before.delete(index);
    else this.#letGo(index);
    if (this.#back[0]?.index === index) this.#back.shift();
    else this.#backlog.shift();
    const frame = publishFrameOf(entry.message);
    const qos = lowerQoS(frame.qos, granted);
    if (qos === 0) {
      session.deliverNow(frame, false);
      this.#done(index);
      return;
    }
    const queued = { index, entry: { seq: entry.seq, message: frame } };
    this.#held.set(index, { session, queued, sinceMs: this.#world.nowMs() });
    session.loans.borrow({ lender: this, index }, frame, qos, isAgain ? before.packetId : 0);
  }

  #next(): Queued | undefined {
    for (let first = this.#back[0]; first !== undefined; first = this.#back[0]) {
      if (!this.#backlog.isDone(first.index)) return first;
      this.#back.shift();
    }
    return this.#backlog.next;
  }

  #insert(queued: Queued): void {
    let at = this.#back.length;
    while (at > 0 && (this.#back[at - 1] as Queued).index > queued.index) at--;
    this.#back.splice(at, 0, queued);
  }

  /** Whoever had the message does not get it again. */
  #letGo(index: number): void {
    const before = this.#before.get(index);
    this.#before.delete(index);
    before?.session.loans.lose(before.packetId);
  }

  #done(index: number): void {
    this.#held.delete(index);
    if (this.#backlog.done(index)) this.#forgetPassed();
  }

  #forgetPassed(): void {
    for (const index of this.#taken) {
      if (index > this.queue.headIndex) continue;
      this.#taken.delete(index);
      this.#world.forgetTaken(this.name, index);
    }
  }

  #readOn(): void {
    this.#backlog.read().then(
      () => {
        this.#forgetPassed();
        this.lend();
      },
      (error) => this.#world.readFailed(error),
    );
  }
}
