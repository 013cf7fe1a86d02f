import { createHash } from "node:crypto";
import { Breaker, type BreakerLimits, type BreakerState } from "./breaker.ts";
import { shownEndpoint } from "./endpoints.ts";

/** A broker that may be connected to. */
export interface Candidate {
  readonly endpoint: string;
  /** Where its endpoint stands in the configuration. */
  readonly place: number;
  /** Lower ones first, as in RFC 2782. */
  readonly priority: number;
  /** A share among those of one priority, as in RFC 2782. */
  readonly weight: number;
}

export interface EndpointStatus {
  readonly endpoint: string;
  readonly breaker: BreakerState["at"];
  /** How often the breaker has opened. */
  readonly opened: number;
  /** Failures in a row, until a connection lived for `stableMs`. */
  readonly failures: number;
}

interface Known {
  readonly candidate: Candidate;
  readonly breaker: Breaker;
  failures: number;
  /** Since when it is connected, monotonic; null when it is not. */
  openedMs: number | null;
}

/**
 * The brokers of the cloud as one gateway sees them: those that have failed least are tried first, and among them the order
 * of this gateway. Whatever a breaker keeps closed is left alone.
 */
export class EndpointBook {
  readonly #limits: BreakerLimits;
  readonly #stableMs: number;
  #known: Known[] = [];

  constructor(limits: BreakerLimits, stableMs: number) {
    this.#limits = limits;
    this.#stableMs = stableMs;
  }

  /** What there is now, in order. What was learned about those that were there before stays. */
  replace(candidates: readonly Candidate[]): void {
    const before = new Map(this.#known.map((known) => [known.candidate.endpoint, known]));
    this.#known = candidates.map((candidate) => {
      const {
        breaker = new Breaker(this.#limits),
        failures = 0,
        openedMs = null,
      } = before.get(candidate.endpoint) ?? {};
      return { candidate, breaker, failures, openedMs };
    });
  }

  /** The one to connect to; null when every breaker is open, or there is none. */
  best(nowMs: number): string | null {
    return this.#best((known) => known.breaker.waitMs(nowMs) === 0);
  }

  /** The one that would be next if all were allowed. */
  next(nowMs: number): string | null {
    return this.best(nowMs) ?? this.#best(() => true);
  }

  /** How long until some breaker lets something be tried. */
  waitMs(nowMs: number): number {
    if (this.#known.length === 0) return 0;
    return Math.min(...this.#known.map(({ breaker }) => breaker.waitMs(nowMs)));
  }

  tried(endpoint: string, nowMs: number): void {
    const known = this.#find(endpoint);
    if (known === undefined) return;
    known.openedMs = null;
    known.breaker.tried(nowMs);
  }

  /** Connected. That is all a probe wants to know; it is no success of its own: a broker may accept and throw out. */
  opened(endpoint: string, nowMs: number): void {
    const known = this.#find(endpoint);
    if (known === undefined) return;
    known.openedMs = nowMs;
    if (known.breaker.state.at === "probing") known.breaker.succeeded(nowMs);
  }

  /** It has acknowledged something. */
  progressed(endpoint: string, nowMs: number): void {
    this.#find(endpoint)?.breaker.succeeded(nowMs);
  }

  failed(endpoint: string, nowMs: number): void {
    const known = this.#find(endpoint);
    if (known === undefined) return;
    const { openedMs } = known;
    const isStable = openedMs !== null && nowMs - openedMs >= this.#stableMs;
    known.failures = isStable ? 1 : known.failures + 1;
    known.openedMs = null;
    known.breaker.failed(nowMs);
  }

  breakerOf(endpoint: string): BreakerState["at"] {
    return this.#find(endpoint)?.breaker.state.at ?? "closed";
  }

  status(): readonly EndpointStatus[] {
    return this.#known.map(({ candidate, breaker, failures }) => ({
      endpoint: shownEndpoint(candidate.endpoint),
      breaker: breaker.state.at,
      opened: breaker.opened,
      failures,
    }));
  }

  #best(mayTry: (known: Known) => boolean): string | null {
    let best: Known | null = null;
    for (const known of this.#known) {
      if (mayTry(known) && (best === null || known.failures < best.failures)) best = known;
    }
    return best?.candidate.endpoint ?? null;
  }

  #find(endpoint: string): Known | undefined {
    return this.#known.find(({ candidate }) => candidate.endpoint === endpoint);
  }
}

/**
 * The candidates in the order of one gateway. A hash of gateway and endpoint orders those of equal priority, each by its
 * weight (weighted rendezvous hashing): gateways begin with different brokers, and one broker more or less moves few of
 * them. `list`: as the endpoints stand in the configuration, and so only among the records of one name.
 */
export function inOrder(
  candidates: readonly Candidate[],
  order: "spread" | "list",
  gateway: string,
): readonly Candidate[] {
  const place = ({ place }: Candidate) => (order === "list" ? place : 0);
  return candidates
    .map((candidate) => ({ candidate, score: scoreOf(candidate, gateway) }))
    .toSorted(({ candidate: a, score }, { candidate: b, score: other }) => {
      return place(a) - place(b) || a.priority - b.priority || other - score;
    })
    .map(({ candidate }) => candidate);
}

function scoreOf({ endpoint, weight }: Candidate, gateway: string): number {
  return -Math.max(weight, SMALLEST_WEIGHT) / Math.log(chanceOf(gateway, endpoint));
}

/** A weight of 0 has a very small chance of being chosen (RFC 2782). */
const SMALLEST_WEIGHT = 0.01;

/** A number between 0 and 1, the same for ever for a gateway and an endpoint. */
function chanceOf(gateway: string, endpoint: string): number {
  const hash = createHash("sha256").update(`${gateway.length}:${gateway}${endpoint}`).digest();
  return (hash.readUIntBE(0, 6) + 0.5) / 2 ** 48;
}
