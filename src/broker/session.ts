import { lowerQoS, type QoS } from "../mqtt/message.ts";
import { PACKET, type PublishFrame, publishFrameOf } from "../mqtt/publish-frame.ts";
import type { Rights } from "./access.ts";
import { Backlog } from "./backlog.ts";
import type { Counters } from "./counters.ts";
import { Inflight, MemoryIds, queuePacketId } from "./inflight.ts";
import { LapsedGrants } from "./lapsed-grants.ts";
import { Loans, type LoanWorld } from "./loans.ts";
import type { Outbox } from "./outbox.ts";
import type { Queued, SessionQueue } from "./ports.ts";
import { Received } from "./received.ts";
import type { Subscription } from "./router.ts";
import type { Sent } from "./sent.ts";
import { queueIsFull, type SessionLimits } from "./session-limits.ts";
import { Waiting } from "./waiting.ts";
import type { WaitingRoom } from "./waiting-room.ts";

/** What a session needs of those around it. */
export interface SessionWorld extends LoanWorld {
  readonly limits: SessionLimits;
  readonly counters: Counters;
  /** The memory that it shares with the others. */
  readonly room: WaitingRoom;
  /** The QoS granted to the session for a topic now; null when it is not subscribed. */
  granted(session: Session, topic: string): QoS | null;
  /** Keeps that the receiver has a message of QoS 2, or forgets it. Resolves when that is durable. */
  keepReleased(session: Session, index: number): Promise<void>;
  forgetReleased(session: Session, index: number): void;
}

/** The connection's end of a session. */
export interface SessionLink {
  readonly outbox: Outbox;
  close(reason: string): void;
}

/**
 * The delivering half of a session: what one client still has to get.
 *
 * A persistent session's messages of QoS 1 and 2 wait in a durable queue of the journal, each with an index. The packet
 * identifier is worked out from the index, so that a redelivery after a crash carries the identifier of the first
 * attempt without anything being written for it. At most `inflightMax` are unacknowledged at a time; a few more are
 * held ready in memory, the others are read when their turn comes.
 *
 * Messages of a clean session, and retained messages that a new subscription brings, wait in memory.
 */
export class Session {
  readonly clientId: string;
  readonly queue: SessionQueue | null;
  readonly subscriptions = new Map<string, Subscription>();
  readonly received = new Received();
  link: SessionLink | null = null;
  /** What its client may do: when it was here last, or as changed since. */
  rights: Rights;

  /** What shared groups have lent it, and the groups themselves. */
  readonly loans: Loans;
  /** Copies that were lost to it because its queue or its output was full, since it was made. */
  dropped = 0;
  /** Everything it has finished since it was made: one that finishes nothing is stuck. */
  finished = 0;

  readonly #world: SessionWorld;
  readonly #inflight = new Inflight<Sent>();
  readonly #ids = new MemoryIds(this.#inflight);
  readonly #waiting: Waiting;

  readonly #backlog: Backlog | null;
  /** The highest index that an earlier process may have sent: up to there a delivery may be a redelivery. */
  readonly #sentBefore: number;
  readonly #lapsed = new LapsedGrants();
  readonly #released: Set<number>;

