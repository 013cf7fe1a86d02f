import type { Clock } from "../base/clock.ts";
import type { Election, ElectionEvent, SiteView } from "./election.ts";
import type { EtcdBallot } from "./etcd-ballot.ts";
import { type HandOver, notPrimary, refused } from "./hand-over.ts";
import { incumbent } from "./holder.ts";
import { type Candidate, ranked } from "./rank.ts";
import type { Reign } from "./records.ts";
import type { Lease } from "./role.ts";
import type { SiteTiming } from "./timing.ts";

/** What one gateway tells another one of a hand-over between them, over the connection that they have. Everything goes on without it, slower. */
export interface OfficeNote {
  /**
   * named: etcd names you for that epoch, after me. ready: that epoch, for which you have named me, is on my disk. over: I do not act
   * any more under that lease of mine, and never will again.
   */
  readonly is: "named" | "ready" | "over";
  readonly epoch: number;
  /** Of who tells it. */
  readonly lease: string;
}

/** Says whether it could be told. */
export type TellOffice = (gateway: string, note: OfficeNote) => boolean;

export interface SuccessionTools {
  readonly clock: Clock;
  readonly timing: Pick<SiteTiming, "readyMsMax" | "settleMsMax">;
  /** Absent: the gateways have no connections. */
  readonly tell?: TellOffice;
  /** Sends nothing new as primary, and resolves when nothing of what was sent is under way. */
  readonly settle?: () => Promise<void>;
  /** This gateway's id. */
  readonly gateway: string;
  readonly candidate: (gateway: string) => Candidate;
  readonly ballot: Pick<EtcdBallot, "name">;
  /** Afterwards the election has seen what was in etcd when this was called. */
  readonly refresh: () => Promise<void>;
  /** The same, and nobody waits for it. */
  readonly refreshSoon: () => void;
  readonly election: () => Election;
  readonly step: (event: ElectionEvent) => void;
  readonly handedOver: (done: HandOver) => void;
}

/** A primary is new for so long. */
const NEW_MS = 1000;
const RETRY_MS = 20;

/**
 * What makes a hand-over short. In the time in which nobody acts there is one message between two gateways:
 *
 *   primary ──named──▶ next     etcd has said so too; the primary acts on
 *           ◀──ready──          its epoch is on its disk
 *   what is under way arrives; from here on nobody acts
 *           ──over───▶          it acts
 */
export class Succession {
  readonly #tools: SuccessionTools;
  #awaited: { readonly next: Reign; readonly ready: AbortController } | null = null;
  #answeredEpoch = 0;
  #handingOver: Promise<HandOver> | null = null;
  /** Tells the next one that it may act, once we do no more. */
  #leaving: (() => void) | null = null;

  constructor(tools: SuccessionTools) {
    this.#tools = tools;
  }

