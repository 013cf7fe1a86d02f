import type { Random } from "../../src/base/random.ts";
import type { BlockRecord, Write } from "./block-log.ts";

/**
 * What a disk with a volatile write cache may have on its medium after a power cut: everything that was flushed, and of the
 * writes since then
 *   none · all · prefix: some from the first on · random: any · torn: a prefix, and then a part of one write, cut between
 *   two sectors.
 */
export const REMAINS = ["none", "all", "prefix", "random", "torn"] as const;
export type Remains = (typeof REMAINS)[number];

const SECTOR_BYTES = 512;

/** Bytes that reach the medium. */
export interface Patch {
  readonly offset: number;
  readonly bytes: Buffer;
}

/** Records are counted from the first: below `flushed` all writes are on the medium, below `cut` they may be. */
export interface Split {
  readonly flushed: number;
  readonly cut: number;
}

/** Where a power cut at a position of the log (its size in bytes) divides the records. A record counts once it is complete. */
export function splitAt(records: readonly BlockRecord[], position: number): Split {
  const beyond = records.findIndex(({ endsAt }) => endsAt > position);
  const cut = beyond === -1 ? records.length : beyond;
  let flushed = cut;
  while (flushed > 0 && records[flushed - 1]?.kind !== "flush") flushed--;
  return { flushed, cut };
}

/**
 * The same for a disk that lies: it answers a flush at once and goes on keeping up to `cachedMax` records, as many as
 * happen to be left.
 */
export function splitOfLiarAt(
  records: readonly BlockRecord[],
  position: number,
  cachedMax: number,
  random: Random,
): Split {
  const { cut } = splitAt(records, position);
  return { flushed: cut - Math.floor(random() * (Math.min(cut, cachedMax) + 1)), cut };
}

/** What of the writes that were not flushed reaches the medium, in the order in which it is to be written. */
export function survivors(unflushed: readonly Write[], remains: Remains, random: Random): Patch[] {
  const whole = Math.floor(random() * (unflushed.length + 1));
  switch (remains) {
    case "none":
      return [];
    case "all":
      return [...unflushed];
    case "prefix":
      return unflushed.slice(0, whole);
    case "random":
      return unflushed.filter(() => random() < 0.5);
    case "torn": {
      const torn = unflushed[whole];
      return [...unflushed.slice(0, whole), ...(torn === undefined ? [] : partOf(torn, random))];
    }
  }
}

function partOf({ offset, bytes }: Write, random: Random): Patch[] {
  const sectors = bytes.length / SECTOR_BYTES;
  const kept = Math.floor(random() * sectors) * SECTOR_BYTES;
  // The first sectors or the last: a disk promises no order within a write either.
  return random() < 0.5
    ? [{ offset, bytes: bytes.subarray(0, kept) }]
    : [{ offset: offset + kept, bytes: bytes.subarray(kept) }];
}
