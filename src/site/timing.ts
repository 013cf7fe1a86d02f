/** How the site uses time. What an operator sets is in the configuration; these follow from it, or hold for all. */
export interface SiteTiming {
  /** Deadline of one request to one member of etcd. */
  readonly callMsMax: number;
  /** A member of etcd that is silent for so long is not waited for alone. */
  readonly hedgeMs: number;
  readonly renewEveryMs: number;
  /** Each place in the ranking leaves so much time to the one before, and up to `skewJitterMs` more. The best has none. */
  readonly skewMs: number;
  readonly skewJitterMs: number;
  readonly retryMs: number;
  readonly holdFirstMs: number;
  readonly holdMsMax: number;
  readonly stableMs: number;
  /** A stopping primary hands over within this time, or lets its lease go. */
  readonly handOverMsMax: number;
  /** Of it, for the next one to have its epoch on disk, and for what is under way to the cloud. */
  readonly readyMsMax: number;
  readonly settleMsMax: number;
  /** A stopping gateway waits so long for etcd. What it could not give back runs out by itself. */
  readonly stopMsMax: number;
}

/**
 * A lease is renewed three times or more before its holder would be fenced, and one hung request leaves time for another.
 * The ranks' skew is longer than a take-over in the local network, so that usually only the best one tries.
 */
export function timingOf(primaryTtlSeconds: number): SiteTiming {
  const ttlMs = primaryTtlSeconds * 1000;
  return {
    callMsMax: Math.min(1000, ttlMs / 3),
    hedgeMs: Math.min(300, ttlMs / 10),
    renewEveryMs: Math.min(1000, ttlMs / 5),
    skewMs: 80,
    skewJitterMs: 20,
    retryMs: 200,
    holdFirstMs: 2000,
    holdMsMax: 600_000,
    stableMs: 60_000,
    handOverMsMax: 500,
    readyMsMax: 250,
    settleMsMax: 300,
    stopMsMax: 2000,
  };
}
