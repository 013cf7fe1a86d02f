import { Fifo } from "../base/fifo.ts";
import type { Rows } from "../base/rows.ts";
import type { Message } from "../mqtt/message.ts";
import { isSpace } from "./site-log.ts";

/** What is changed of a journal. */
interface Kept<Queue, OwnRows> {
  readonly lastSeq: number;
  readonly durableSeq: number;
  onCommit(listener: (durableSeq: number) => void): () => void;
  append(message: Message, lane: number, wallMs: number, queues: readonly Queue[]): number;
  committed(): Promise<void>;
  queue(name: string, afterIndex?: number): Queue;
  queueNames(): readonly string[];
  rows(space: string): OwnRows;
  /** Of what is durable up to `seq`, up to where it is so together with what other gateways must know of it. */
  through?(seq: number): number;
}

interface Release {
  readonly releasedSeq: number;
  covered(seq: number): Promise<void>;
  follow(listener: (releasedSeq: number) => void): () => void;
  checkNotAlone(): void;
}

/**
 * A journal to whom entries are durable when a peer in sync has them too: whoever acknowledges by it keeps the promise of
 * `durability: safe`. So are rows that peers have a copy of; positions of queues are durable when they are on this disk.
 */
export class SafeJournal<Queue, OwnRows extends Rows> {
  readonly #journal: Kept<Queue, OwnRows>;
  readonly #release: Release;
  /** What was taken, in bytes, when the journal was durable up to there. */
  readonly #marks = new Fifo<{ readonly seq: number; readonly takenBytes: number }>();
  #takenBytes = 0;
  #releasedBytes = 0;
  #isFollowing = false;

  constructor(journal: Kept<Queue, OwnRows>, release: Release) {
    this.#journal = journal;
    this.#release = release;
  }

  get lastSeq(): number {
    return this.#journal.lastSeq;
  }
  get durableSeq(): number {
    return this.#through(this.#release.releasedSeq);
  }
  /** Taken in, and not on the disk here and there: whoever feeds the journal is slowed by a slow peer too. */
  get pendingBytes(): number {
    const { releasedSeq } = this.#release;
    for (
      let mark = this.#marks.peek();
      mark && mark.seq <= releasedSeq;
      mark = this.#marks.peek()
    ) {
      this.#releasedBytes = mark.takenBytes;
      this.#marks.shift();
    }
    return this.#takenBytes - this.#releasedBytes;
  }

  /** @throws FieldgateError also ERR_PEER_NONE, when no peer is in sync and that is not accepted */
  append(message: Message, lane: number, wallMs: number, queues: readonly Queue[]): number {
    this.#release.checkNotAlone();
    const seq = this.#journal.append(message, lane, wallMs, queues);
    if (!this.#isFollowing) {
      this.#isFollowing = true;
      this.#journal.onCommit((durableSeq) => {
        this.#marks.push({ seq: durableSeq, takenBytes: this.#takenBytes });
      });
    }
    this.#takenBytes += message.topic.length + message.payload.length;
    return seq;
  }

  committed(): Promise<void> {
    return this.#journal.committed();
  }
  onCommit(listener: (durableSeq: number) => void): () => void {
    return this.#release.follow((releasedSeq) => listener(this.#through(releasedSeq)));
  }
  queue(name: string, afterIndex?: number): Queue {
    return this.#journal.queue(name, afterIndex);
  }
  queueNames(): readonly string[] {
    return this.#journal.queueNames();
  }
  #through(seq: number): number {
    return this.#journal.through?.(seq) ?? seq;
  }

  rows(space: string): OwnRows {
    const rows = this.#journal.rows(space);
    if (!isSpace(space)) return rows;
    const covered = () => this.#release.covered(this.#journal.lastSeq);
    const safe: Rows = {
      get: (key) => rows.get(key),
      entries: (range) => rows.entries(range),
      put: (key, value) => rows.put(key, value).then(covered),
      del: (key) => rows.del(key).then(covered),
      clear: (range) => rows.clear(range).then(covered),
    };
    return safe as OwnRows;
  }
}
