import { Fifo } from "../base/fifo.ts";
import { lowerQoS, type QoS } from "../mqtt/message.ts";
import { PACKET, type PublishFrame, publishFrameOf } from "../mqtt/publish-frame.ts";
import type { Counters } from "./counters.ts";
import { Inflight } from "./inflight.ts";
import type { Outbox } from "./outbox.ts";
import type { Queued, SessionQueue } from "./ports.ts";
import type { Subscription } from "./router.ts";

export interface SessionLimits {
  readonly inflightMax: number;
  readonly queueMessagesMax: number;
  readonly queueBytesMax: number;
  readonly queueWhenFull: "drop-oldest" | "drop-new" | "disconnect";
  readonly outputBytesMax: number;
}

/** What a session needs of those around it. */
export interface SessionWorld {
  readonly limits: SessionLimits;
  readonly counters: Counters;
  /** The QoS granted to the session for a topic now; that of the message when it is not subscribed any more. */
  granted(session: Session, topic: string): QoS;
  /** Keeps that the receiver has a message of QoS 2, or forgets it. Resolves when that is durable. */
  keepReleased(session: Session, index: number): Promise<void>;
  forgetReleased(session: Session, index: number): void;
  failed(session: Session, error: unknown): void;
}

/** The connection's end of a session. */
export interface SessionLink {
  readonly outbox: Outbox;
  close(reason: string): void;
}

interface Sent {
  readonly packetId: number;
  readonly frame: PublishFrame;
  readonly qos: QoS;
  readonly retain: boolean;
  /** Position in the durable queue, or 0 for a message that is only in memory. */
  readonly index: number;
  /** The receiver has it (QoS 2: PUBREC came); PUBREL is out or about to be. */
  released: boolean;
}

interface Waiting {
  readonly frame: PublishFrame;
  readonly qos: QoS;
  readonly retain: boolean;
}

/** Packet identifiers up to here belong to the durable queue, the others to what is only in memory. */
const QUEUE_ID_MAX = 32_767;
const AHEAD_MESSAGES_MAX = 256;
const AHEAD_BYTES_MAX = 256 * 1024;

/**
 * The delivering half of a session: what one client still has to get.
 *
 * A persistent session's messages of QoS 1 and 2 wait in a durable queue of the journal, each with an index. The packet
 * identifier is worked out from the index, so that a redelivery after a crash carries the identifier of the first
 * attempt without anything being written for it. At most `inflightMax` are unacknowledged at a time; a few more are
 * held ready in memory (`#ahead`), the others are read when their turn comes.
 *
 * Messages of a clean session, and retained messages that a new subscription brings, wait in memory.
 */
export class Session {
  readonly clientId: string;
  readonly queue: SessionQueue | null;
  readonly subscriptions = new Map<string, Subscription>();
  /** Packet identifiers of QoS 2 messages that came from the client and wait for PUBREL; true when kept. */
  readonly received = new Map<number, boolean>();
  link: SessionLink | null = null;

  readonly #world: SessionWorld;
  readonly #inflight = new Inflight<Sent>();
  readonly #waiting = new Fifo<Waiting>();
  #waitingBytes = 0;
  #nextMemoryId = QUEUE_ID_MAX;

  #ahead: Queued[] = [];
  /** The index of the last message that was sent or is held ready. */
  #aheadIndex: number;
  /** The newest index known to be durable. */
  #durableIndex: number;
  /** The highest index ever sent: from there downwards a delivery is a redelivery. */
  #sentIndex: number;
  /** Acknowledged out of order, beyond the head of the queue. */
  readonly #done = new Set<number>();
  /** Indexes of QoS 2 messages that the receiver has. */
  readonly #released: Set<number>;
  #reading = false;

  constructor(
    clientId: string,
    queue: SessionQueue | null,
    released: ReadonlySet<number>,
    world: SessionWorld,
  ) {
    this.clientId = clientId;
    this.queue = queue;
    this.#released = new Set(released);
    this.#world = world;
    this.#aheadIndex = queue?.headIndex ?? 0;
    this.#durableIndex = queue?.tailIndex ?? 0;
    // What an earlier process has sent is not known. It was no more than a window.
    this.#sentIndex = Math.min(this.#aheadIndex + world.limits.inflightMax, this.#durableIndex);
  }

  get persistent(): boolean {
    return this.queue !== null;
  }

  get inflight(): number {
    return this.#inflight.size;
  }

  /** Messages that wait, those in flight included. */
  get queuedMessages(): number {
    const durable = this.queue === null ? 0 : this.queue.tailIndex - this.queue.headIndex;
    return durable + this.#waiting.length;
  }