  constructor(
    clientId: string,
    queue: SessionQueue | null,
    released: ReadonlySet<number>,
    rights: Rights,
    world: SessionWorld,
  ) {
    this.clientId = clientId;
    this.rights = rights;
    this.queue = queue;
    this.#released = new Set(released);
    this.#world = world;
    this.#waiting = new Waiting(world.room, () => this.#giveWay());
    this.#backlog = queue && new Backlog(queue);
    this.loans = new Loans(this, this.#inflight, this.#ids, world);
    // What an earlier process has sent is not known. It was no more than a window.
    const { headIndex, tailIndex } = queue ?? { headIndex: 0, tailIndex: 0 };
    this.#sentBefore = Math.min(headIndex + world.limits.inflightMax, tailIndex);
  }

  /** Sent to its client and not acknowledged. */
  get inflight(): number {
    return this.#inflight.size;
  }

  /** Messages that wait for it, on disk with those in flight, and in memory. */
  get queued(): { readonly messages: number; readonly bytes: number } {
    const { length, bytes } = this.#waiting;
    const messages = (this.#backlog?.waiting ?? 0) + length;
    return { messages, bytes: (this.queue?.bytes ?? 0) + bytes };
  }

  /** Indexes of QoS 2 messages that the receiver has. */
  get released(): Iterable<number> {
    return this.#released;
  }

  get persistent(): boolean {
    return this.queue !== null;
  }

  mayReceive(topic: string): boolean {
    return this.rights.mayReceive(topic);
  }

  /** Whether its client is here and takes one more message of that QoS. */
  hasRoomNow(qos: QoS): boolean {
    const { inflightMax, outputBytesMax } = this.#world.limits;
    if (this.link === null || (qos > 0 && this.#inflight.size >= inflightMax)) return false;
    return this.link.outbox.pendingBytes <= outputBytesMax;
  }

  /** The client is here: sends again what it has not acknowledged [MQTT-4.4.0-1], in that order [MQTT-4.6.0-1], then what waits. */
  attach(link: SessionLink): void {
    this.link = link;
    for (const sent of this.#inflight.all()) this.#sendAgain(link, sent);
    this.#pump();
  }

  detach(link: SessionLink): void {
    if (this.link !== link) return;
    this.link = null;
    this.#backlog?.rest();
  }

  /** A subscription is about to be lowered or to end: what waits was queued under it and comes under it. */
  lapse(subscription: Subscription): void {
    if (this.queue !== null) this.#lapsed.add(subscription, this.queue);
  }

  /** QoS 0: sent now or not at all. */
  deliverNow(frame: PublishFrame, retain: boolean): void {
    const { link } = this;
    if (link === null) return;
    if (link.outbox.pendingBytes > this.#world.limits.outputBytesMax) this.#drop("output-full");
    else {
      this.#world.counters.sent++;
      link.outbox.publish(frame, 0, retain, false, 0);
    }
  }

  /** QoS 1 and 2 that are kept in memory only. */
  deliverFromMemory(frame: PublishFrame, qos: QoS, retain: boolean): void {
    if (this.#waiting.length === 0 && this.hasRoomNow(qos)) {
      this.#sendFromMemory(frame, qos, retain);
      return;
    }
    if (this.#hasRoomInMemory()) this.#waiting.push({ frame, qos, retain });
  }

  /** Its client has taken its output: there may be room for more. */
  drained(): void {
    this.#pump();
  }

  /** Called every now and then: what stays does not keep the large chunks in which it came. */
  settle(): void {
    this.#waiting.settle();
    this.#backlog?.settle();
    this.#inflight.each((sent) => {
      sent.frame = sent.frame?.kept() ?? null;
    });
  }

  /** It is over: what waits in memory for it is let go. */
  end(): void {
    this.#waiting.end();
  }

  /** A message of the durable queue, which is on disk now. */
  deliverQueued(index: number, frame: PublishFrame): void {
    this.#backlog?.arrived(index, frame, this.link !== null);
    this.#pump();
  }

  /** PUBACK, PUBREC or PUBCOMP. Tells whether it acknowledges anything. */
  acknowledged(type: number, packetId: number): boolean {
    if (type === PACKET.puback) return this.puback(packetId);
    return type === PACKET.pubrec ? this.pubrec(packetId) : this.pubcomp(packetId);
  }

  /** PUBACK. Tells whether it acknowledges anything. */
  puback(packetId: number): boolean {
    const sent = this.#inflight.get(packetId);
    if (sent === undefined || sent.qos !== 1) return false;
    this.#finish(sent);
    this.#pump();
    return true;
  }

  /**
   * PUBREC: PUBREL follows once it is durable that the receiver has the message [MQTT-4.3.3-1]; at once for a message
   * that is not known any more. Tells whether the message is one of QoS 2.
   */
  pubrec(packetId: number): boolean {
    const sent = this.#inflight.get(packetId);
    if (sent !== undefined && sent.qos !== 2) return false;
    if (sent !== undefined && sent.loan !== null) {
      this.loans.received(sent);
      return true;
    }
    if (sent?.stage === "sent" && sent.index > 0) {
      this.#keepReceived(sent);
    } else if (sent?.stage !== "received") {
      if (sent !== undefined) sent.stage = "released";
      this.link?.outbox.acknowledge((PACKET.pubrel << 4) | 2, packetId);
    }
    return sent !== undefined;
  }

  /** PUBCOMP. Tells whether it completes anything. */
  pubcomp(packetId: number): boolean {
    const sent = this.#inflight.get(packetId);
    if (sent === undefined || sent.stage !== "released") return false;
    this.#finish(sent);
    this.#pump();
    return true;
  }

  /**
   * Whether the durable queue takes one more. When it is full, the policy decides: the oldest message goes, the new one
   * does not come, or the connection is closed and the new one does not come.
   */
  hasRoom(): boolean {
    const { queue } = this;
    const { limits } = this.#world;
    if (queue === null) return true;
    if (!queueIsFull(queue, limits)) return true;
    if (limits.queueWhenFull === "drop-oldest") {
      this.#dropOldest(queue);
      return true;
    }
    this.#drop("queue-full");
    if (limits.queueWhenFull === "disconnect") this.link?.close("queue full");
    return false;
  }

  /**
   * As many as it takes: one long message may be worth many short ones. What was in flight stays so: a dropped message
   * makes no room in the window of a client that acknowledges nothing.
   */
  #dropOldest(queue: SessionQueue): void {
    while (queueIsFull(queue, this.#world.limits) && this.#backlog?.done(queue.headIndex + 1)) {
      this.#drop("queue-full");
      if (queue.headIndex === queue.tailIndex) break;
    }
    this.#forgetPassed(queue);
  }

  /** Also for who has reconnected meanwhile: PUBREL goes to whoever is here when it is kept, and to nobody before. */
  #keepReceived(sent: Sent): void {
    const { index, packetId } = sent;
    sent.stage = "received";
    this.#released.add(index);
    this.#world.keepReleased(this, index).then(
      () => {
        if (this.#inflight.get(packetId) !== sent) return;
        sent.stage = "released";
        this.link?.outbox.acknowledge((PACKET.pubrel << 4) | 2, packetId);
      },
      (error) => this.#world.failed(this, error),
    );
  }

  #sendAgain(link: SessionLink, sent: Sent): void {
    const { packetId, frame, qos, retain, stage, index, loan } = sent;
    if (stage === "released") {
      link.outbox.acknowledge((PACKET.pubrel << 4) | 2, packetId);
    } else if (stage === "sent" && index > 0 && this.#backlog?.isDone(index)) {
      this.#inflight.delete(packetId); // it made room for others
    } else if (stage === "sent" && frame !== null && !this.loans.isReturned(packetId)) {
      if (loan === null && !this.mayReceive(frame.topic)) this.#withhold(sent);
      else link.outbox.publish(frame, qos, retain, true, packetId);
    }
  }

  #finish(sent: Sent): void {
    this.finished++;
    this.#inflight.delete(sent.packetId);
    if (sent.index === 0) this.loans.finished(sent);
    else if (this.#backlog?.done(sent.index)) this.#forgetPassed(this.#backlog.queue);
  }

  #forgetPassed({ headIndex }: SessionQueue): void {
    for (const index of this.#released) {
      if (index > headIndex) continue;
      this.#released.delete(index);
      this.#world.forgetReleased(this, index);
    }
  }

  /** Sends as much as the window takes, and reads on when nothing is held ready. What room is left is for the groups. */
  #pump(): void {
    const { link } = this;
    if (link === null) return;
    while (this.hasRoomNow(1)) {
      const waiting = this.#waiting.shift();
      if (waiting !== undefined) {
        if (this.mayReceive(waiting.frame.topic))
          this.#sendFromMemory(waiting.frame, waiting.qos, waiting.retain);
        else this.#world.counters.dropped("not allowed to receive");
        continue;
      }
      const queued = this.#backlog?.next;
      // The identifier is in use when the client has left a message unacknowledged over all of them [MQTT-2.3.1-4].
      if (queued === undefined || this.#inflight.get(queuePacketId(queued.index))) break;
      this.#backlog?.shift();
      this.#sendQueued(link, queued);
    }
    if (this.#backlog?.isBehind) this.#readOn(this.#backlog);
    this.loans.roomLeft();
  }

  /** What waited or was in flight, and may not be received any more, is done with. */
  #withhold(sent: Sent): void {
    this.#world.counters.dropped("not allowed to receive");
    this.#finish(sent);
  }

  #sendFromMemory(frame: PublishFrame, qos: QoS, retain: boolean): void {
    const packetId = this.#ids.next();
    this.#inflight.add({ packetId, frame, qos, retain, index: 0, stage: "sent", loan: null });
    this.#world.counters.sent++;
    this.link?.outbox.publish(frame, qos, retain, false, packetId);
  }

  #sendQueued(link: SessionLink, { index, entry }: Queued): void {
    const frame = publishFrameOf(entry.message);
    const packetId = queuePacketId(index);
    const sent = { packetId, frame, retain: false, index, stage: "sent", loan: null } as const;
    if (this.#released.has(index)) {
      // The client has it, at QoS 2, whatever its subscription says by now.
      this.#inflight.add({ ...sent, qos: 2, stage: "released" });
      link.outbox.acknowledge((PACKET.pubrel << 4) | 2, packetId);
      return;
    }
    if (!this.mayReceive(frame.topic)) {
      this.#withhold({ ...sent, qos: frame.qos });
      return;
    }
    const qos = lowerQoS(frame.qos, this.#grantedFor(frame.topic, index));
    this.#world.counters.sent++;
    this.#inflight.add({ ...sent, qos });
    link.outbox.publish(frame, qos, false, index <= this.#sentBefore, packetId);
  }

  /** At least 1: that is why it was queued. 2 when an earlier process queued it for a subscription that is gone. */
  #grantedFor(topic: string, index: number): QoS {
    const granted = this.#world.granted(this, topic) ?? 0;
    const lapsed = this.#lapsed.granted(topic, index) ?? 0;
    return granted === 0 && lapsed === 0 ? 2 : (Math.max(granted, lapsed) as QoS);
  }

  #readOn(backlog: Backlog): void {
    backlog.read().then(
      () => {
        this.#forgetPassed(backlog.queue);
        this.#pump();
      },
      (error) => this.#world.failed(this, error),
    );
  }

  #drop(reason: "queue-full" | "output-full" | "memory-full"): void {
    this.dropped++;
    this.#world.counters.dropped(reason);
  }

  /** Whether one more may wait in memory. When it is full, the policy decides, as of the durable queue. */
  #hasRoomInMemory(): boolean {
    const { queueMessagesMax, queueBytesMax, queueWhenFull } = this.#world.limits;
    const waiting = this.#waiting;
    for (;;) {
      const isFull = waiting.length >= queueMessagesMax || waiting.bytes >= queueBytesMax;
      if (!isFull && waiting.hasRoom) return true;
      this.#drop(isFull ? "queue-full" : "memory-full");
      if (queueWhenFull === "disconnect") this.link?.close("queue full");
      if (queueWhenFull !== "drop-oldest" || waiting.shift() === undefined) return false;
    }
  }

  /** It has more than its share of the memory, and another one needs some. */
  #giveWay(): void {
    if (this.#world.limits.queueWhenFull === "disconnect") this.link?.close("queue full");
    if (this.#waiting.shift() !== undefined) this.#drop("memory-full");
  }
}