  /** See EtcdElection. Who asks while one is under way is told of that one. */
  handOver(id?: string): Promise<HandOver> {
    this.#handingOver ??= this.#tryHandOver(id).finally(() => {
      this.#handingOver = null;
    });
    return this.#handingOver;
  }

  told(gateway: string, note: OfficeNote): void {
    const { election, step, refreshSoon } = this.#tools;
    const { view, knownEpoch } = election();
    if (note.is === "ready") this.#readied(gateway, note.epoch);
    else if (note.is === "named") {
      if (note.epoch > knownEpoch) refreshSoon();
    } else if (view?.standing.get(note.lease) === gateway) {
      step({ is: "ended", lease: note.lease });
    }
  }

  /** Who has handed over to us stands anew in a moment: until then nobody may be there. */
  async #tryHandOver(id?: string): Promise<HandOver> {
    for (;;) {
      try {
        return await this.#handOver(id);
      } catch (error) {
        const { election, clock } = this.#tools;
        const { phase } = election();
        const isNew = phase.at === "primary" && clock.monotonicMs() - phase.sinceMs < NEW_MS;
        if (!isNew) throw error;
        await clock.sleep(RETRY_MS);
      }
    }
  }

  async #handOver(id?: string): Promise<HandOver> {
    const { clock, election, gateway, step, handedOver } = this.#tools;
    const { phase, lease, view, knownEpoch } = election();
    if (phase.at !== "primary" || lease === null || view === null) {
      throw notPrimary(view && incumbent(view));
    }
    const own = { epoch: phase.epoch, gateway, lease: lease.id };
    const next = { epoch: knownEpoch + 1, ...this.#successor(view, lease, id) };
    const { gateway: to, epoch } = next;
    if (!(await this.#named(next, own, view))) {
      throw refused(`${to} could not take over: etcd has changed`, { to });
    }
    await this.#prepared(next, own);
    this.#leaving = () => this.#tell(next, own, "over");
    if (election().lease?.id === own.lease) step({ is: "passing" });
    this.#leave();
    // What follows is much, and may wait until that has left.
    await new Promise<void>((resolve) => clock.afterTurn(resolve));
    handedOver({ to, epoch });
    step({ is: "passed" });
    return { to, epoch };
  }

  /** A request that was not answered may still arrive: without the lease that it names it does nothing. */
  async #named(next: Reign, own: Reign, view: SiteView): Promise<boolean> {
    const { ballot, refresh, election, step } = this.#tools;
    try {
      if (await ballot.name(next, own, view)) return true;
      await refresh();
      const { holder = null } = election().view ?? {};
      return holder?.lease === next.lease && holder.epoch === next.epoch;
    } catch (error) {
      step({ is: "passing" });
      step({ is: "passed" });
      throw error;
    }
  }

  #successor(view: SiteView, own: Lease, id?: string) {
    const others = [...view.standing].filter(([lease]) => lease !== own.id);
    const candidates = others.map(([, gateway]) => this.#tools.candidate(gateway));
    const best = id ?? ranked(candidates)[0]?.id;
    const [lease, gateway] = others.find((other) => other[1] === best) ?? [];
    if (lease !== undefined && gateway !== undefined) return { lease, gateway };
    if (id === undefined) throw refused("no other gateway stands to be primary", {});
    const isOurs = id === this.#tools.gateway;
    throw refused(isOurs ? `${id} is primary already` : `${id} does not stand to be primary`, {
      to: id,
      standing: others.map((other) => other[1]),
    });
  }

  /** Resolves when the next one is ready and nothing is under way any more; or could not be asked, or took too long. Never rejects. */
  async #prepared(next: Reign, own: Reign): Promise<void> {
    const { timing, settle } = this.#tools;
    const ready = new AbortController();
    this.#awaited = { next, ready };
    const isTold = this.#tell(next, own, "named");
    if (isTold) await this.#upTo(timing.readyMsMax, ready);
    this.#awaited = null;
    if (settle === undefined) return;
    const settled = new AbortController();
    settle().then(
      () => settled.abort(),
      () => settled.abort(),
    );
    await this.#upTo(timing.settleMsMax, settled);
  }

  /** That gateway has that epoch on its disk. */
  #readied(gateway: string, epoch: number): void {
    const { next, ready } = this.#awaited ?? {};
    if (next?.gateway === gateway && next.epoch === epoch) ready?.abort();
  }

  /** To be called when the election has changed: tells the one whom we have named, or who has named us, that it may go. */
  changed({ phase, view, lease, keptEpoch }: Election): void {
    if (phase.at === "passing") this.#leave();
    const { holder = null, standing } = view ?? {};
    if (holder?.after === undefined || lease === null || holder.lease !== lease.id) return;
    const { epoch, after } = holder;
    if (keptEpoch < epoch || this.#answeredEpoch === epoch || !standing?.has(after.lease)) return;
    this.#answeredEpoch = epoch;
    this.#tools.tell?.(after.gateway, { is: "ready", epoch, lease: lease.id });
  }

  #leave(): void {
    this.#leaving?.();
    this.#leaving = null;
  }

  #tell(next: Reign, own: Reign, is: "named" | "over"): boolean {
    const { tell = () => false } = this.#tools;
    return tell(next.gateway, { is, epoch: next.epoch, lease: own.lease });
  }

  async #upTo(ms: number, { signal }: AbortController): Promise<void> {
    await this.#tools.clock.sleep(ms, signal).catch(() => undefined);
  }
}
