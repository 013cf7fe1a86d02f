import type { Random } from "../base/random.ts";
import type { ElectionTerms, SiteView } from "./election.ts";
import { type Candidate, ranked } from "./rank.ts";
import type { SiteTiming } from "./timing.ts";

/** The election's terms for this gateway: the better it is, among those that stand, the less it waits before it tries. */
export function electionTerms(tools: {
  readonly gateway: string;
  readonly random: Random;
  readonly timing: SiteTiming;
  readonly ttlSeconds: number;
  readonly candidate: (gateway: string) => Candidate;
}): ElectionTerms {
  const { gateway, random, timing, ttlSeconds, candidate } = tools;
  const { skewMs, skewJitterMs, retryMs, stableMs, holdFirstMs, holdMsMax } = timing;
  const placeOf = (view: SiteView, isHeld: boolean) => {
    const others = [...new Set(view.standing.values())].filter((one) => one !== gateway);
    if (isHeld) return others.length;
    return ranked([gateway, ...others].map(candidate)).findIndex(({ id }) => id === gateway);
  };
  return {
    ttlMs: ttlSeconds * 1000,
    skewMs: (view, isHeld) => {
      const place = placeOf(view, isHeld);
      return place === 0 ? 0 : place * skewMs + random() * skewJitterMs;
    },
    retryMs,
    stableMs,
    holdMs: (flaps) => Math.min(holdMsMax, holdFirstMs * 2 ** Math.min(flaps - 1, 20)),
  };
}
