import type { Random } from "./random.ts";

/**
 * Full jitter: a delay in [0, min(maxMs, firstMs * 2^(attempt-1))), attempt counted from 1.
 * After "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015): clients that failed together
 * do not come back together.
 */
export function fullJitter(
  attempt: number,
  timing: { readonly firstMs: number; readonly maxMs: number },
  random: Random,
): number {
  const ceilingMs = Math.min(timing.maxMs, timing.firstMs * 2 ** Math.min(attempt - 1, 40));
  return Math.floor(random() * ceilingMs);
}
