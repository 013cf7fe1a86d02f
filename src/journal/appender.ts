import type { Message } from "../mqtt/message.ts";
import type { Batch, Contributor } from "./batch.ts";
import { type Block, type BlockStamp, entryBytesOf, LANES, laneTotalsOf } from "./block.ts";
import { BlockWriter } from "./block-writer.ts";
import type { JournalCounters } from "./counters.ts";
import { blockKey } from "./keys.ts";

/** Where the journal stood when it was opened. */
export interface Position {
  readonly lastSeq: number;
  /** Seqs to leave out before the next entry. */
  readonly skip: number;
  /** Seqs up to the last one that are missing, as has been reported: for later readers they were left out too. */
  readonly missed: number;
  readonly laneTotals: readonly number[];
  /** Bytes of all blocks that were ever written. */
  readonly bytes: number;
}

/** A wall clock that goes further from one entry to the next was set: the entries do not share a stamp. */
const STEP_MS = 1000;

/** A block counts so many one by one. */
const LEFT_OUT_MAX = 2 ** 32 - 1;

/** Gives out seqs and gathers entries into blocks. */
export class Appender implements Contributor {
  readonly #writer = new BlockWriter();
  readonly #blockBytesMax: number;
  readonly #counters: JournalCounters;
  /** Told of each block before it is written, and again once it is durable. */
  readonly #blocks: { sealed(block: Block): void; durable(block: Block): void };
  readonly #stampNow: () => BlockStamp | null;
  #stamp: BlockStamp | null = null;
  #lastWallMs = 0;
  #sealed: Block[] = [];
  #unsettledBytes = 0;
  #skip = 0;
  #missed = 0;
  #bytes = 0;

  lastSeq = 0;
  durableSeq = 0;
  laneTotals: number[] = new Array(LANES).fill(0);

  constructor(
    blockBytesMax: number,
    counters: JournalCounters,
    blocks: { sealed(block: Block): void; durable(block: Block): void },
    stampNow: () => BlockStamp | null = () => null,
  ) {
    this.#stampNow = stampNow;
    this.#blockBytesMax = blockBytesMax;
    this.#counters = counters;
    this.#blocks = blocks;
  }

  begin(at: Position): void {
    this.lastSeq = at.lastSeq;
    this.durableSeq = at.lastSeq;
    this.laneTotals = [...at.laneTotals];
    this.#skip = at.skip;
    this.#missed = at.missed;
    this.#bytes = at.bytes;
  }

  /** Bytes of all blocks that were ever written. */
  get bytes(): number {
    return this.#bytes;
  }
  /** Bytes taken in that are not durable. */
  get pendingBytes(): number {
    return this.#writer.bytes + this.#unsettledBytes;
  }
  /** Place in the gathering block of the entry that was added last, from 0. */
  get position(): number {
    return this.#writer.count - 1;
  }

  append(message: Message, lane: number, wallMs: number): number {
    if (this.#writer.bytes >= this.#blockBytesMax || this.#hasStepped(wallMs)) this.#seal();
    if (this.#writer.count === 0) this.#stamp = this.#stampNow();
    this.#lastWallMs = wallMs;
    this.#writer.add(message, lane, wallMs);
    this.laneTotals[lane] = (this.laneTotals[lane] ?? 0) + 1;
    if (this.#skip > 0 && this.#writer.count === 1) this.lastSeq += this.#skip;
    return ++this.lastSeq;
  }

  /** Takes a block of the journal that this one is a copy of, as it is. */
  take(block: Block): void {
    this.lastSeq = block.lastSeq;
    this.laneTotals = laneTotalsOf(block);
    this.#bytes = block.bytesBefore;
    this.#add(block);
  }

  contribute(batch: Batch): void {
    if (this.#writer.count > 0) this.#seal();
    const sealed = this.#sealed;
    this.#sealed = [];
    for (const block of sealed) batch.put(blockKey(block.firstSeq), block.value);
    batch.settled.push(() => {
      for (const block of sealed) this.#settle(block);
    });
  }

  #hasStepped(wallMs: number): boolean {
    if (this.#stamp === null || this.#writer.count === 0) return false;
    return Math.abs(wallMs - this.#lastWallMs) > STEP_MS;
  }

  #seal(): void {
    const firstSeq = this.lastSeq - this.#writer.count + 1;
    const totals = this.laneTotals;
    const leftOut =
      this.#missed === 0 ? this.#skip : Math.min(this.#skip + this.#missed, LEFT_OUT_MAX);
    const block = this.#writer.seal(firstSeq, leftOut, this.#bytes, totals, this.#stamp);
    this.#skip = 0;
    this.#missed = 0;
    this.#add(block);
  }

  #add(block: Block): void {
    this.#bytes += block.value.length;
    this.#unsettledBytes += block.value.length;
    this.#sealed.push(block);
    this.#blocks.sealed(block);
  }

  #settle(block: Block): void {
    this.#unsettledBytes -= block.value.length;
    this.durableSeq = block.lastSeq;
    this.#counters.entries += block.lastSeq - block.firstSeq + 1;
    this.#counters.entryBytes += entryBytesOf(block);
    this.#blocks.durable(block);
  }
}
