import type { Log } from "../base/log.ts";
import { type Block, hollowBlock, openBlock } from "./block.ts";
import type { BlockReader } from "./block-reader.ts";
import type { Cursors } from "./cursors.ts";
import type { GroupCommit } from "./group-commit.ts";
import type { Cursor } from "./journal.ts";
import { blockKey, blockKeySeq } from "./keys.ts";
import type { JournalOptions } from "./options.ts";
import { pages } from "./pages.ts";
import type { Queues } from "./queues.ts";
import type { Change, Store } from "./store.ts";

/** So much of the store is given up at once. */
const SHED_SHARE = 1 / 32;
const READ = { messagesMax: 10_000, bytesMax: 2 ** 20 };
const CHANGES_MAX = 256;

export interface SheddingParts {
  readonly store: Store;
  readonly commit: GroupCommit;
  readonly blocks: BlockReader;
  readonly cursors: Cursors;
  readonly queues: Queues;
  readonly durableSeq: () => number;
}

/** What was given up: entries after `fromSeq`, up to `throughSeq`. */
export interface Shed {
  readonly fromSeq: number;
  readonly throughSeq: number;
}

/**
 * Makes room by giving up the oldest entries of lanes whose policy is drop-oldest, the least urgent lane first. The lane's cursor
 * passes them and counts them as dropped(full); once that is durable, blocks that nobody else needs are made hollow. What the
 * lane's reader has in its hands is not dropped: it is asked to let go first.
 */
export class Shedding {
  readonly #parts: SheddingParts;
  readonly #options: JournalOptions;
  readonly #log: Log;
  /** A block that was given up in part only. */
  #partSeq = Number.POSITIVE_INFINITY;

  constructor(parts: SheddingParts, options: JournalOptions, log: Log) {
    this.#parts = parts;
    this.#options = options;
    this.#log = log;
  }

  /** Null when nothing can be given up now. */
  async shed(): Promise<Shed | null> {
    for (const { lane, cursor } of this.#droppable()) {
      const shed = await this.#dropOldest(lane, cursor);
      if (shed === null) continue;
      await this.#parts.commit.flush();
      await this.#hollow(shed);
      return shed;
    }
    return null;
  }

  /** Nobody is asked to let go any more. */
  enough(): void {
    for (const { cursor } of this.#droppable()) cursor.isWanted = false;
  }

  #droppable(): { readonly lane: number; readonly cursor: Cursor }[] {
    return Object.entries(this.#options.lanes)
      .filter(([, { whenFull }]) => whenFull === "drop-oldest")
      .map(([lane, { cursor }]) => ({
        lane: Number(lane),
        cursor: this.#parts.cursors.cursor(cursor),
      }))
      .toSorted((a, b) => b.lane - a.lane);
  }

  async #dropOldest(lane: number, cursor: Cursor): Promise<Shed | null> {
    const { blocks, durableSeq, commit } = this.#parts;
    const fromSeq = cursor.seq;
    const endSeq = durableSeq();
    let throughSeq = fromSeq;
    let [bytes, count, damaged] = [0, 0, 0];
    while (bytes < this.#options.bytesMax * SHED_SHARE && throughSeq < endSeq) {
      const read = await blocks.read(throughSeq, READ, lane);
      for (const { message } of read.entries)
        bytes += message.topic.length + message.payload.length;
      damaged += read.gap?.lostAfter(cursor.count + count + damaged) ?? 0;
      count += read.entries.length;
      if (read.throughSeq <= throughSeq) break;
      throughSeq = read.throughSeq;
    }
    if (count === 0) return null;
    if (cursor.isReading) {
      cursor.isWanted = true;
      commit.want(); // wakes the reader
      return null;
    }
    if (cursor.seq !== fromSeq) return null;
    cursor.move(throughSeq, count + damaged, { full: count, ...(damaged > 0 && { damaged }) });
    commit.want();
    this.#log.warn("the store is full: the oldest of a lane are dropped", {
      lane,
      count,
      throughSeq,
    });
    return { fromSeq, throughSeq };
  }

  async #hollow({ fromSeq, throughSeq }: Shed): Promise<void> {
    const { store } = this.#parts;
    const begin = Math.min(fromSeq + 1, this.#partSeq);
    this.#partSeq = Number.POSITIVE_INFINITY;
    let changes: Change[] = [];
    for await (const [key, value] of pages(store, {
      gte: blockKey(begin),
      lt: blockKey(throughSeq + 1),
    })) {
      const block = openBlock(value, blockKeySeq(key));
      if (block === null || block.isHollow) continue;
      if (block.lastSeq > throughSeq) this.#partSeq = block.firstSeq;
      if (this.#isNeeded(block)) continue;
      changes.push({ key, value: hollowBlock(block) });
      if (changes.length < CHANGES_MAX) continue;
      await store.write(changes, false);
      changes = [];
    }
    await store.write(changes, false);
  }

  /** The last block is: it says where the journal ends. */
  #isNeeded({ lastSeq, lanes }: Block): boolean {
    const { cursors, queues, durableSeq } = this.#parts;
    if (lastSeq >= durableSeq() || queues.lowestSeq() <= lastSeq) return true;
    const laneOf = new Map(
      Object.entries(this.#options.lanes).map(([lane, { cursor }]) => [cursor, Number(lane)]),
    );
    return cursors.names().some((name) => {
      if (cursors.cursor(name).seq >= lastSeq) return false;
      const lane = laneOf.get(name);
      return lane === undefined || (lanes & (1 << lane)) !== 0;
    });
  }
}
