const LENGTH_MAX = 64;

/**
 * The known word that `word` is most likely a slip of, or null when none is close: the fewest letters inserted, left out,
 * replaced or swapped with their neighbour, and at most one in three of them.
 */
export function nearest(word: string, known: readonly string[]): string | null {
  const best = byNearness(word, known)[0];
  if (best === undefined || word.length > LENGTH_MAX) return null;
  const slips = distance(plain(word), plain(best));
  return slips <= Math.max(1, Math.floor(Math.max(word.length, best.length) / 3)) ? best : null;
}

/** The known words, the most similar to `word` first; equally similar ones keep their order. */
export function byNearness(word: string, known: readonly string[]): string[] {
  if (word.length > LENGTH_MAX) return [...known];
  const slips = new Map(known.map((other) => [other, distance(plain(word), plain(other))]));
  return known.toSorted((a, b) => (slips.get(a) ?? 0) - (slips.get(b) ?? 0));
}

/** Capitals, dashes and underscores are no difference: `baud_rate` is close to `baudRate`. */
function plain(word: string): string {
  return word.toLowerCase().replaceAll(/[-_ ]/g, "");
}

/** Optimal string alignment: Levenshtein's distance with swaps of neighbours, row by row. */
function distance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(
        (last[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (last[j - 1] ?? 0) + (same ? 0 : 1),
      );
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) cost = Math.min(cost, (beforeLast[j - 2] ?? 0) + 1);
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
