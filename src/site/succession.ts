import type { Clock } from "../base/clock.ts";
import type { Election } from "./election.ts";
import type { Reign } from "./records.ts";
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
}

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

  constructor(tools: SuccessionTools) {
    this.#tools = tools;
  }

  /** Resolves when the next one is ready and nothing is under way any more; or could not be asked, or took too long. Never rejects. */
  async prepared(next: Reign, own: Reign): Promise<void> {
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

  over(next: Reign, own: Reign): void {
    this.#tell(next, own, "over");
  }

  /** That gateway has that epoch on its disk. */
  readied(gateway: string, epoch: number): void {
    const { next, ready } = this.#awaited ?? {};
    if (next?.gateway === gateway && next.epoch === epoch) ready?.abort();
  }

  /** To be called when the election has changed: tells who has named us that it may go. */
  answer({ view, lease, keptEpoch }: Election): void {
    const { holder = null, standing } = view ?? {};
    if (holder?.after === undefined || lease === null || holder.lease !== lease.id) return;
    const { epoch, after } = holder;
    if (keptEpoch < epoch || this.#answeredEpoch === epoch || !standing?.has(after.lease)) return;
    this.#answeredEpoch = epoch;
    this.#tools.tell?.(after.gateway, { is: "ready", epoch, lease: lease.id });
  }

  #tell(next: Reign, own: Reign, is: "named" | "over"): boolean {
    const { tell = () => false } = this.#tools;
    return tell(next.gateway, { is, epoch: next.epoch, lease: own.lease });
  }

  async #upTo(ms: number, { signal }: AbortController): Promise<void> {
    await this.#tools.clock.sleep(ms, signal).catch(() => undefined);
  }
}
