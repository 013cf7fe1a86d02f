import { cpus } from "node:os";
import type { Clock } from "../base/clock.ts";
import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Service } from "../base/service.ts";
import { askHost, type HostAnswers } from "./host-thread.ts";

/** The machine at one moment. Null where it does not tell. */
export interface HostSample {
  /** Share of all processors that was busy since the sample before, 0 to 100. */
  readonly cpuPercent: number | null;
  readonly memoryTotalBytes: number;
  /** What programs could still have. */
  readonly memoryAvailableBytes: number;
  readonly temperatureCelsius: number | null;
  /** Of the file system that holds the store. */
  readonly diskTotalBytes: number | null;
  readonly diskAvailableBytes: number | null;
  /** Through the interface of the default route, since the machine was started. */
  readonly networkReceivedBytes: number | null;
  readonly networkSentBytes: number | null;
}

/** Time of all processors since the machine was started, in ms. systeminformation has it too, but begins anew with its thread. */
interface Load {
  readonly busy: number;
  readonly idle: number;
}

const NO_LOAD: Load = { busy: 0, idle: 0 };

/** Samples the machine every `everyMs`, through systeminformation, on a thread of its own that ends with the sample. */
export class HostStatistics implements Service {
  readonly name = "host statistics";
  readonly #everyMs: number;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #stopped = new AbortController();
  #sampling: Promise<void> = Promise.resolve();
  #last: HostSample | null = null;
  #load = NO_LOAD;

  /** @param path a directory of the file system whose space is told */
  constructor(
    options: { readonly everyMs: number; readonly path: string },
    tools: { readonly clock: Clock; readonly log: Log },
  ) {
    this.#everyMs = options.everyMs;
    this.#path = options.path;
    this.#clock = tools.clock;
    this.#log = tools.log;
  }

  /** The last sample; null before the first. */
  get last(): HostSample | null {
    return this.#last;
  }

  async start(): Promise<void> {
    if (this.#everyMs > 0) this.#sampling = this.#sampleAndRest();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#sampling;
  }

  async #sampleAndRest(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      await this.#clock.sleep(this.#everyMs, signal).catch(() => {});
      if (signal.aborted) return;
      try {
        const { sample, load } = await sampleHost(this.#path, this.#clock, signal, this.#load);
        this.#last = sample;
        this.#load = load;
      } catch (error) {
        if (signal.aborted) return;
        this.#log.warn("the machine could not be sampled", errorFields(error));
      }
    }
  }
}

/**
 * One sample, now, and the load to give with the next one: cpuPercent is that since then. Without, it is that since the machine was
 * started. Rejects when the machine does not tell, or the signal says to end.
 */
export async function sampleHost(
  path: string,
  clock: Clock,
  signal: AbortSignal,
  before: Load = NO_LOAD,
): Promise<{ readonly sample: HostSample; readonly load: Load }> {
  const load = loadNow();
  const answers = await askHost(clock, signal);
  const [busy, idle] = [load.busy - before.busy, load.idle - before.idle];
  const cpuPercent =
    busy >= 0 && idle >= 0 && busy + idle > 0 ? (100 * busy) / (busy + idle) : null;
  return { sample: { cpuPercent, ...sampleOf(path, answers) }, load };
}

function loadNow(): Load {
  const times = cpus().map((cpu) => cpu.times);
  const idle = times.reduce((sum, one) => sum + one.idle, 0);
  const busy = times.reduce((sum, { user, nice, sys, irq }) => sum + user + nice + sys + irq, 0);
  return { busy, idle };
}

function sampleOf(path: string, answers: HostAnswers): Omit<HostSample, "cpuPercent"> {
  const [memory, temperature, disks, [network]] = answers;
  // The file system with the longest mount point above the path is the one that holds it.
  const disk = disks
    .filter(
      ({ mount }) => path === mount || path.startsWith(mount.endsWith("/") ? mount : `${mount}/`),
    )
    .toSorted((a, b) => b.mount.length - a.mount.length)[0];
  return {
    memoryTotalBytes: memory.total,
    memoryAvailableBytes: memory.available,
    temperatureCelsius: temperature.main,
    diskTotalBytes: disk?.size ?? null,
    diskAvailableBytes: disk?.available ?? null,
    networkReceivedBytes: network?.rx_bytes ?? null,
    networkSentBytes: network?.tx_bytes ?? null,
  };
}
