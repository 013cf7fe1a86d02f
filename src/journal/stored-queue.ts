import { EntryWalk } from "./block.ts";
import { type IndexRow, indexRow, positionsOf } from "./index-row.ts";
import type { Queue, Queued, ReadLimits } from "./journal.ts";
import { indexKey } from "./keys.ts";
import type { Queues } from "./queues.ts";

/** Where a queue stands, as its head row says. */
export interface QueueHead {
  readonly headIndex: number;
  readonly headBytes: number;
  /** No index row of a lower block is left. */
  readonly rowSeq: number;
}

/**
 * One queue. Its references are in index rows, one a block. The newest rows are also in memory (`#rows`); older ones, when
 * there are, only on disk (`onDisk`).
 *
 *     headIndex ─▶ │ rows on disk only │ rows in memory │ in flight │ gathering │ ◀─ tailIndex
 */
export class StoredQueue implements Queue {
  readonly name: string;
  readonly number: number;
  readonly #queues: Queues;
  #head: QueueHead;
  #tailIndex: number;
  #tailBytes: number;
  readonly #rows: IndexRow[] = [];
  #passedSeqs: number[] = [];
  #gathering: number[] = [];
  #gatheringBytes = 0;
  #hint: IndexRow | null = null;
  #sweptIndex: number;
  #lostThrough = 0;
  /** There are rows that are not in memory. */
  onDisk: boolean;
  isDropped = false;

  constructor(
    queues: Queues,
    name: string,
    number: number,
    head: QueueHead,
    tail: { readonly index: number; readonly bytes: number },
  ) {
    this.#queues = queues;
    this.name = name;
    this.number = number;
    this.#head = head;
    this.#tailIndex = tail.index;
    this.#tailBytes = tail.bytes;
    this.#sweptIndex = head.headIndex;
    this.onDisk = tail.index > head.headIndex;
  }

  get headIndex(): number {
    return this.#head.headIndex;
  }
  get tailIndex(): number {
    return this.#tailIndex;
  }
  get bytes(): number {
    return this.#tailBytes - this.#head.headBytes;
  }
  get head(): QueueHead {
    return this.#head;
  }

