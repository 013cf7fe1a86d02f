import type { Log } from "../base/log.ts";
import { type Block, EntryWalk, laneCountBefore, openBlock } from "./block.ts";
import type { BlockTail } from "./block-tail.ts";
import type { JournalCounters } from "./counters.ts";
import type { Dating } from "./dating.ts";
import type { Entries, Entry, LaneGap, ReadLimits } from "./journal.ts";
import { above, blockKey, blockKeySeq, KEY, kindKey } from "./keys.ts";
import type { JournalOptions } from "./options.ts";
import type { Store, StoreRow } from "./store.ts";

const PAGE_BLOCKS = 64;
const PAGE_BYTES = 128 * 1024;
const KNOWN_DAMAGE_MAX = 1000;
/** The cache is searched block by block: small blocks do not fill its bytes. */
const CACHE_BLOCKS_MAX = 4 * PAGE_BLOCKS;

/** Where the journal begins and ends for a reader. */
export interface Bounds {
  readonly durableSeq: number;
  /** Everything up to here was trimmed: that it is not there is no damage. */
  readonly trimmedSeq: number;
  /** Up to here the end was missing when the journal was opened, which has been reported; null when it was not. */
  readonly missedSeq: number | null;
}

/**
 * Finds blocks, in memory or on disk, in the order of their seqs, and skips what is damaged. A block says which seq came
 * before it, so a block that vanished without a trace is found out too.
 */
export class BlockReader {
  readonly #store: Store;
  readonly #tail: BlockTail;
  readonly #options: JournalOptions;
  readonly #counters: JournalCounters;
  readonly #log: Log;
  readonly #bounds: Bounds;
  /** Tells the time of what it reads. */
  readonly dating: Dating;
  readonly #knownDamage = new Set<number>();
  readonly #cache = new Map<number, Block>();
  #cacheBytes = 0;

  constructor(
    parts: { store: Store; tail: BlockTail; bounds: Bounds; dating: Dating; log: Log },
    options: JournalOptions,
    counters: JournalCounters,
  ) {
    this.#store = parts.store;
    this.#tail = parts.tail;
    this.#bounds = parts.bounds;
    this.#log = parts.log;
    this.dating = parts.dating;
    this.#options = options;
    this.#counters = counters;
  }

  /** Durable entries after `afterSeq`, of one lane or of all: as many as the limits allow, the first one always. */
  async read(afterSeq: number, limits: ReadLimits, lane?: number): Promise<Entries> {
    const durableSeq = this.#bounds.durableSeq;
    const found = new Collector(limits, this.dating, lane);
    let throughSeq = Math.max(afterSeq, Math.min(this.#bounds.trimmedSeq, durableSeq));
    let scanned = 0;
    while (throughSeq < durableSeq && scanned < this.#options.scanBytesMax) {
      const blocks = await this.#blocksFrom(throughSeq + 1, durableSeq);
      if (blocks.length === 0) {
        this.#reportMissing(throughSeq, durableSeq);
        return found.through(durableSeq);
      }
      for (const [i, block] of blocks.entries()) {
        if (this.#reportMissing(throughSeq, block.firstSeq - 1 - block.skipped)) found.miss(block);
        const lastSeen = found.take(block, throughSeq);
        throughSeq = Math.max(throughSeq, lastSeen);
        if (found.full) {
          this.#rememberAll(blocks.slice(lastSeen < block.lastSeq ? i : i + 1));
          return found.through(throughSeq);
        }
        scanned += block.value.length;
        // Kept until the cache is full, every block of a backlog would grow old and wait for the slow garbage collector.
        this.#forget(block);
      }
    }
    return found.through(throughSeq);
  }

  /** Durable blocks after `afterSeq` as they are, at least one if there is one. `afterSeq` is the end of a block. */
  async readBlocks(
    afterSeq: number,
    bytesMax: number,
  ): Promise<{ readonly blocks: readonly Block[]; readonly throughSeq: number }> {
    const { durableSeq, trimmedSeq } = this.#bounds;
    const from = Math.max(afterSeq, Math.min(trimmedSeq, durableSeq));
    if (from >= durableSeq) return { blocks: [], throughSeq: from };
    const found = await this.#blocksFrom(from + 1, durableSeq);
    const blocks: Block[] = [];
    let bytes = 0;
    for (const block of found) {
      if (block.lastSeq <= from || block.firstSeq > durableSeq) continue;
      bytes += block.value.length;
      if (blocks.length > 0 && bytes > bytesMax) break;
      blocks.push(block);
    }
    // What is missing was damaged: it is counted when an entry is read, and not waited for.
    return { blocks, throughSeq: blocks.at(-1)?.lastSeq ?? durableSeq };
  }

  /** The block that begins at `firstSeq`; null when it is damaged or not there. */
  async block(firstSeq: number): Promise<Block | null> {
    const near = this.#tail.at(firstSeq) ?? this.#cache.get(firstSeq);
    if (near) return near;
    const value = await this.#store.get(blockKey(firstSeq));
    const block = value === undefined ? null : this.#open(firstSeq, value);
    if (block) this.#remember(block);
    return block;
  }

  /** The block that holds `seq`, or else the first one behind it. */
  async blockAround(seq: number): Promise<Block | null> {
    const blocks = await this.#blocksFrom(seq, this.#bounds.durableSeq);
    return blocks[0] ?? null;
  }

  async #blocksFrom(seq: number, durableSeq: number): Promise<readonly Block[]> {
    const near = this.#tail.from(seq) ?? this.#cached(seq);
    if (near) return near;
    const blocks = this.#openAll(await this.#page(seq), durableSeq);
    const first = blocks[0];
    if (first && first.firstSeq - first.skipped <= seq) return blocks;
    const oldest = this.#bounds.trimmedSeq + 1;
    if (seq <= oldest) return blocks;
    const around = await this.#store.page({
      gte: blockKey(oldest),
      lt: blockKey(seq),
      rowsMax: 1,
      bytesMax: 0,
      reverse: true,
    });
    const before = this.#openAll(around, durableSeq)[0];
    return before && before.lastSeq >= seq ? [before, ...blocks] : blocks;
  }

