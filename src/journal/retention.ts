import { errorFields } from "../base/errors.ts";
import type { Batch, Contributor } from "./batch.ts";
import { type Block, entriesThrough } from "./block.ts";
import type { BlockReader } from "./block-reader.ts";
import type { JournalCounters } from "./counters.ts";
import type { Cursors } from "./cursors.ts";
import type { Trimmed } from "./end-mark.ts";
import type { GroupCommit } from "./group-commit.ts";
import { blockKey, KEY, kindKey } from "./keys.ts";
import type { JournalOptions, JournalTools } from "./options.ts";
import type { Queues } from "./queues.ts";
import type { Shedding } from "./shedding.ts";
import { numbersRow, readNumbers } from "./small-row.ts";
import type { Space } from "./space.ts";
import type { Store } from "./store.ts";

/** Deleted bytes are given back once there are so many of them, or this share of bytesMax if that is less. */
const COMPACT_BYTES = 32 * 2 ** 20;
const COMPACT_SHARE = 1 / 16;
/**
 * Trimming is looked at after so many bytes too: blocks that are deleted before LevelDB merges their table for the first time
 * are not written again.
 */
const TRIM_EVERY_BYTES = 4 * 2 ** 20;
/** When the store is nearly full, it is tidied after a commit too, so much more often. */
const HURRY_SHARE = 1 / 20;
/** So often, at most, something is given up before cursors and queues are looked at again. */
const SHED_ROUNDS = 16;

export interface RetentionParts {
  readonly store: Store;
  readonly commit: GroupCommit;
  readonly blocks: BlockReader;
  readonly cursors: Cursors;
  readonly queues: Queues;
  readonly space: Space;
  readonly shedding: Shedding;
  readonly durableSeq: () => number;
}

/**
 * Trims, in the background, what all cursors and queues have passed. What allows it is made durable first, so that after a
 * crash no reader stands before what is gone. The last block always stays: it knows the last seq and the lanes' totals.
 */
export class Retention implements Contributor {
  readonly #parts: RetentionParts;
  readonly #options: JournalOptions;
  readonly #tools: JournalTools;
  readonly #counters: JournalCounters;
  #stopTimer: () => void = () => {};
  #ending = new AbortController();
  #running: Promise<void> | null = null;
  #lookedAtMs = 0;
  #neededSeq = 0;
  #isMoved = false;
  #hasCleared = false;
  #garbageBytes = 0;
  #lookedAtBytes = 0;
  #trimmed: Trimmed = { seq: 0, bytes: 0, entries: 0 };

  constructor(
    parts: RetentionParts,
    options: JournalOptions,
    tools: JournalTools,
    counters: JournalCounters,
  ) {
    this.#parts = parts;
    this.#options = options;
    this.#tools = tools;
    this.#counters = counters;
  }

  /** @param noted what was trimmed when that was last noted beside the store, for when the row is damaged */
  async load(noted: Trimmed | undefined): Promise<void> {
    const key = kindKey(KEY.trimmed);
    const value = await this.#parts.store.get(key);
    const row = value && readNumbers(key, value, 3);
    if (row === null) this.#counters.damagedRows++;
    const [seq = 0, bytes = 0, entries = 0] = row?.numbers ?? [];
    this.#trimmed = noted !== undefined && noted.seq > seq ? noted : { seq, bytes, entries };
  }

  /** Everything up to its seq is gone, or may be. */
  get trimmed(): Trimmed {
    return this.#trimmed;
  }
  get trimmedSeq(): number {
    return this.#trimmed.seq;
  }

  /** Nothing is kept of what was before the first block of a copy. */
  beginAt(block: Block): void {
    this.#trimmed = before(block);
    this.#isMoved = true;
  }

  start(): void {
    this.#ending = new AbortController();
    const { clock } = this.#tools;
    const stopTimer = clock.every(this.#options.tidyEveryMs, () => this.#look());
    const unfollow = this.#parts.commit.onCommit(() => this.#committed());
    this.#stopTimer = () => {
      stopTimer();
      unfollow();
    };
  }

  #look(): void {
    this.#lookedAtMs = this.#tools.clock.monotonicMs();
    if (!this.#running) void this.tidy(this.#trimBytesMin());
  }

