import type { Clock } from "../../src/base/clock.ts";

/** Virtual time. Nothing moves until `run` is called; then the next timer due is always fired first. */
export class SimClock implements Clock {
  #nowMs = 0;
  #serial = 0;
  #timers: Array<{ dueMs: number; serial: number; fire: () => void }> = [];

  monotonicMs(): number {
    return this.#nowMs;
  }
  wallMs(): number {
    return 1_700_000_000_000 + this.#nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const onAbort = () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
        reject(signal?.reason);
      };
      const fire = () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      };
      const timer = { dueMs: this.#nowMs + ms, serial: this.#serial++, fire };
      this.#timers.push(timer);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  sleepExactly(ms: number, signal?: AbortSignal): Promise<void> {
    return this.sleep(ms, signal);
  }

  every(ms: number, task: () => void): () => void {
    const stop = new AbortController();
    const tick = () => {
      if (stop.signal.aborted) return;
      task();
      void this.sleep(ms, stop.signal).then(tick, () => {});
    };
    void this.sleep(ms, stop.signal).then(tick, () => {});
    return () => stop.abort();
  }

  afterTurn(task: () => void): void {
    setImmediate(task);
  }

  async run(untilMs: number): Promise<void> {
    await settle();
    for (;;) {
      this.#timers.sort((a, b) => a.dueMs - b.dueMs || a.serial - b.serial);
      const next = this.#timers[0];
      if (!next || next.dueMs > untilMs) break;
      this.#timers.shift();
      this.#nowMs = next.dueMs;
      next.fire();
      await settle();
    }
    this.#nowMs = untilMs;
  }
}

/** Lets every promise that can make progress make it. One macrotask drains the whole microtask queue. */
function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
