import type { Clock } from "../base/clock.ts";
import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import { Watched } from "../base/watchable.ts";
import {
  dueMs,
  type ElectionAction,
  type ElectionEvent,
  type ElectionTerms,
  newElection,
  nextElection,
} from "./election.ts";
import { EpochKeeper } from "./epoch-keeper.ts";
import { type EpochRows, readEpoch } from "./epoch-row.ts";
import { EtcdBallot } from "./etcd-ballot.ts";
import { EtcdMirror } from "./etcd-mirror.ts";
import type { Etcd } from "./etcd-port.ts";
import type { HandOver } from "./hand-over.ts";
import { incumbent } from "./holder.ts";
import type { Candidate } from "./rank.ts";
import type { Keys, Reign } from "./records.ts";
import { holds, type Role, type RoleState } from "./role.ts";
import { type OfficeNote, Succession, type TellOffice } from "./succession.ts";
import { electionTerms } from "./terms.ts";
import type { SiteTiming } from "./timing.ts";
import { UnknownKeys } from "./unknown-keys.ts";
import { viewOf } from "./view.ts";

export interface ElectionTools {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  readonly etcd: Etcd;
  readonly keys: Keys;
  readonly rows: EpochRows;
  readonly timing: SiteTiming;
  /** This gateway's id. */
  readonly gateway: string;
  readonly ttlSeconds: number;
  readonly onEtcdLoss: "cloud-fenced" | "hold";
  /** What is known of a gateway that stands. */
  readonly candidate: (gateway: string) => Candidate;
  /** Tells another gateway how far a hand-over is; absent where the gateways have no connections. */
  readonly tell?: TellOffice;
  /** Sends nothing new as primary, and resolves when nothing of what was sent is under way. */
  readonly settle?: () => Promise<void>;
}

/** Since the start. */
export interface ElectionCounters {
  /** Times it became primary. */
  taken: number;
  fenced: number;
  handedOver: number;
  /** Leases of primaries ended whose process had ended. */
  evicted: number;
  /** Requests to etcd, or rows of the epoch, that failed. */
  failures: number;
  /** Keys that are not understood, as of now. */
  garbage: number;
}

/** Least time between two rounds. */
const PAUSE_MS = 20;

/**
 * Plays the machine of election.ts against etcd: keeps this gateway's lease, tells the machine what etcd says, and does
 * what it decides. Nothing here waits for etcd but what has to.
 */
export class EtcdElection implements Role {
  readonly counters: ElectionCounters = {
    taken: 0,
    fenced: 0,
    handedOver: 0,
    evicted: 0,
    failures: 0,
    garbage: 0,
  };
  readonly unknown: UnknownKeys;
  readonly #tools: ElectionTools;
  readonly #terms: ElectionTerms;
  readonly #mirror: EtcdMirror;
  readonly #ballot: EtcdBallot;
  readonly #succession: Succession;
  readonly #keeper: EpochKeeper;
  readonly #role = new Watched<RoleState>({ at: "standby" });
  readonly #pending = new Set<Promise<void>>();
  #election = newElection(0);
  /** Ends the timer of the machine's next tick. */
  #timer = new AbortController();
  /** Ends the pause before the next round. */
  #nap = new AbortController();
  #isHurried = false;
  #isStopping = false;
  #isSilent = false;
  #rounds: Promise<void> = Promise.resolve();

