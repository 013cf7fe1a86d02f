import type { Holder, Reign } from "./records.ts";

/** Whose place it is now: of the one who has named the holder, then of the holder, as long as their leases stand; else nobody's. */
export function incumbent({
  holder,
  standing,
}: {
  readonly holder: Holder | null;
  readonly standing: ReadonlyMap<string, string>;
}): Reign | null {
  return reigns(holder).find(({ lease }) => standing.has(lease)) ?? null;
}

/** All whose leases must have ended before another one may take the place, in their order. */
export function reigns(holder: Holder | null): readonly Reign[] {
  if (holder === null) return [];
  return holder.after === undefined ? [holder] : [holder.after, holder];
}
