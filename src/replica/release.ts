import type { Clock } from "../base/clock.ts";
import { FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { ReplicationCounters } from "./counters.ts";
import { GRAIN_MS, SyncSet } from "./sync-set.ts";

export interface ReleaseOptions {
  /** Whether a publisher is acknowledged only when a peer in sync has the message too. */
  readonly isSafe: boolean;
  readonly whenAlone: "accept" | "reject";
  readonly lagMsMax: number;
}

export interface ReleaseTools {
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: ReplicationCounters;
  readonly journal: { readonly durableSeq: number };
}

/** Up to where publishers are acknowledged, and who is in sync; says loudly when that changes. */
export class Release {
  readonly #options: ReleaseOptions;
  readonly #tools: ReleaseTools;
  readonly #sync: SyncSet;
  readonly #listeners = new Set<(releasedSeq: number) => void>();
  #releasedSeq = 0;
  #inSync: readonly string[] = [];
  #wasAlone = false;
  #isStopped = false;
  readonly #waiting: { readonly seq: number; readonly resolve: () => void }[] = [];
  #stop: () => void = () => {};

  constructor(options: ReleaseOptions, tools: ReleaseTools) {
    this.#options = options;
    this.#tools = tools;
    this.#sync = new SyncSet(options.lagMsMax);
  }

  /** Everything that was there before is released: its publishers are gone. */
  start(): void {
    this.#releasedSeq = this.#tools.journal.durableSeq;
    this.#stop = this.#tools.clock.every(GRAIN_MS, () => {
      this.#sync.tick(this.#tools.clock.monotonicMs());
      this.#look();
    });
    this.#look();
  }

  stop(): void {
    this.#stop();
    this.#isStopped = true;
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }

  /** Never goes back. */
  get releasedSeq(): number {
    return this.#options.isSafe ? this.#releasedSeq : this.#tools.journal.durableSeq;
  }
  get inSync(): readonly string[] {
    return this.#inSync;
  }
  /** `durability: safe` is wanted, and no peer is in sync. */
  get isAlone(): boolean {
    return this.#options.isSafe && this.#inSync.length === 0;
  }

  /** Calls `listener` each time that more may be acknowledged, until the returned function is called. */
  follow(listener: (releasedSeq: number) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves when everything up to `seq` may be acknowledged, or the gateway stops. */
  async covered(seq: number): Promise<void> {
    if (this.#isStopped || this.releasedSeq >= seq) return;
    await new Promise<void>((resolve) => this.#waiting.push({ seq, resolve }));
  }

  /** @throws FieldgateError ERR_PEER_NONE while nothing may be taken: no peer is in sync, and `whenAlone` is reject */
  checkNotAlone(): void {
    if (!this.isAlone || this.#options.whenAlone === "accept") return;
    const message = "no peer is in sync, and cluster.peer.whenAlone is reject: nothing was taken";
    throw new FieldgateError("ERR_PEER_NONE", message);
  }

  /** For how long the peer has been behind; 0 when it is not. */
  lagMs(peer: string): number {
    return this.#sync.lagMs(peer, this.#tools.clock.monotonicMs());
  }

  committed(): void {
    const { journal, clock } = this.#tools;
    this.#sync.committed(journal.durableSeq, clock.monotonicMs());
    this.#look();
  }

  connected(peer: string, seq: number): void {
    this.#sync.connected(peer, seq, this.#tools.clock.monotonicMs());
    this.#look();
  }

  acked(peer: string, seq: number): void {
    this.#sync.acked(peer, seq, this.#tools.clock.monotonicMs());
    this.#look();
  }

  lost(peer: string): void {
    this.#sync.lost(peer);
    this.#look();
  }

  #look(): void {
    const { inSync, coveredSeq } = this.#sync;
    if (inSync.join() !== this.#inSync.join()) this.#changed(inSync);
    if (this.isAlone !== this.#wasAlone) this.#aloneChanged();
    const { durableSeq } = this.#tools.journal;
    let releasedSeq = durableSeq;
    if (this.#options.isSafe) {
      if (coveredSeq !== null) releasedSeq = Math.min(coveredSeq, durableSeq);
      else if (this.#options.whenAlone === "reject") releasedSeq = this.#releasedSeq;
    }
    if (releasedSeq <= this.#releasedSeq) return;
    this.#releasedSeq = releasedSeq;
    for (const listener of this.#listeners) listener(releasedSeq);
    const waiting = this.#waiting.splice(0);
    for (const one of waiting) {
      if (one.seq <= releasedSeq) one.resolve();
      else this.#waiting.push(one);
    }
  }

  #changed(inSync: readonly string[]): void {
    const { log, counters } = this.#tools;
    for (const peer of this.#inSync.filter((one) => !inSync.includes(one))) {
      counters.syncLost++;
      log.error("a peer is not in sync any more", { peer, inSync });
    }
    for (const peer of inSync.filter((one) => !this.#inSync.includes(one))) {
      log.info("a peer is in sync", { peer, inSync });
    }
    this.#inSync = inSync;
  }

  #aloneChanged(): void {
    this.#wasAlone = this.isAlone;
    if (!this.isAlone) return;
    const { whenAlone } = this.#options;
    this.#tools.log.error("no peer is in sync: durability safe cannot be kept", { whenAlone });
  }
}
