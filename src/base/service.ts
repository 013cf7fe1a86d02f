import type { Clock } from "./clock.ts";
import { errorFields, FieldgateError } from "./errors.ts";
import type { Log } from "./log.ts";

/** A part with a life: constructed idle, started once, stopped once. */
export interface Service {
  readonly name: string;
  /** How long the start may take, where that is longer than for others. */
  readonly startMsMax?: number;
  /** Resolves when the part does its work. Must give up when the signal aborts. */
  start(signal: AbortSignal): Promise<void>;
  /** Resolves when nothing of the part is left running. Must be safe after a failed or partial start. */
  stop(): Promise<void>;
}

export interface Deadlines {
  readonly startMs: number;
  readonly stopMs: number;
}

/**
 * Starts services in order. When one fails or is late, those that had started, and the failed one itself,
 * are stopped in reverse, and the first error is thrown. A start that the signal ends is no failure of theirs, and no error in the log.
 */
export async function startAll(
  services: readonly Service[],
  tools: { readonly clock: Clock; readonly log: Log; readonly deadlines: Deadlines },
  signal: AbortSignal,
): Promise<void> {
  const begun: Service[] = [];
  for (const service of services) {
    begun.push(service);
    try {
      signal.throwIfAborted();
      const deadlineMs = Math.max(tools.deadlines.startMs, service.startMsMax ?? 0);
      await inTime(service.start(signal), tools.clock, deadlineMs, () => {
        return new FieldgateError("ERR_START_TIMEOUT", `${service.name} did not start in time`, {
          details: { service: service.name, deadlineMs },
        });
      });
    } catch (error) {
      if (signal.aborted) tools.log.info("start given up", { service: service.name });
      else tools.log.error("start failed", { service: service.name, ...errorFields(error) });
      await stopAll(begun, tools);
      throw error;
    }
  }
}

/** Stops services in reverse order. One that fails or is late is logged and does not keep the others from stopping. */
export async function stopAll(
  services: readonly Service[],
  tools: { readonly clock: Clock; readonly log: Log; readonly deadlines: Deadlines },
): Promise<void> {
  for (const service of services.toReversed()) {
    try {
      await inTime(service.stop(), tools.clock, tools.deadlines.stopMs, () => {
        return new FieldgateError("ERR_STOP_TIMEOUT", `${service.name} did not stop in time`, {
          details: { service: service.name, deadlineMs: tools.deadlines.stopMs },
        });
      });
    } catch (error) {
      tools.log.error("stop failed", { service: service.name, ...errorFields(error) });
    }
  }
}

/** A timer and no AbortSignal: two dozen of them are a millisecond of each start. */
async function inTime<T>(
  work: Promise<T>,
  clock: Clock,
  deadlineMs: number,
  late: () => Error,
): Promise<T> {
  let stopWaiting = () => {};
  const timeout = new Promise<never>((_, reject) => {
    stopWaiting = clock.every(deadlineMs, () => reject(late()));
  });
  try {
    return await Promise.race([work, timeout]);
  } finally {
    stopWaiting();
  }
}
