import { figure, table } from "./figures.ts";

/** Figures of a bench beside what they should be. A bench that misses one ends with 1. */
export class Targets {
  readonly #rows: string[][] = [];
  readonly #isTold: boolean;
  #missed = 0;

  /** @param isTold each figure when it is there, because the bench takes minutes and may be broken off */
  constructor(isTold = false) {
    this.#isTold = isTold;
  }

  /** @param measured the same in words, with what is beside it */
  atMost(what: string, seen: number, limit: number, unit = "", measured?: string): void {
    this.#judge(what, seen, `at most ${figure(limit)}${unit}`, seen <= limit, unit, measured);
  }

  atLeast(what: string, seen: number, limit: number, unit = "", measured?: string): void {
    this.#judge(what, seen, `at least ${figure(limit)}${unit}`, seen >= limit, unit, measured);
  }

  below(what: string, seen: number, limit: number, unit = "", measured?: string): void {
    this.#judge(what, seen, `below ${figure(limit)}${unit}`, seen < limit, unit, measured);
  }

  above(what: string, seen: number, limit: number, unit = "", measured?: string): void {
    this.#judge(what, seen, `above ${figure(limit)}${unit}`, seen > limit, unit, measured);
  }

  /** A figure that has no target, but says more about the one above it. */
  tell(what: string, measured: string): void {
    this.#add([what, measured, "", ""]);
  }

  /** Says what was measured; the process ends with 1 when a target was missed. */
  print(): void {
    console.log(`\n${table([["", "measured", "target", ""], ...this.#rows])}`);
    if (this.#missed > 0) process.exitCode = 1;
  }

  #judge(
    what: string,
    seen: number,
    target: string,
    holds: boolean,
    unit: string,
    measured = `${figure(seen)}${unit}`,
  ): void {
    if (!holds) this.#missed++;
    this.#add([what, measured, target, holds ? "holds" : "DOES NOT HOLD"]);
  }

  #add(row: string[]): void {
    this.#rows.push(row);
    if (this.#isTold) console.error(row.filter((cell) => cell !== "").join(", "));
  }
}

/** Of milliseconds: the middle, the worst and the best. */
export function spread(values: readonly number[]): {
  readonly text: string;
  readonly worst: number;
} {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (part: number) => sorted[Math.floor(part * (sorted.length - 1))] ?? Number.NaN;
  const [middle, worst, best] = [at(0.5), at(1), at(0)].map((ms) => ms.toFixed(0));
  return {
    text: `median ${middle}, worst ${worst}, best ${best} ms (n=${values.length})`,
    worst: at(1),
  };
}
