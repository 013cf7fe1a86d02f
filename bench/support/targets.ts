import { figure, table } from "./figures.ts";

/** Figures of a bench beside what they should be. */
export class Targets {
  readonly #rows: string[][] = [];

  /** @param measured in words; `worst` is what is judged */
  atMost(what: string, measured: string, worst: number, limit: number, unit = "ms"): void {
    const target = `at most ${figure(limit)}${unit === "" ? "" : ` ${unit}`}`;
    this.#rows.push([what, measured, target, verdict(worst <= limit)]);
  }

  atLeast(what: string, measured: string, worst: number, limit: number, unit = ""): void {
    const target = `at least ${figure(limit)}${unit === "" ? "" : ` ${unit}`}`;
    this.#rows.push([what, measured, target, verdict(worst >= limit)]);
  }

  print(): void {
    console.log(table([["", "measured", "target", ""], ...this.#rows]));
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

function verdict(holds: boolean): string {
  return holds ? "holds" : "DOES NOT HOLD";
}
