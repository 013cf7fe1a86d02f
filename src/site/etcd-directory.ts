import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { Service } from "../base/service.ts";
import type { ClusterConfig } from "../config/schema.ts";
import { etcdOf } from "./etcd-cluster.ts";
import { EtcdMirror } from "./etcd-mirror.ts";
import type { Etcd } from "./etcd-port.ts";
import { timingOf } from "./timing.ts";

/** The values of the keys below a prefix in the cluster's etcd, watched. While etcd is silent: as they were. */
export class EtcdDirectory implements Service {
  readonly name = "directory";
  readonly #options: ClusterConfig;
  readonly #prefix: string;
  readonly #tools: { readonly clock: Clock; readonly log: Log; readonly random: Random };
  #etcd: Etcd | null = null;
  #mirror: EtcdMirror | null = null;

  constructor(
    options: ClusterConfig,
    prefix: string,
    tools: { readonly clock: Clock; readonly log: Log; readonly random: Random },
  ) {
    this.#options = options;
    this.#prefix = prefix;
    this.#tools = tools;
  }

  /** Does not wait for etcd. */
  async start(): Promise<void> {
    const { primaryTtlSeconds } = this.#options;
    const { clock, log, random } = this.#tools;
    this.#etcd = etcdOf(this.#options, clock, timingOf(primaryTtlSeconds));
    const tools = { clock, random, log: log.part("directory"), changed: () => {} };
    this.#mirror = new EtcdMirror(this.#etcd, this.#prefix, tools);
    this.#mirror.start();
  }

  async stop(): Promise<void> {
    await this.#mirror?.stop();
    this.#etcd?.close();
  }

  /** In the order of their keys. */
  values(): readonly string[] {
    const entries = [...(this.#mirror?.entries.values() ?? [])];
    return entries
      .toSorted((one, other) => (one.key < other.key ? -1 : 1))
      .map(({ value }) => value);
  }
}
