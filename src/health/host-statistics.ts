import type { Clock } from "../base/clock.ts";
import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Service } from "../base/service.ts";

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

/**
 * Samples the machine every `everyMs`, through systeminformation. The package costs memory and start-up time, so it is loaded
 * with the first sample, when the gateway has long been at work.
 */
export class HostStatistics implements Service {
  readonly name = "host statistics";
  readonly #everyMs: number;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #stopped = new AbortController();
  #sampling: Promise<void> = Promise.resolve();
  #last: HostSample | null = null;

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
        this.#last = await sampleHost(this.#path);
      } catch (error) {
        this.#log.warn("the machine could not be sampled", errorFields(error));
      }
    }
  }
}

/** One sample, now. The first one's cpuPercent is that since the machine was started. */
export async function sampleHost(path: string): Promise<HostSample> {
  const information = await import("systeminformation");
  const [load, memory, temperature, disks, [network]] = await Promise.all([
    information.currentLoad(),
    information.mem(),
    information.cpuTemperature(),
    information.fsSize(),
    information.networkStats(),
  ]);
  // The file system with the longest mount point above the path is the one that holds it.
  const disk = disks
    .filter(
      ({ mount }) => path === mount || path.startsWith(mount.endsWith("/") ? mount : `${mount}/`),
    )
    .toSorted((a, b) => b.mount.length - a.mount.length)[0];
  return {
    cpuPercent: Number.isFinite(load.currentLoad) ? load.currentLoad : null,
    memoryTotalBytes: memory.total,
    memoryAvailableBytes: memory.available,
    temperatureCelsius: temperature.main,
    diskTotalBytes: disk?.size ?? null,
    diskAvailableBytes: disk?.available ?? null,
    networkReceivedBytes: network?.rx_bytes ?? null,
    networkSentBytes: network?.tx_bytes ?? null,
  };
}
