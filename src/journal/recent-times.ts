/** How long the last ones took, of a bounded number. To look costs a sort; to add costs nothing. */
export class RecentTimes {
  readonly #times = new Float64Array(1024);
  #count = 0;

  add(ms: number): void {
    this.#times[this.#count++ % this.#times.length] = ms;
  }

  /** The time that `share` of them stay below or meet; null without any. */
  quantile(share: number): number | null {
    const known = this.#times.slice(0, Math.min(this.#count, this.#times.length)).sort();
    return known[Math.min(known.length - 1, Math.floor(known.length * share))] ?? null;
  }
}
