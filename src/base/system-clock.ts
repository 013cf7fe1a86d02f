import type { Clock } from "./clock.ts";

/** Milliseconds since the machine was started (CLOCK_MONOTONIC of Linux; the time in suspend does not count). */
export function systemBootMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** What a timer of Node can be late without anybody being busy. */
const TIMER_MS = 1;

/** The machine's own clocks and timers. */
export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),

  sleep(ms, signal) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const onAbort = () => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      }, ms);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  },

  async sleepExactly(ms, signal) {
    const dueMs = performance.now() + ms;
    // A timer counts from the beginning of its turn, in whole milliseconds: it may be early, and is late by up to one.
    if (ms >= TIMER_MS) await systemClock.sleep(ms - TIMER_MS, signal);
    while (performance.now() < dueMs) {
      signal?.throwIfAborted();
      await new Promise((resolve) => setImmediate(resolve));
    }
  },

  every(ms, task) {
    const timer = setInterval(task, ms);
    return () => clearInterval(timer);
  },

  afterTurn(task) {
    setImmediate(task);
  },
};
