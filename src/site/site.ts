import type { Clock } from "../base/clock.ts";
import { errorFields, FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { Service } from "../base/service.ts";
import { type Watchable, Watched } from "../base/watchable.ts";
import type { ClusterConfig } from "../config/schema.ts";
import type { EpochRows } from "./epoch-row.ts";
import { etcdOf } from "./etcd-cluster.ts";
import { type ElectionCounters, EtcdElection } from "./etcd-election.ts";
import { EtcdMembership } from "./etcd-membership.ts";
import type { Etcd } from "./etcd-port.ts";
import type { HandOver } from "./hand-over.ts";
import type { Candidate } from "./rank.ts";
import { keysOf, type Member } from "./records.ts";
import type { Role, RoleState } from "./role.ts";
import { SoloElection } from "./solo-election.ts";
import type { OfficeNote, TellOffice } from "./succession.ts";
import { type SiteTiming, timingOf } from "./timing.ts";

export type SiteOptions = ClusterConfig;

export interface SiteTools {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  readonly identity: { readonly gateway: string; readonly site: string };
  readonly version: string;
  /** Where peers reach this gateway; empty as long as there is nothing to reach. Asked once a second. */
  readonly address?: () => string;
  /** A space of rows in the gateway's store, for the epoch alone. */
  readonly rows: EpochRows;
  /** The journal's id, its last durable seq, and how many entries of others' journals it has. Asked once a second. */
  readonly journalOffset: () => {
    readonly id: string;
    readonly seq: number;
    readonly replicated?: number;
  };
  /** Tells a peer something of a hand-over, if it is connected. */
  readonly tell?: TellOffice;
  /** Sends nothing new to the cloud until the role changes; resolves when nothing is under way there. */
  readonly settle?: () => Promise<void>;
  /** Instead of the one that the options name: for tests. */
  readonly etcd?: Etcd;
  readonly timing?: Partial<SiteTiming>;
}

export interface SiteStatus {
  readonly role: RoleState["at"];
  readonly epoch: number | null;
  readonly mayAct: boolean;
  /** As far as this gateway knows. */
  readonly primary: { readonly gateway: string; readonly epoch: number } | null;
  /** Ids of those that are primary, or could be at once. */
  readonly standing: readonly string[];
  readonly registration: EtcdMembership["state"] | "alone";
  readonly etcd: "answers" | "silent" | "none";
  /** How often etcd went back: wiped or restored. */
  readonly etcdWentBack: number;
  readonly members: readonly Member[];
  readonly counters: ElectionCounters | null;
  readonly membership: { readonly garbage: number; readonly failures: number } | null;
  /** Why it does not belong to the site. */
  readonly lastError: Readonly<Record<string, unknown>> | null;
  /** What stands in etcd and is not understood. */
  readonly garbage: readonly Readonly<Record<string, unknown>>[];
}

/** The gateways of a site, and who of them is primary. */
export interface Site extends Service {
  readonly role: Role;
  readonly members: Watchable<readonly Member[]>;
  /** To be told when a receiver has refused us, as it has seen that epoch, ours or a higher one, from another gateway. */
  outdated(epoch: number): void;
  /**
   * Makes another gateway primary: that one, or the best.
   * @throws FieldgateError ERR_SITE_HAND_OVER when this is not the primary or the other cannot be, ERR_ETCD
   */
  handOver(id?: string): Promise<HandOver>;
  /** What a peer has told of a hand-over between it and this one. */
  told(gateway: string, note: OfficeNote): void;
  /** Before this gateway stops: hands over when it is primary and another one can be. Never rejects. */
  depart(): Promise<void>;
  /**
   * The connection to that gateway broke. What is returned is to be called when its process is known to have ended: if it was
   * primary, its lease is ended, so that another one need not wait for it to run out.
   */
  lost(gateway: string): () => void;
  status(): SiteStatus;
}

/**
 * With a cluster: registers in its etcd and takes part in the election. `start` never waits for etcd; `stop` hands over.
 * Without one: primary from the start, with an epoch of its own.
 */
export function site(options: SiteOptions | undefined, tools: SiteTools): Site {
  return options === undefined ? new SoloSite(tools) : new EtcdSite(options, tools);
}

class SoloSite implements Site {
  readonly name = "site";
  readonly members = new Watched<readonly Member[]>([]);
  readonly role: SoloElection;

  constructor({ rows, log }: SiteTools) {
    this.role = new SoloElection({ rows, log: log.part("site") });
  }

  start(): Promise<void> {
    return this.role.start();
  }

  stop(): Promise<void> {
    return this.role.stop();
  }

  outdated(epoch: number): void {
    this.role.outdated(epoch);
  }

  async handOver(): Promise<HandOver> {
    const message = "this gateway is alone: there is no cluster in its configuration";
    throw new FieldgateError("ERR_SITE_HAND_OVER", message);
  }

  told(): void {}

  async depart(): Promise<void> {}

  lost(): () => void {
    return () => {};
  }

  status(): SiteStatus {
    const role = this.role.get();
    return {
      role: role.at,
      epoch: "epoch" in role ? role.epoch : null,
      mayAct: this.role.mayAct(),
      primary: null,
      standing: [],
      registration: "alone",
      etcd: "none",
      etcdWentBack: 0,
      members: [],
      counters: null,
      membership: null,
      lastError: null,
      garbage: [],
    };
  }
}

class EtcdSite implements Site {
  readonly name = "site";
  readonly role: EtcdElection;
  readonly #membership: EtcdMembership;
  readonly #etcd: Etcd;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #stopMsMax: number;

  constructor(options: SiteOptions, tools: SiteTools) {
    const { clock, random, rows, identity } = tools;
    const log = tools.log.part("site");
    const timing = { ...timingOf(options.primaryTtlSeconds), ...tools.timing };
    const keys = keysOf(identity.site);
    const etcd = tools.etcd ?? etcdOf(options, clock, timing);
    const run = newRun(random);
    this.#etcd = etcd;
    this.#clock = clock;
    this.#log = log;
    this.#stopMsMax = timing.stopMsMax;
    const { tell, settle } = tools;
    const common = { clock, log, random, etcd, keys };
    this.#membership = new EtcdMembership({
      ...common,
      ttlSeconds: options.registrationTtlSeconds,
      self: () => selfOf(options, tools, run),
      admitted: (isMember) => (isMember ? this.role.admit() : this.role.bar()),
    });
    this.role = new EtcdElection({
      ...common,
      rows,
      timing,
      gateway: identity.gateway,
      ttlSeconds: options.primaryTtlSeconds,
      onEtcdLoss: options.onEtcdLoss,
      candidate: (id) => this.#candidate(id),
      ...(tell && { tell }),
      ...(settle && { settle }),
    });
  }

  get members(): Watchable<readonly Member[]> {
    return this.#membership.members;
  }

  async start(): Promise<void> {
    await this.role.start();
    this.#membership.start();
  }

  /** Requests to an etcd that is silent are left to their deadlines after `stopMsMax`. */
  async stop(): Promise<void> {
    const late = new AbortController();
    const stopped = Promise.all([this.role.stop(), this.#membership.stop()]);
    const isStopped = await Promise.race([
      stopped.then(() => true),
      this.#clock.sleep(this.#stopMsMax, late.signal).then(
        () => false,
        () => true,
      ),
    ]);
    late.abort();
    if (!isStopped) this.#log.warn("etcd is silent: what was not given back runs out by itself");
    this.#etcd.close();
  }

  outdated(epoch: number): void {
    this.role.outdated(epoch);
  }

  handOver(id?: string): Promise<HandOver> {
    return this.role.handOver(id);
  }

  told(gateway: string, note: OfficeNote): void {
    this.role.told(gateway, note);
  }

  depart(): Promise<void> {
    return this.role.depart();
  }

  lost(gateway: string): () => void {
    return this.role.lost(gateway);
  }

  status(): SiteStatus {
    const role = this.role.get();
    const { lastError } = this.#membership;
    return {
      role: role.at,
      epoch: "epoch" in role ? role.epoch : null,
      mayAct: this.role.mayAct(),
      primary: this.role.primary,
      standing: this.role.standing,
      registration: this.#membership.state,
      // Before it has registered, the election asks nothing.
      etcd: this.role.isSilent || this.#membership.isSilent ? "silent" : "answers",
      etcdWentBack: this.role.wentBack,
      members: this.members.get(),
      counters: { ...this.role.counters },
      membership: this.#membership.counters,
      lastError: lastError === null ? null : errorFields(lastError),
      garbage: [this.role.unknown.error, this.#membership.unknown.error]
        .filter((each) => each !== null)
        .map(errorFields),
    };
  }

  /** One that stands and has not registered is the last choice. */
  #candidate(id: string): Candidate {
    const member = this.members.get().find((one) => one.id === id);
    return member ?? { id, priority: -1, replicated: 0 };
  }
}

function selfOf({ priority }: SiteOptions, tools: SiteTools, run: string): Member {
  const { id: journal, seq: offset, replicated = 0 } = tools.journalOffset();
  const { identity, version } = tools;
  const address = tools.address?.() ?? "";
  return { id: identity.gateway, run, address, priority, version, journal, offset, replicated };
}

/** Tells this start of the gateway from all others. */
function newRun(random: Random): string {
  const digits = () => Math.floor(random() * 2 ** 32).toString(16);
  return digits().padStart(8, "0") + digits().padStart(8, "0");
}
