import type { Clock } from "../base/clock.ts";
import { type EtcdUser, etcdClient } from "./etcd-client.ts";
import type { Condition, Etcd, Grant, Listing, Put, WatchListener } from "./etcd-port.ts";
import { hedged } from "./hedge.ts";
import type { SiteTiming } from "./timing.ts";

/** The members of an etcd cluster as one. */
export function etcdOf(
  { endpoints, ...user }: EtcdUser & { readonly endpoints: readonly string[] },
  clock: Clock,
  timing: SiteTiming,
): Etcd {
  const clients = endpoints.map((endpoint) => etcdClient(endpoint, clock, timing.callMsMax, user));
  return new EtcdCluster(clients, clock, timing.hedgeMs);
}

/**
 * All endpoints of an etcd cluster as one. A call goes to the endpoint that answered last; when that is silent for
 * `hedgeMs`, or fails, the next one is asked too, and the first answer counts. So a member that hangs costs `hedgeMs` once.
 *
 * A call may thus be made twice: writes carry conditions that the first one breaks for the second; a lease granted in
 * vain runs out by itself.
 */
export class EtcdCluster implements Etcd {
  readonly #endpoints: readonly Etcd[];
  readonly #clock: Clock;
  readonly #hedgeMs: number;
  readonly #watches = new Set<(error: Error) => void>();
  #preferred = 0;

  constructor(endpoints: readonly Etcd[], clock: Clock, hedgeMs: number) {
    this.#endpoints = endpoints;
    this.#clock = clock;
    this.#hedgeMs = hedgeMs;
  }

  grant(ttlSeconds: number): Promise<Grant> {
    return this.#ask((etcd) => etcd.grant(ttlSeconds));
  }
  renew(lease: string): Promise<number | null> {
    return this.#ask((etcd) => etcd.renew(lease));
  }
  revoke(lease: string): Promise<void> {
    return this.#ask((etcd) => etcd.revoke(lease));
  }
  leaseLives(lease: string): Promise<boolean> {
    return this.#ask((etcd) => etcd.leaseLives(lease));
  }
  list(prefix: string): Promise<Listing> {
    return this.#ask((etcd) => etcd.list(prefix));
  }
  commit(when: readonly Condition[], puts: readonly Put[]): Promise<boolean> {
    return this.#ask((etcd) => etcd.commit(when, puts));
  }

  /** At the endpoint that answered last. When another one takes its place, the watch reports trouble: it may be deaf. */
  watch(prefix: string, fromRevision: number, listener: WatchListener): () => void {
    let over = false;
    const end = () => {
      over = true;
      this.#watches.delete(trouble);
    };
    const trouble = (error: Error) => {
      if (over) return;
      end();
      stop?.();
      listener.trouble(error);
    };
    this.#watches.add(trouble);
    const changed: WatchListener["changed"] = (changes) => {
      if (!over) listener.changed(changes);
    };
    const stop = this.#endpoint(0).watch(prefix, fromRevision, { changed, trouble });
    return () => {
      end();
      stop();
    };
  }

  close(): void {
    for (const endpoint of this.#endpoints) endpoint.close();
  }

  async #ask<T>(call: (etcd: Etcd) => Promise<T>): Promise<T> {
    const from = this.#preferred;
    const attempts = this.#endpoints.map((_, offset) => () => call(this.#endpoint(offset, from)));
    const { value, winner } = await hedged(attempts, this.#hedgeMs, this.#clock);
    if (winner !== 0) this.#prefer((from + winner) % this.#endpoints.length);
    return value;
  }

  #prefer(index: number): void {
    if (index === this.#preferred) return;
    this.#preferred = index;
    for (const trouble of [...this.#watches]) trouble(new Error("another endpoint answers faster"));
  }

  #endpoint(offset: number, from = this.#preferred): Etcd {
    return this.#endpoints[(from + offset) % this.#endpoints.length] as Etcd;
  }
}