  async #page(seq: number): Promise<StoreRow[]> {
    return await this.#store.page({
      gte: blockKey(Math.max(seq, this.#bounds.trimmedSeq + 1)),
      lt: above(kindKey(KEY.block)),
      rowsMax: PAGE_BLOCKS,
      bytesMax: Math.min(PAGE_BYTES, this.#options.scanBytesMax / 4),
    });
  }

  #openAll(rows: readonly StoreRow[], durableSeq: number): Block[] {
    const blocks: Block[] = [];
    for (const [key, value] of rows) {
      const firstSeq = blockKeySeq(key);
      if (firstSeq > durableSeq) break;
      const block = this.#open(firstSeq, value);
      if (block) blocks.push(block);
    }
    return blocks;
  }

  #open(firstSeq: number, value: Buffer): Block | null {
    const block = openBlock(value, firstSeq);
    if (block === null && this.#isNews(firstSeq)) {
      this.#counters.damagedBlocks++;
      this.#log.error("a block is damaged: its entries are lost", { firstSeq });
    }
    return block;
  }

  /** Counts what should stand behind `seenSeq`, up to `shouldReachSeq`, once. Tells whether something should, and does not. */
  #reportMissing(seenSeq: number, shouldReachSeq: number): boolean {
    const missing = shouldReachSeq - Math.max(seenSeq, this.#bounds.trimmedSeq);
    if (missing <= 0 || shouldReachSeq === this.#bounds.missedSeq) return false;
    if (!this.#isNews(-shouldReachSeq)) return true;
    this.#counters.missingEntries += missing;
    this.#log.error("entries are missing: damage to the store", {
      afterSeq: shouldReachSeq - missing,
      entries: missing,
    });
    return true;
  }

  #isNews(what: number): boolean {
    if (this.#knownDamage.has(what)) return false;
    if (this.#knownDamage.size >= KNOWN_DAMAGE_MAX) this.#knownDamage.clear();
    this.#knownDamage.add(what);
    return true;
  }

  #cached(seq: number): Block[] | null {
    for (const block of this.#cache.values()) {
      if (block.firstSeq <= seq && seq <= block.lastSeq) return [block];
    }
    return null;
  }

  /** The next read begins here: what this page holds beyond it is not read and checked again. */
  #rememberAll(ahead: readonly Block[]): void {
    for (const block of ahead) this.#remember(block);
  }

  #remember(block: Block): void {
    if (this.#tail.at(block.firstSeq) || this.#cache.has(block.firstSeq)) return;
    this.#cache.set(block.firstSeq, block);
    this.#cacheBytes += block.value.length;
    for (const old of this.#cache.values()) {
      const fits = this.#cacheBytes <= this.#options.readCacheBytesMax;
      if ((fits && this.#cache.size <= CACHE_BLOCKS_MAX) || this.#cache.size === 1) break;
      this.#forget(old);
    }
  }

  #forget(block: Block): void {
    if (this.#cache.delete(block.firstSeq)) this.#cacheBytes -= block.value.length;
  }
}

/** Takes entries from blocks until the limits are reached. */
class Collector {
  readonly entries: Entry[] = [];
  full = false;
  #gap: LaneGap | null = null;
  readonly #limits: ReadLimits;
  readonly #dating: Dating;
  readonly #lane: number | undefined;
  #bytes = 0;

  constructor(limits: ReadLimits, dating: Dating, lane: number | undefined) {
    this.#limits = limits;
    this.#dating = dating;
    this.#lane = lane;
  }

  /** Entries before this block are gone. Its totals tell how many of the lane there had been: of all of them, so the last gap counts. */
  miss(block: Block): void {
    if (this.#lane === undefined) return;
    const before = laneCountBefore(block, this.#lane);
    const seen = this.entries.length;
    if (before === null) return;
    this.#gap = { lostAfter: (count) => Math.max(0, before - seen - count) };
  }

  through(throughSeq: number): Entries {
    return { entries: this.entries, throughSeq, gap: this.#gap };
  }

  /** Returns the last seq of the block that was looked at. */
  take(block: Block, afterSeq: number): number {
    if (this.#lane !== undefined && (block.lanes & (1 << this.#lane)) === 0) return block.lastSeq;
    if (block.isHollow) return block.lastSeq;
    const walk = new EntryWalk(block, this.#dating.timeOf(block));
    let seen = afterSeq;
    while (walk.next()) {
      if (walk.seq <= afterSeq) continue;
      if (this.#lane === undefined || walk.lane === this.#lane) {
        if (!this.#fits(walk.bytes)) {
          this.full = true;
          return seen;
        }
        this.entries.push(walk.entry());
        this.#bytes += walk.bytes;
      }
      seen = walk.seq;
    }
    return seen;
  }

  #fits(bytes: number): boolean {
    if (this.entries.length >= this.#limits.messagesMax) return false;
    return this.entries.length === 0 || this.#bytes + bytes <= this.#limits.bytesMax;
  }
}
