import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { Timepiece } from "../base/timepiece.ts";

/** What a journal is told. Everything but the first three has a default in `DEFAULTS`. */
export interface JournalOptions {
  /** Of a new store: a copy has its origin's. Made by chance when there is none. */
  readonly id?: string;
  /** Appends are refused when the store has so many bytes on disk; rows go on into a reserve of 1/16 of it. */
  readonly bytesMax: number;
  /** fast: written, not synced. The others sync; safe also waits for a peer, which is not the journal's business. */
  readonly durability: "safe" | "local" | "fast";
  /** Kept on the disk for when it is full: at most an eighth of `bytesMax`. 0: none. */
  readonly ballastBytes: number;
  /** What happens to a lane, by its number, when the store is full; lanes that are not here: reject-new. */
  readonly lanes: Readonly<Record<number, LanePolicy>>;
  /** How long a commit waits for more company. */
  readonly commitDelayMs: number;
  /** The longest time until a moved cursor or an acknowledged queue is on disk. */
  readonly cursorDelayMs: number;
  /** Appends are refused while so many bytes wait for the disk. */
  readonly pendingBytesMax: number;
  /** A commit with more than this is split into several blocks, still in one batch. */
  readonly blockBytesMax: number;
  /** Newest blocks and queue rows that are kept in memory for live readers. */
  readonly tailBytesMax: number;
  /** Blocks from disk that readers stopped in the middle of. */
  readonly readCacheBytesMax: number;
  /** How much one call of `read` looks at before it returns with what it has. */
  readonly scanBytesMax: number;
  /** Trimming waits until so many bytes can go at once. */
  readonly trimBytesMin: number;
  /** How often trimming and measuring are looked at. */
  readonly tidyEveryMs: number;
  /** Full jitter between attempts to write after a failure. */
  readonly retry: { readonly firstMs: number; readonly maxMs: number };
}

/**
 * reject-new: nothing is taken. drop-oldest: the oldest entries of the lane are given up, counted as dropped(full), when the store
 * is nearly full. drop-qos0: no QoS 0 is taken when it is nearly full, which leaves the rest for QoS 1 and 2.
 */
export type WhenFull = "reject-new" | "drop-oldest" | "drop-qos0";

export interface LanePolicy {
  readonly whenFull: WhenFull;
  /** Name of the lane's cursor. */
  readonly cursor: string;
}

export const DEFAULTS: Omit<JournalOptions, "bytesMax" | "durability"> = {
  ballastBytes: 0,
  lanes: {},
  commitDelayMs: 0,
  cursorDelayMs: 500,
  pendingBytesMax: 64 * 2 ** 20,
  blockBytesMax: 256 * 1024,
  tailBytesMax: 4 * 2 ** 20,
  readCacheBytesMax: 2 * 2 ** 20,
  scanBytesMax: 4 * 2 ** 20,
  trimBytesMin: 2 ** 20,
  tidyEveryMs: 2000,
  retry: { firstMs: 200, maxMs: 10_000 },
};

export interface JournalTools {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  /** Stamps what is accepted. Without it entries have their wall time only. */
  readonly timepiece?: Timepiece;
}