  /** The client is here: sends again what it has not acknowledged [MQTT-4.4.0-1], then what waits. */
  attach(link: SessionLink): void {
    this.link = link;
    const inMemory = this.#inflight.all().filter(({ index }) => index === 0);
    this.#inflight.clear();
    for (const sent of inMemory.sort((a, b) => this.#age(b) - this.#age(a))) {
      const { packetId, frame, qos, retain, released } = sent;
      this.#inflight.add(sent);
      if (released) link.outbox.acknowledge((PACKET.pubrel << 4) | 2, packetId);
      else link.outbox.publish(frame, qos, retain, true, packetId);
    }
    this.#ahead = [];
    this.#aheadIndex = this.queue?.headIndex ?? 0;
    this.#pump();
  }

  detach(link: SessionLink): void {
    if (this.link === link) this.link = null;
  }

  /** QoS 0: sent now or not at all. */
  deliverNow(frame: PublishFrame, retain: boolean): void {
    const { link } = this;
    if (link === null) return;
    if (link.outbox.pendingBytes > this.#world.limits.outputBytesMax) {
      this.#world.counters.dropped("output-full");
      return;
    }
    this.#world.counters.sent++;
    link.outbox.publish(frame, 0, retain, false, 0);
  }

  /** QoS 1 and 2 that are kept in memory only. */
  deliverFromMemory(frame: PublishFrame, qos: QoS, retain: boolean): void {
    if (this.#inflight.size < this.#world.limits.inflightMax && this.#waiting.length === 0) {
      this.#sendFromMemory({ frame, qos, retain });
      return;
    }
    if (this.#waitingIsFull() && !this.#makeRoomInMemory()) return;
    this.#waiting.push({ frame, qos, retain });
    this.#waitingBytes += frame.end - frame.start;
  }

  /** A message of the durable queue, which is on disk now. */
  deliverQueued(index: number, frame: PublishFrame): void {
    this.#durableIndex = Math.max(this.#durableIndex, index);
    if (this.link === null || this.#reading) return;
    if (index === this.#aheadIndex + 1 && this.#ahead.length < AHEAD_MESSAGES_MAX) {
      this.#ahead.push({ index, entry: { seq: 0, message: frame } });
      this.#aheadIndex = index;
    }
    this.#pump();
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
    if (sent === undefined || sent.index === 0) {
      if (sent !== undefined) sent.released = true;
      this.link?.outbox.acknowledge((PACKET.pubrel << 4) | 2, packetId);
      return sent !== undefined;
    }
    sent.released = true;
    this.#released.add(sent.index);
    this.#world.keepReleased(this, sent.index).then(
      () => this.link?.outbox.acknowledge((PACKET.pubrel << 4) | 2, packetId),
      (error) => this.#world.failed(this, error),
    );
    return true;
  }

  /** PUBCOMP. Tells whether it completes anything. */
  pubcomp(packetId: number): boolean {
    const sent = this.#inflight.get(packetId);
    if (sent === undefined || !sent.released) return false;
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
    const { limits, counters } = this.#world;
    if (queue === null) return true;
    const count = queue.tailIndex - queue.headIndex;
    if (count < limits.queueMessagesMax && queue.bytes < limits.queueBytesMax) return true;
    if (limits.queueWhenFull === "drop-oldest" && count > 0) {
      counters.dropped("queue-full");
      this.#dropOldest(queue);
      return true;
    }
    counters.dropped("queue-full");
    if (limits.queueWhenFull === "disconnect") this.link?.close("queue full");
    return false;
  }

  /** What was in flight stays so: a dropped message makes no room in the window of a client that acknowledges nothing. */
  #dropOldest(queue: SessionQueue): void {
    const index = queue.headIndex + 1;
    if (this.#ahead[0]?.index === index) this.#ahead.shift();
    this.#aheadIndex = Math.max(this.#aheadIndex, index);
    this.#passHead(queue, this.#headFrom(index));
  }

  #finish({ packetId, index }: Sent): void {
    this.#inflight.delete(packetId);
    const { queue } = this;
    if (queue === null || index <= queue.headIndex) return;
    this.#done.add(index);
    const head = this.#headFrom(queue.headIndex);
    if (head > queue.headIndex) this.#passHead(queue, head);
  }

  /** The last index of those that are done without a gap from `head` on. */
  #headFrom(head: number): number {
    let last = head;
    while (this.#done.delete(last + 1)) last++;
    return last;
  }

  #passHead(queue: SessionQueue, head: number): void {
    queue.acknowledge(head);
    for (const index of this.#released) {
      if (index > head) continue;
      this.#released.delete(index);
      this.#world.forgetReleased(this, index);
    }
  }

