import { PublishFrame, payloadBytesOf } from "../mqtt/publish-frame.ts";
import type { Queued, SessionQueue } from "./ports.ts";

const READY_MESSAGES_MAX = 256;
const READY_BYTES_MAX = 256 * 1024;
/** So many are about to leave: they stay where they came. More would keep that memory, large chunks perhaps. */
const PASSING_MAX = 32;

/**
 * A durable queue as its reader sees it: a few messages held ready in memory, the others read when their turn comes,
 * and what was dealt with out of order until the head of the queue has passed it.
 *
 *     head ─▶ │ in flight, some done │ ready │ on disk only │ ◀─ durable
 */
export class Backlog {
  readonly queue: SessionQueue;
  #ready: Queued[] = [];
  #readyBytes = 0;
  /** The index of the last message that was taken or is held ready. */
  #readyIndex: number;
  /** The newest index known to be durable. */
  #durableIndex: number;
  /** Dealt with, beyond the head. */
  readonly #done = new Set<number>();
  #reading = false;
  #resting = 0;
  /** Whether some that are held ready may still lie where they came. */
  #isPassing = false;

  constructor(queue: SessionQueue) {
    this.queue = queue;
    this.#readyIndex = queue.headIndex;
    this.#durableIndex = queue.tailIndex;
  }

  get durableIndex(): number {
    return this.#durableIndex;
  }

  /** Messages that were not dealt with. */
  get waiting(): number {
    return this.queue.tailIndex - this.queue.headIndex - this.#done.size;
  }

  /** The next message, when one is held ready. */
  get next(): Queued | undefined {
    for (let first = this.#ready[0]; first !== undefined; first = this.#ready[0]) {
      if (!this.isDone(first.index)) return first;
      this.shift();
    }
    return undefined;
  }

  /** The index of the next message, held ready or not; null when there is none. */
  nextIndex(): number | null {
    const { next } = this;
    if (next !== undefined) return next.index;
    const { tailIndex } = this.queue;
    while (this.#readyIndex < tailIndex && this.isDone(this.#readyIndex + 1)) this.#readyIndex++;
    return this.#readyIndex < tailIndex ? this.#readyIndex + 1 : null;
  }

  /** Takes the next message away: it is in flight, or dealt with. */
  shift(): void {
    const first = this.#ready.shift();
    if (first !== undefined) this.#readyBytes -= bytesOf(first);
  }

  isDone(index: number): boolean {
    return index <= this.queue.headIndex || this.#done.has(index);
  }

  /** A message of the queue is on disk. It is held ready when it is the next one and `wanted` soon. */
  arrived(index: number, frame: PublishFrame, wanted: boolean): void {
    this.#durableIndex = Math.max(this.#durableIndex, index);
    if (!wanted || this.#reading || index !== this.#readyIndex + 1) return;
    const { length } = this.#ready;
    if (length >= READY_MESSAGES_MAX || this.#readyBytes >= READY_BYTES_MAX) return;
    const isPassing = length < PASSING_MAX;
    this.#isPassing ||= isPassing;
    const queued = { index, entry: { seq: 0, message: isPassing ? frame : frame.kept() } };
    this.#ready.push(queued);
    this.#readyBytes += bytesOf(queued);
    this.#readyIndex = index;
  }

  /** Called every now and then: those that were passing have stayed, and get memory of their own. */
  settle(): void {
    if (!this.#isPassing) return;
    this.#isPassing = false;
    this.#ready = this.#ready.map(staying);
  }

  /** Its reader is away: nothing is held ready meanwhile, and what was comes next when it is back. */
  rest(): void {
    const [first] = this.#ready;
    if (first !== undefined) this.#readyIndex = first.index - 1;
    this.#ready = [];
    this.#readyBytes = 0;
    this.#resting++;
  }

  /** Marks a message as dealt with. Tells whether the head has moved over it. */
  done(index: number): boolean {
    const { queue } = this;
    if (index <= queue.headIndex) return false;
    this.#done.add(index);
    let head = queue.headIndex;
    while (this.#done.delete(head + 1)) head++;
    if (head === queue.headIndex) return false;
    this.#readyIndex = Math.max(this.#readyIndex, head);
    queue.acknowledge(head);
    return true;
  }

  /** Whether nothing is held ready though something waits, and nobody reads. */
  get isBehind(): boolean {
    return this.next === undefined && this.#readyIndex < this.#durableIndex && !this.#reading;
  }

  /** Reads on. What damage has taken away is dealt with: neither the next message nor the head waits for it. */
  async read(): Promise<void> {
    const { queue } = this;
    const resting = this.#resting;
    const after = this.#readyIndex;
    const through = this.#durableIndex;
    this.#reading = true;
    let read: readonly Queued[];
    try {
      read = await queue.read(after, {
        messagesMax: READY_MESSAGES_MAX,
        bytesMax: READY_BYTES_MAX,
      });
    } finally {
      this.#reading = false;
    }
    let before = after;
    for (const { index } of read) {
      this.#lost(before, index);
      before = index;
    }
    if (read.length === 0) this.#lost(before, through + 1);
    if (resting !== this.#resting) return;
    const last = read.at(-1)?.index ?? through;
    this.#ready = read.filter(({ index }) => !this.isDone(index));
    this.#readyBytes = this.#ready.reduce((sum, queued) => sum + bytesOf(queued), 0);
    this.#readyIndex = Math.max(this.#readyIndex, last);
    this.#durableIndex = Math.max(this.#durableIndex, last);
  }

  #lost(after: number, before: number): void {
    for (let index = Math.max(after, this.queue.headIndex) + 1; index < before; index++) {
      this.done(index);
    }
  }
}

/** The same, not in the chunk in which it came. */
export function staying(queued: Queued): Queued {
  const { index, entry } = queued;
  if (!(entry.message instanceof PublishFrame)) return queued;
  const message = entry.message.kept();
  return message === entry.message ? queued : { index, entry: { ...entry, message } };
}

function bytesOf({ entry: { message } }: Queued): number {
  return message.topic.length + payloadBytesOf(message);
}