  /** The first block that must stay for this queue; Infinity when nothing durable waits. */
  get neededSeq(): number {
    if (this.headIndex === this.#tailIndex) return Number.POSITIVE_INFINITY;
    if (this.onDisk) return this.#head.rowSeq;
    return this.#rows[0]?.seq ?? Number.POSITIVE_INFINITY;
  }

  /** There may be rows on disk that were passed. */
  get needsSweep(): boolean {
    return this.onDisk && !this.isDropped && this.#sweptIndex !== this.headIndex;
  }

  /** A reference to the entry at `position` of the block that is gathering. True for the first one. */
  note(position: number, bytes: number): boolean {
    this.#gathering.push(position);
    this.#gatheringBytes += bytes;
    this.#tailIndex++;
    this.#tailBytes += bytes;
    return this.#gathering.length === 1;
  }

  /** The row of what gathered, now that its block is complete; null when all of it was acknowledged already. */
  seal(seq: number): IndexRow | null {
    const positions = this.#gathering;
    const bytes = this.#gatheringBytes;
    this.#gathering = [];
    this.#gatheringBytes = 0;
    if (this.isDropped || positions.length === 0 || this.#tailIndex <= this.headIndex) return null;
    const firstIndex = this.#tailIndex - positions.length + 1;
    const bytesBefore = this.#tailBytes - bytes;
    return indexRow(indexKey(this.number, seq), { seq, firstIndex, bytesBefore, bytes }, positions);
  }

  /** A row of this queue is durable. */
  settle(row: IndexRow): void {
    this.#rows.push(row);
    this.#pass();
  }

  /** The oldest row in memory has to leave it. */
  evict(row: IndexRow): void {
    if (this.#rows[0] !== row) return;
    this.#rows.shift();
    if (!this.onDisk) this.#head = { ...this.#head, rowSeq: row.seq };
    this.onDisk = true;
  }

  acknowledge(throughIndex: number): void {
    const headIndex = Math.min(throughIndex, this.#tailIndex);
    if (this.isDropped || headIndex <= this.headIndex) return;
    this.#head = { ...this.#head, headIndex, headBytes: this.#bytesThrough(headIndex) };
    this.#pass();
    this.#queues.moved(this);
  }

  drop(): void {
    if (!this.isDropped) this.#queues.drop(this);
  }

  async read(afterIndex: number, limits: ReadLimits): Promise<readonly Queued[]> {
    const taker = new Taker(limits, Math.max(afterIndex, this.headIndex));
    let lostThrough = afterIndex;
    while (!taker.isFull) {
      const row = await this.#rowWith(taker.after + 1);
      if (!row || this.isDropped) break;
      this.#missRows(taker.after, row);
      const block = await this.#queues.blocks.block(row.seq);
      if (block) {
        taker.take(row, new EntryWalk(block, this.#queues.blocks.dating.timeOf(block)));
        continue;
      }
      this.#lost(Math.max(taker.after, row.firstIndex - 1), row.lastIndex);
      taker.after = row.lastIndex;
      if (taker.found.length === 0) lostThrough = row.lastIndex;
    }
    // References at the head whose entries are lost can be read by nobody: they are passed, so that nobody waits.
    if (lostThrough > afterIndex && this.headIndex >= afterIndex) this.acknowledge(lostThrough);
    return taker.found;
  }

  /** Indexes follow each other: where they do not, rows are gone. */
  #missRows(afterIndex: number, next: IndexRow): void {
    this.#lost(afterIndex, next.firstIndex - 1);
  }

  /** Counts the references behind `afterIndex` up to `throughIndex`, once. */
  #lost(afterIndex: number, throughIndex: number): void {
    const from = Math.max(afterIndex, this.#lostThrough);
    if (throughIndex <= from) return;
    this.#lostThrough = throughIndex;
    this.#queues.lost(this, throughIndex - from);
  }

  /** Keys of rows that were passed and can go with the next commit. */
  takePassed(): number[] {
    const seqs = this.#passedSeqs;
    this.#passedSeqs = [];
    return seqs;
  }

  /** Rows on disk below `rowSeq` were all passed; `isLast` when none is left that is not in memory. */
  swept(rowSeq: number, passed: readonly number[], isLast: boolean): void {
    this.#head = { ...this.#head, rowSeq: Math.max(rowSeq, this.#head.rowSeq) };
    for (const seq of passed) this.#passedSeqs.push(seq);
    if (isLast) this.onDisk = false;
    if (passed.length === 0) this.#sweptIndex = this.headIndex;
  }

  /** First block of the rows in memory. */
  get memorySeq(): number {
    return this.#rows[0]?.seq ?? Number.POSITIVE_INFINITY;
  }

  #pass(): void {
    for (let row = this.#rows[0]; row; row = this.#rows[0]) {
      if (row.lastIndex > this.headIndex) return;
      this.#rows.shift();
      this.#passedSeqs.push(row.seq);
      if (!this.onDisk) this.#head = { ...this.#head, rowSeq: row.seq + 1 };
      this.#queues.moved(this);
    }
  }

  /** The row that has `index`, or the next one there is. */
  async #rowWith(index: number): Promise<IndexRow | null> {
    const first = this.#rows[0];
    if (this.onDisk && (!first || index < first.firstIndex)) {
      const row = await this.#rowOnDisk(index);
      if (row) return row;
    }
    return this.#rows.find((row) => row.lastIndex >= index) ?? null;
  }

  /** Readers go forward, so the search begins where the last one ended. */
  async #rowOnDisk(index: number): Promise<IndexRow | null> {
    const hint = this.#hint;
    if (hint && hint.firstIndex <= index && index <= hint.lastIndex) return hint;
    const fromSeq = hint && hint.lastIndex < index ? hint.seq + 1 : 0;
    this.#hint = await this.#queues.rowFrom(this, index, Math.max(fromSeq, this.#head.rowSeq));
    return this.#hint;
  }

  /**
   * Bytes of all references up to an index. Exact at the ends of the queue and of each row that is known; in between,
   * as if all references of the row had the same size.
   */
  #bytesThrough(index: number): number {
    if (index === this.#tailIndex) return this.#tailBytes;
    let from = { index: this.headIndex, bytes: this.#head.headBytes };
    let to = { index: this.#tailIndex, bytes: this.#tailBytes };
    const narrow = (row: IndexRow) => {
      const begin = { index: row.firstIndex - 1, bytes: row.bytesBefore };
      const end = { index: row.lastIndex, bytes: row.bytesBefore + row.bytes };
      for (const mark of [begin, end]) {
        if (mark.index <= index && mark.index >= from.index) from = mark;
        if (mark.index >= index && mark.index <= to.index) to = mark;
      }
      return row.lastIndex >= index;
    };
    if (this.#hint) narrow(this.#hint);
    this.#rows.find(narrow);
    if (to.index === from.index) return from.bytes;
    const share = (index - from.index) / (to.index - from.index);
    return Math.round(from.bytes + (to.bytes - from.bytes) * share);
  }
}

/** Takes references from rows until the limits are reached. */
class Taker {
  readonly found: Queued[] = [];
  isFull = false;
  /** Index up to which everything was looked at. */
  after: number;
  readonly #limits: ReadLimits;
  #bytes = 0;

  constructor(limits: ReadLimits, after: number) {
    this.#limits = limits;
    this.after = after;
  }

  /** @param walk at the beginning of the row's block */
  take(row: IndexRow, walk: EntryWalk): void {
    let index = row.firstIndex - 1;
    for (const position of positionsOf(row)) {
      index++;
      if (index <= this.after) continue;
      while (walk.position < position && walk.next());
      if (!this.#fits(walk.bytes)) {
        this.isFull = true;
        return;
      }
      this.found.push({ index, entry: walk.entry() });
      this.#bytes += walk.bytes;
      this.after = index;
    }
  }

  #fits(bytes: number): boolean {
    if (this.found.length >= this.#limits.messagesMax) return false;
    return this.found.length === 0 || this.#bytes + bytes <= this.#limits.bytesMax;
  }
}
