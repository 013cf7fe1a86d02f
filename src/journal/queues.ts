import { Fifo } from "../base/fifo.ts";
import type { Log } from "../base/log.ts";
import type { Batch, Contributor } from "./batch.ts";
import type { BlockReader } from "./block-reader.ts";
import type { JournalCounters } from "./counters.ts";
import type { GroupCommit } from "./group-commit.ts";
import { type IndexRow, openIndexRow } from "./index-row.ts";
import type { Queue } from "./journal.ts";
import { above, indexKey, indexKeySeq, KEY, kindKey, queueKey, queueKeyNumber } from "./keys.ts";
import { pages } from "./pages.ts";
import { numbersRow, readNumbers } from "./small-row.ts";
import type { Store } from "./store.ts";
import { StoredQueue } from "./stored-queue.ts";

/** What a row in memory costs beside its bytes. */
const ROW_COST = 160;
const SWEEP_ROWS = 64;
/** The row that is looked for is nearly always the first one: rows of large blocks have kilobytes. */
const FIND_ROWS = 2;
const LOAD_AT_ONCE = 32;

/** The durable queues: their names, their rows in memory, and what each commit writes of them. */
export class Queues implements Contributor {
  readonly blocks: BlockReader;
  readonly #store: Store;
  readonly #commit: GroupCommit;
  readonly #counters: JournalCounters;
  readonly #durableSeq: () => number;
  readonly #log: Log;
  readonly #rowBytesMax: number;
  readonly #queues = new Map<string, StoredQueue>();
  readonly #touched = new Set<StoredQueue>();
  readonly #moved = new Set<StoredQueue>();
  #sealed: { readonly queue: StoredQueue; readonly row: IndexRow }[] = [];
  readonly #inMemory = new Fifo<{ readonly queue: StoredQueue; readonly row: IndexRow }>();
  #inMemoryBytes = 0;
  #nextNumber = 1;
  #numberIsNew = false;
  #dropping: StoredQueue[] = [];
  /** Numbers of dropped queues whose rows are still there. */
  readonly #leftovers = new Set<number>();
  #cleared: number[] = [];
  /** First seq of the newest block that a queue knew of when it was loaded. */
  highestSeq = 0;

  constructor(
    parts: {
      store: Store;
      commit: GroupCommit;
      blocks: BlockReader;
      durableSeq: () => number;
      log: Log;
    },
    rowBytesMax: number,
    counters: JournalCounters,
  ) {
    this.#store = parts.store;
    this.#commit = parts.commit;
    this.blocks = parts.blocks;
    this.#durableSeq = parts.durableSeq;
    this.#log = parts.log;
    this.#rowBytesMax = rowBytesMax;
    this.#counters = counters;
  }

