import type { Random } from "../../src/base/random.ts";
import { REMAINS, type Remains } from "./crash-state.ts";

export interface Cut {
  /** Position in the block log. */
  readonly position: number;
  readonly remains: Remains;
  /** What chance is to be made of, so that a cut can be repeated alone. */
  readonly seed: number;
}

export interface Moments {
  /** From the start of the broker on an empty disk to the end of the load. */
  readonly first: number;
  readonly last: number;
  /** While the broker opened its store. */
  readonly starts: readonly { readonly from: number; readonly to: number }[];
  /** Where something was acknowledged, rising, for each kind of acknowledgement. */
  readonly acknowledged: readonly (readonly number[])[];
}

const EARLY_ACKNOWLEDGEMENTS = 20;

/**
 * Chooses cuts where they hurt: of ten, three directly after an acknowledgement, of each kind as often as of any other, two
 * directly after one of the first, two while the broker opens its store, and three anywhere; with each kind of remains in turn. In the order of positions.
 */
export function chooseCuts(count: number, moments: Moments, random: Random): Cut[] {
  const { first, last, starts, acknowledged } = moments;
  const anywhere = { from: first, to: last };
  const between = ({ from, to }: { from: number; to: number }) =>
    from + Math.floor(random() * (to - from + 1));
  const oneOf = <T>(values: readonly T[]): T | undefined =>
    values[Math.floor(random() * values.length)];
  const kinds = acknowledged.filter((kind) => kind.length > 0);
  const firsts = acknowledged
    .flat()
    .sort((one, other) => one - other)
    .slice(0, EARLY_ACKNOWLEDGEMENTS);
  const position = (k: number): number => {
    const lot = k % 10;
    if (lot < 3) return oneOf(oneOf(kinds) ?? []) ?? between(anywhere);
    if (lot < 5) return oneOf(firsts) ?? between(anywhere);
    if (lot < 7) return between(oneOf(starts) ?? anywhere);
    return between(anywhere);
  };
  return Array.from({ length: count }, (_, k) => ({
    position: position(k),
    // The kinds take turns out of step with the places, so that each meets each.
    remains: REMAINS[(k + Math.floor(k / 10)) % REMAINS.length] as Remains,
    seed: Math.floor(random() * 2 ** 31),
  })).sort((one, other) => one.position - other.position);
}
