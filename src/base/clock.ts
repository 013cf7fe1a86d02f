/** Time, as seen by everything in src/. Only system-clock.ts reads the real one; simulations bring their own. */
export interface Clock {
  /** Milliseconds since an arbitrary origin. Never goes back: use it for timeouts and leases. */
  monotonicMs(): number;
  /** Milliseconds since the Unix epoch. May jump when NTP steps: use it only to stamp messages. */
  wallMs(): number;
  /** Resolves after `ms`, or rejects with `signal.reason` as soon as the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** As `sleep`, with the fraction of a millisecond that timers do not have. Costs up to a millisecond of processor time. */
  sleepExactly(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `task` every `ms` until the returned function is called. */
  every(ms: number, task: () => void): () => void;
  /** Calls `task` once all input that is ready now was taken: what gathers in one turn can leave as one. */
  afterTurn(task: () => void): void;
}