  /** Reads the head and the last row of each queue; what lies between stays on disk. */
  async load(): Promise<void> {
    const next = kindKey(KEY.nextQueue);
    const value = await this.#store.get(next);
    this.#nextNumber = (value && readNumbers(next, value, 1)?.numbers[0]) ?? 1;
    for await (const [key] of pages(this.#store, ofKind(KEY.dropped))) {
      this.#leftovers.add(queueKeyNumber(key));
    }
    let loading: Promise<void>[] = [];
    for await (const [key, value] of pages(this.#store, ofKind(KEY.head))) {
      loading.push(this.#loadQueue(key, value));
      if (loading.length < LOAD_AT_ONCE) continue;
      await Promise.all(loading);
      loading = [];
    }
    await Promise.all(loading);
  }

  async #loadQueue(key: Buffer, value: Buffer): Promise<void> {
    const number = queueKeyNumber(key);
    this.#nextNumber = Math.max(this.#nextNumber, number + 1);
    const row = readNumbers(key, value, 3);
    if (row === null) {
      // Without its head row a queue has no name: its references are lost, the entries are not.
      this.#counters.damagedRows++;
      this.#log.error("the head of a queue is damaged: what waited in it is lost", { number });
      this.#leftovers.add(number);
      return;
    }
    const [headIndex = 0, headBytes = 0, rowSeq = 0] = row.numbers;
    const range = { gte: indexKey(number, rowSeq), lt: above(queueKey(KEY.index, number)) };
    let tail = { index: headIndex, bytes: headBytes };
    for await (const [key, value] of pages(this.#store, { ...range, reverse: true, limit: 8 })) {
      const last = this.#open(key, value);
      if (!last) continue;
      this.highestSeq = Math.max(this.highestSeq, last.seq);
      if (last.lastIndex > headIndex) {
        tail = { index: last.lastIndex, bytes: last.bytesBefore + last.bytes };
      }
      break;
    }
    const head = { headIndex, headBytes, rowSeq };
    this.#queues.set(row.text, new StoredQueue(this, row.text, number, head, tail));
  }

  queue(name: string, afterIndex: number): Queue {
    const known = this.#queues.get(name);
    if (known) return known;
    const head = { headIndex: afterIndex, headBytes: 0, rowSeq: this.#durableSeq() + 1 };
    const tail = { index: afterIndex, bytes: 0 };
    const made = new StoredQueue(this, name, this.#nextNumber++, head, tail);
    this.#numberIsNew = true;
    this.#queues.set(name, made);
    this.moved(made);
    return made;
  }

  names(): readonly string[] {
    return [...this.#queues.keys()];
  }

  /** The first block that any queue needs; Infinity when none waits. */
  lowestSeq(): number {
    let lowest = Number.POSITIVE_INFINITY;
    for (const queue of this.#queues.values()) lowest = Math.min(lowest, queue.neededSeq);
    return lowest;
  }

  /** The entry at `position` of the gathering block waits in these queues. */
  note(queues: readonly Queue[], position: number, bytes: number): void {
    for (const queue of queues) {
      if (!(queue instanceof StoredQueue) || queue.isDropped) continue;
      if (queue.note(position, bytes)) this.#touched.add(queue);
    }
  }

  /** The block that was gathering is complete. */
  seal(seq: number): void {
    for (const queue of this.#touched) {
      const row = queue.seal(seq);
      if (row) this.#sealed.push({ queue, row });
      else this.moved(queue);
    }
    this.#touched.clear();
  }

  moved(queue: StoredQueue): void {
    this.#moved.add(queue);
    this.#commit.wantLater();
  }

  drop(queue: StoredQueue): void {
    queue.isDropped = true;
    this.#queues.delete(queue.name);
    this.#moved.delete(queue);
    this.#dropping.push(queue);
    this.#commit.want();
  }

  lost({ name }: StoredQueue, references: number): void {
    this.#counters.missingReferences += references;
    this.#log.error("references of a queue are missing: what they stood for is not delivered", {
      name,
      references,
    });
  }

  contribute(batch: Batch): void {
    if (this.#numberIsNew) {
      const key = kindKey(KEY.nextQueue);
      batch.put(key, numbersRow(key, [this.#nextNumber]));
      this.#numberIsNew = false;
    }
    this.#contributeRows(batch);
    this.#contributeHeads(batch);
    for (const number of this.#cleared) {
      batch.del(queueKey(KEY.dropped, number));
      batch.del(queueKey(KEY.head, number));
    }
    this.#cleared = [];
    this.#contributeDropped(batch);
  }

  #contributeRows(batch: Batch): void {
    const sealed = this.#sealed;
    this.#sealed = [];
    for (const { queue, row } of sealed) {
      if (!queue.isDropped) batch.put(indexKey(queue.number, row.seq), row.value);
    }
    batch.settled.push(() => {
      for (const { queue, row } of sealed) {
        if (queue.isDropped) continue;
        queue.settle(row);
        this.#inMemory.push({ queue, row });
        this.#inMemoryBytes += row.value.length + ROW_COST;
      }
      this.#evict();
    });
  }

  #contributeHeads(batch: Batch): void {
    for (const queue of this.#moved) {
      const key = queueKey(KEY.head, queue.number);
      const { headIndex, headBytes, rowSeq } = queue.head;
      batch.put(key, numbersRow(key, [headIndex, headBytes, rowSeq], queue.name));
      for (const seq of queue.takePassed()) batch.del(indexKey(queue.number, seq));
    }
    this.#moved.clear();
  }

  #contributeDropped(batch: Batch): void {
    const dropping = this.#dropping;
    this.#dropping = [];
    for (const queue of dropping) {
      const key = queueKey(KEY.dropped, queue.number);
      batch.del(queueKey(KEY.head, queue.number));
      batch.put(key, numbersRow(key, []));
    }
    batch.settled.push(() => {
      for (const queue of dropping) this.#leftovers.add(queue.number);
    });
  }

  #evict(): void {
    while (this.#inMemoryBytes > this.#rowBytesMax) {
      const oldest = this.#inMemory.shift();
      if (!oldest) return;
      this.#inMemoryBytes -= oldest.row.value.length + ROW_COST;
      oldest.queue.evict(oldest.row);
    }
  }

  /** The row of a queue that has `index`, or the next one, among those that are on disk only. */
  async rowFrom(queue: StoredQueue, index: number, seq: number): Promise<IndexRow | null> {
    const endSeq = Math.min(queue.memorySeq, this.#durableSeq() + 1);
    const gte = indexKey(queue.number, seq);
    const range = { gte, lt: indexKey(queue.number, endSeq), rowsMax: FIND_ROWS };
    for await (const [key, value] of pages(this.#store, range)) {
      const row = this.#open(key, value);
      if (row && row.lastIndex >= index) return row;
    }
    return null;
  }

  /** Deletes, with the next commits, rows that were passed and are not in memory, and what dropped queues left. */
  async sweep(signal: AbortSignal): Promise<void> {
    for (const queue of [...this.#queues.values()]) {
      while (queue.needsSweep && !signal.aborted) await this.#sweepQueue(queue);
    }
    for (const number of [...this.#leftovers]) {
      if (signal.aborted) return;
      await this.#store.clear(queueKey(KEY.index, number), above(queueKey(KEY.index, number)));
      this.#leftovers.delete(number);
      this.#cleared.push(number);
      this.#commit.wantLater();
    }
  }

  async #sweepQueue(queue: StoredQueue): Promise<void> {
    const endSeq = Math.min(queue.memorySeq, this.#durableSeq() + 1);
    const rows = await this.#store.page({
      gte: indexKey(queue.number, queue.head.rowSeq),
      lt: indexKey(queue.number, endSeq),
      rowsMax: SWEEP_ROWS,
      bytesMax: 2 ** 30,
    });
    const passed: number[] = [];
    let next = rows.length < SWEEP_ROWS ? endSeq : 0;
    for (const [key, value] of rows) {
      const row = this.#open(key, value);
      next = Math.max(next, indexKeySeq(key) + 1);
      if (row && row.lastIndex > queue.headIndex) {
        next = row.seq;
        break;
      }
      passed.push(indexKeySeq(key));
    }
    // Rows that left memory meanwhile lie behind endSeq: then there is more on disk than was seen.
    const isLast = next >= endSeq && Math.min(queue.memorySeq, this.#durableSeq() + 1) === endSeq;
    queue.swept(next, passed, isLast);
    if (passed.length > 0) this.moved(queue);
  }

  #open(key: Buffer, value: Buffer): IndexRow | null {
    const row = openIndexRow(key, indexKeySeq(key), value);
    if (row === null) this.#counters.damagedRows++;
    return row;
  }
}

function ofKind(kind: number): { gte: Buffer; lt: Buffer } {
  return { gte: kindKey(kind), lt: above(kindKey(kind)) };
}