  /** Sends as much as the window takes, and reads on when nothing is held ready. */
  #pump(): void {
    const { link } = this;
    if (link === null) return;
    while (this.#inflight.size < this.#world.limits.inflightMax) {
      const waiting = this.#waiting.shift();
      if (waiting !== undefined) {
        this.#waitingBytes -= waiting.frame.end - waiting.frame.start;
        this.#sendFromMemory(waiting);
        continue;
      }
      const queued = this.#ahead[0];
      // The identifier is in use when the client has left a message unacknowledged over all of them [MQTT-2.3.1-4].
      if (queued === undefined || this.#inflight.get(queuePacketId(queued.index))) break;
      this.#ahead.shift();
      this.#sendQueued(link, queued);
    }
    if (this.#ahead.length === 0 && this.#aheadIndex < this.#durableIndex) this.#readOn();
  }

  #sendFromMemory({ frame, qos, retain }: Waiting): void {
    const packetId = this.#memoryId();
    this.#inflight.add({ packetId, frame, qos, retain, index: 0, released: false });
    this.#world.counters.sent++;
    this.link?.outbox.publish(frame, qos, retain, false, packetId);
  }

  #memoryId(): number {
    do {
      this.#nextMemoryId =
        this.#nextMemoryId === 65_535 ? QUEUE_ID_MAX + 1 : this.#nextMemoryId + 1;
    } while (this.#inflight.get(this.#nextMemoryId) !== undefined);
    return this.#nextMemoryId;
  }

  /** How many identifiers of messages in memory were given out after this one. */
  #age({ packetId }: Sent): number {
    const age = this.#nextMemoryId - packetId;
    return age < 0 ? age + 65_535 - QUEUE_ID_MAX : age;
  }

  #sendQueued(link: SessionLink, { index, entry }: Queued): void {
    if (this.#done.has(index)) return;
    const frame = publishFrameOf(entry.message);
    const packetId = queuePacketId(index);
    if (this.#released.has(index)) {
      // The client has it, at QoS 2, whatever its subscription says by now.
      this.#inflight.add({ packetId, frame, qos: 2, retain: false, index, released: true });
      link.outbox.acknowledge((PACKET.pubrel << 4) | 2, packetId);
      return;
    }
    const qos = lowerQoS(frame.qos, this.#world.granted(this, frame.topic));
    const sent = { packetId, frame, qos, retain: false, index, released: false };
    this.#world.counters.sent++;
    if (qos === 0) {
      link.outbox.publish(frame, 0, false, false, 0);
      this.#finish(sent);
      return;
    }
    this.#inflight.add(sent);
    link.outbox.publish(frame, qos, false, index <= this.#sentIndex, packetId);
    this.#sentIndex = Math.max(this.#sentIndex, index);
  }

  #readOn(): void {
    if (this.#reading || this.queue === null) return;
    this.#reading = true;
    const { link, queue } = this;
    const limits = { messagesMax: AHEAD_MESSAGES_MAX, bytesMax: AHEAD_BYTES_MAX };
    queue.read(this.#aheadIndex, limits).then(
      (read) => {
        this.#reading = false;
        if (this.link === null) return;
        // A client that came back meanwhile begins at the head again.
        const fresh =
          this.link === link ? read.filter(({ index }) => index > this.#aheadIndex) : [];
        const last = fresh.at(-1);
        if (last !== undefined) {
          this.#ahead = [...fresh];
          this.#aheadIndex = last.index;
          this.#durableIndex = Math.max(this.#durableIndex, last.index);
        }
        if (last !== undefined || this.link !== link) this.#pump();
      },
      (error) => {
        this.#reading = false;
        this.#world.failed(this, error);
      },
    );
  }

  #waitingIsFull(): boolean {
    const { limits } = this.#world;
    return (
      this.#waiting.length >= limits.queueMessagesMax || this.#waitingBytes >= limits.queueBytesMax
    );
  }

  #makeRoomInMemory(): boolean {
    const { limits, counters } = this.#world;
    counters.dropped("queue-full");
    if (limits.queueWhenFull === "drop-oldest") {
      const oldest = this.#waiting.shift();
      if (oldest !== undefined) this.#waitingBytes -= oldest.frame.end - oldest.frame.start;
      return true;
    }
    if (limits.queueWhenFull === "disconnect") this.link?.close("queue full");
    return false;
  }
}

function queuePacketId(index: number): number {
  return 1 + ((index - 1) % QUEUE_ID_MAX);
}