  #committed(): void {
    if (this.#running !== null) return;
    const { bytesWritten } = this.#counters;
    const hurryMs = this.#options.tidyEveryMs * HURRY_SHARE;
    if (this.#parts.space.isTight(0)) {
      if (this.#tools.clock.monotonicMs() - this.#lookedAtMs >= hurryMs) this.#look();
      return;
    }
    if (bytesWritten - this.#lookedAtBytes < TRIM_EVERY_BYTES) return;
    this.#lookedAtBytes = bytesWritten;
    void this.#alone(() => this.#trim(this.#trimBytesMin()));
  }

  /** When the store is nearly full, anything is worth it. */
  #trimBytesMin(): number {
    if (this.#parts.space.isTight(0)) return 0;
    return Math.min(this.#options.trimBytesMin, this.#options.bytesMax * COMPACT_SHARE);
  }

  /** Begins nothing more. What runs may still wait for a commit. */
  end(): void {
    this.#stopTimer();
    this.#ending.abort();
  }

  /** Resolves when nothing is left running. */
  async ended(): Promise<void> {
    await this.#running;
  }

  /** Trims if that frees `bytesMin`, compacts if that is worth it, or if 0 was asked for, and measures. One at a time. */
  async tidy(bytesMin: number): Promise<void> {
    // Another one may begin before this one is through to here.
    while (this.#running !== null) await this.#running;
    if (this.#ending.signal.aborted) return;
    await this.#alone(() => this.#tidy(bytesMin));
  }

  async #alone(task: () => Promise<void>): Promise<void> {
    this.#running = task().catch((error) => {
      if (this.#ending.signal.aborted) return;
      this.#neededSeq = 0;
      this.#tools.log.warn("trimming failed; it is tried again", errorFields(error));
    });
    try {
      await this.#running;
    } finally {
      this.#running = null;
    }
  }

  contribute(batch: Batch): void {
    if (!this.#isMoved) return;
    this.#isMoved = false;
    const key = kindKey(KEY.trimmed);
    const { seq, bytes, entries } = this.#trimmed;
    batch.put(key, numbersRow(key, [seq, bytes, entries]));
  }

  async #tidy(bytesMin: number): Promise<void> {
    const { commit, queues, space } = this.#parts;
    if (commit.state.get().at !== "open") return;
    await queues.sweep(this.#ending.signal);
    await this.#trim(bytesMin);
    await space.look();
    const worth = Math.min(COMPACT_BYTES, this.#options.bytesMax * COMPACT_SHARE);
    if (this.#garbageBytes >= (bytesMin === 0 ? 1 : worth)) await this.#compact();
    await this.#shed();
  }

  /** Gives up what lanes may give up, until there is room. */
  async #shed(): Promise<void> {
    const { shedding, store, space } = this.#parts;
    for (let round = 0; round < SHED_ROUNDS && space.wantsRoom; round++) {
      this.#ending.signal.throwIfAborted();
      const shed = await shedding.shed();
      if (shed === null) return;
      await this.#trim(0);
      await store.compact(blockKey(shed.fromSeq), blockKey(shed.throughSeq + 1));
      await this.#compact();
    }
    if (!space.wantsRoom) shedding.enough();
  }

  async #trim(bytesMin: number): Promise<void> {
    const keep = await this.#firstToKeep(bytesMin);
    if (keep && keep.bytesBefore - this.#trimmed.bytes >= Math.max(1, bytesMin)) {
      await this.#trimTo(keep);
    }
  }

  /** The first block that someone needs; null when it is known that nothing can go. */
  async #firstToKeep(bytesMin: number): Promise<Block | null> {
    const { cursors, queues, blocks, durableSeq } = this.#parts;
    const neededSeq = Math.min(cursors.lowestSeq() + 1, queues.lowestSeq(), durableSeq());
    const isKnown = neededSeq === this.#neededSeq && bytesMin > 0;
    this.#neededSeq = neededSeq;
    if (neededSeq <= this.trimmedSeq + 1 || isKnown) return null;
    return await blocks.blockAround(neededSeq);
  }

  async #trimTo(keep: Block): Promise<void> {
    const { store, commit } = this.#parts;
    // The first time after a start from the very front: deletes that a crash undid are repeated.
    const from = blockKey(this.#hasCleared ? this.trimmedSeq : 0);
    const trimmed = before(keep);
    const bytes = trimmed.bytes - this.#trimmed.bytes;
    this.#counters.trimmedEntries += trimmed.entries - this.#trimmed.entries;
    this.#counters.trimmedBytes += bytes;
    this.#trimmed = trimmed;
    this.#isMoved = true;
    commit.want();
    await commit.flush();
    this.#ending.signal.throwIfAborted();
    await store.clear(from, blockKey(keep.firstSeq));
    this.#hasCleared = true;
    this.#garbageBytes += bytes;
  }

  async #compact(): Promise<void> {
    const { store, space } = this.#parts;
    this.#garbageBytes = 0;
    this.#counters.compactions++;
    await store.compact(blockKey(0), blockKey(this.trimmedSeq));
    await space.measure();
  }
}

/** What was trimmed when this block is the first one that is kept. */
function before(block: Block): Trimmed {
  const { firstSeq, lastSeq, bytesBefore } = block;
  const entries = entriesThrough(block) - (lastSeq - firstSeq + 1);
  return { seq: firstSeq - 1, bytes: bytesBefore, entries };
}