  constructor(tools: ElectionTools) {
    const { clock, log, random, etcd, keys, gateway, ttlSeconds } = tools;
    const changed = () => this.#look();
    this.#tools = tools;
    this.unknown = new UnknownKeys(log);
    this.#terms = electionTerms(tools);
    this.#mirror = new EtcdMirror(etcd, keys.election, { clock, log, random, changed });
    const refresh = () => this.#mirror.refresh();
    this.#ballot = new EtcdBallot({ clock, etcd, keys, gateway, ttlSeconds, refresh });
    this.#succession = new Succession({
      ...tools,
      ballot: this.#ballot,
      refresh,
      election: () => this.#election,
      step: (event) => this.#step(event),
      refreshSoon: () => this.#track(this.#mirror.refresh()),
      handedOver: (done) => {
        this.counters.handedOver++;
        log.info("handed over", { ...done });
      },
    });
    this.#keeper = new EpochKeeper(
      tools.rows,
      () => this.#election.keptEpoch,
      (epoch) => this.#step({ is: "kept", epoch }),
    );
  }

  get(): RoleState {
    return this.#role.get();
  }

  follow(follower: (role: RoleState) => void): () => void {
    return this.#role.follow(follower);
  }

  mayAct(): boolean {
    const { phase, lease } = this.#election;
    return phase.at === "primary" && lease !== null && holds(lease, this.#tools.clock);
  }

  mayUplink(): boolean {
    const { at } = this.#election.phase;
    if (this.mayAct()) return true;
    return this.#tools.onEtcdLoss === "cloud-fenced" && (at === "primary" || at === "fenced");
  }

  /** Who is primary as far as this gateway knows. */
  get primary(): { readonly gateway: string; readonly epoch: number } | null {
    const place = this.#place;
    return place && { gateway: place.gateway, epoch: place.epoch };
  }

  get #place(): Reign | null {
    const { view } = this.#election;
    return view && incumbent(view);
  }

  /** Those that are primary, or could be at once. */
  get standing(): readonly string[] {
    return [...(this.#election.view?.standing.values() ?? [])].sort();
  }

  /** Whether the last request to etcd failed. */
  get isSilent(): boolean {
    return this.#isSilent;
  }

  /** How often etcd was seen to go back, wiped or restored. */
  get wentBack(): number {
    return this.#mirror.generation;
  }

  /**
   * Reads the epoch from the disk, and begins. Never waits for etcd. It takes no part before it is admitted.
   * @throws FieldgateError ERR_STORE_FORMAT when the row is damaged
   */
  async start(): Promise<void> {
    this.#election = newElection(await readEpoch(this.#tools.rows));
    this.#mirror.start();
    this.#rounds = this.#runRounds();
  }

  /** A primary hands over within `handOverMsMax`. Who is not, or cannot, does nothing. */
  async depart(): Promise<void> {
    const { clock, timing } = this.#tools;
    if (this.#election.phase.at !== "primary") return;
    const late = new AbortController();
    const over = this.handOver().then(
      () => undefined,
      () => undefined,
    );
    this.#track(over);
    const timeout = clock.sleep(timing.handOverMsMax, late.signal).catch(() => undefined);
    await Promise.race([over, timeout]);
    late.abort();
  }

  /**
   * The connection to that gateway broke. What is returned is to be called when its process has ended: the lease that it had as
   * primary when the connection broke is ended, and its place is free at once. One that it took later, as another process, is not.
   */
  lost(gateway: string): () => void {
    const place = this.#place;
    if (place?.gateway !== gateway) return () => {};
    return () => {
      if (this.#isStopping || this.#place?.lease !== place.lease) return;
      this.counters.evicted++;
      this.#tools.log.warn("the primary's process has ended: its lease is ended too", { ...place });
      this.#step({ is: "ended", lease: place.lease });
      this.#track(this.#ballot.release(place.lease));
    };
  }

  /** A primary hands over; then the lease is given back. */
  async stop(): Promise<void> {
    await this.depart();
    this.#isStopping = true;
    this.bar();
    this.#hurry();
    await Promise.all([this.#rounds, this.#mirror.stop()]);
    while (this.#pending.size > 0) await Promise.all(this.#pending);
    this.#timer.abort();
  }

  /** From now on it takes part. */
  admit(): void {
    if (!this.#isStopping) this.#step({ is: "admitted" });
  }

  /** From now on it takes no part; a lease is given back. */
  bar(): void {
    this.#step({ is: "barred" });
  }

  /** A receiver has refused us, as it has seen that epoch, ours or a higher one, from another gateway. */
  outdated(epoch: number): void {
    this.#step({ is: "outdated", epoch });
  }

  /** What another gateway of the site says of a hand-over between it and this one. */
  told(gateway: string, note: OfficeNote): void {
    this.#succession.told(gateway, note);
  }

  /**
   * Makes another gateway primary: that one, or the best that stands. Until it is ready this one acts on.
   * @throws FieldgateError ERR_SITE_HAND_OVER when this is not the primary, or the other cannot be; ERR_ETCD when etcd
   * does not answer: then this one is primary no more, and whether the other one is will be seen
   */
  handOver(id?: string): Promise<HandOver> {
    return this.#succession.handOver(id);
  }

  #look(): void {
    const { view, garbage } = viewOf(this.#mirror, this.#tools.keys);
    this.unknown.seen(garbage);
    this.counters.garbage = garbage.length;
    this.#step({ is: "viewed", view });
  }

  #step(event: ElectionEvent): void {
    const { clock } = this.#tools;
    const nowMs = clock.monotonicMs();
    const [next, actions] = nextElection(this.#election, event, nowMs, this.#terms);
    this.#election = next;
    this.#timer.abort();
    this.#timer = new AbortController();
    const at = dueMs(next);
    if (at !== null) {
      // A timer may fire a little early: then the tick means nothing, and the next one is set.
      const waitMs = Math.max(1, at - nowMs);
      clock.sleep(waitMs, this.#timer.signal).then(
        () => this.#step({ is: "tick" }),
        () => undefined,
      );
    }
    // First of all: the site waits for it, and those who follow the role may take their time.
    this.#succession.changed(next);
    for (const action of actions) this.#begin(action);
    this.#tell();
  }

  #begin(action: ElectionAction): void {
    if (action.do === "stand") this.#hurry();
    if (action.do === "keep") this.#track(this.#keep(action.epoch));
    if (action.do === "release") this.#track(this.#ballot.release(action.lease));
    if (action.do === "take") {
      const { epoch, lease, view, ended } = action;
      const tried = this.#ballot.take(epoch, lease, view, ended);
      this.#track(tried.finally(() => this.#step({ is: "tried" })));
    }
  }

  /** Tells the role to those who follow it, when it has changed. */
  #tell(): void {
    const { phase, knownEpoch } = this.#election;
    const role = roleOf(phase);
    const before = this.#role.get();
    if (before.at === role.at && epochOf(before) === epochOf(role)) return;
    if (role.at === "primary" && epochOf(before) !== role.epoch) this.counters.taken++;
    if (role.at === "fenced") this.counters.fenced++;
    this.#role.set(role);
    this.#tools.log.info("role", { role: role.at, epoch: knownEpoch, primary: this.primary });
  }

  /** What fails is tried again by the next round. */
  async #keep(epoch: number): Promise<void> {
    try {
      await this.#keeper.keep(epoch);
    } catch (error) {
      this.counters.failures++;
      this.#tools.log.error("the epoch cannot be kept: not primary", errorFields(error));
      this.#step({ is: "unkept" });
    }
  }

  async #runRounds(): Promise<void> {
    const { clock, timing } = this.#tools;
    while (!this.#isStopping) {
      const begunMs = clock.monotonicMs();
      this.#isHurried = false;
      await this.#round().then(
        () => this.#answered(),
        (error: unknown) => this.#failed(error),
      );
      await clock.sleep(PAUSE_MS);
      this.#nap = new AbortController();
      if (this.#isHurried) continue;
      const restMs = timing.renewEveryMs - (clock.monotonicMs() - begunMs);
      await clock.sleep(Math.max(0, restMs), this.#nap.signal).catch(() => undefined);
    }
  }

  #hurry(): void {
    this.#isHurried = true;
    this.#nap.abort();
  }

  async #round(): Promise<void> {
    const { phase, lease, keptEpoch, knownEpoch } = this.#election;
    if (phase.at === "out") return;
    if (keptEpoch < knownEpoch) this.#track(this.#keep(knownEpoch));
    if (lease === null) {
      const granted = await this.#ballot.stand();
      this.#step({ is: "leased", lease: granted });
      if (this.#election.lease?.id !== granted.id) await this.#ballot.release(granted.id);
      return;
    }
    const renewed = await this.#ballot.renew(lease);
    this.#step(renewed ? { is: "confirmed", lease: renewed } : { is: "lost", lease: lease.id });
  }

  /** What fails is seen and tried again by the next round. */
  #track(work: Promise<void>): void {
    const tracked = work.catch((error: unknown) => this.#failed(error));
    this.#pending.add(tracked);
    void tracked.finally(() => this.#pending.delete(tracked));
  }

  #answered(): void {
    if (this.#isSilent) this.#tools.log.info("etcd answers again");
    this.#isSilent = false;
  }

  #failed(error: unknown): void {
    this.counters.failures++;
    if (!this.#isSilent) this.#tools.log.warn("etcd does not answer", errorFields(error));
    this.#isSilent = true;
  }
}

function roleOf(phase: ReturnType<typeof newElection>["phase"]): RoleState {
  if (phase.at !== "primary" && phase.at !== "fenced") return { at: "standby" };
  return { at: phase.at, epoch: phase.epoch };
}

function epochOf(role: RoleState): number {
  return role.at === "standby" ? 0 : role.epoch;
}
