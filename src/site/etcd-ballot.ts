import type { Clock } from "../base/clock.ts";
import type { SiteView } from "./election.ts";
import type { Condition, Etcd } from "./etcd-port.ts";
import { reigns } from "./holder.ts";
import { type Keys, type Reign, writeHolder, writeStanding } from "./records.ts";
import type { Lease } from "./role.ts";

export interface BallotTools {
  readonly clock: Clock;
  readonly etcd: Etcd;
  readonly keys: Keys;
  /** This gateway's id. */
  readonly gateway: string;
  readonly ttlSeconds: number;
  /** Afterwards the view shows all that was in etcd when this was called. */
  readonly refresh: () => Promise<void>;
}

/**
 * What the election asks of etcd. Each rejects with ERR_ETCD when etcd does not answer.
 *
 * A lease's time is counted from before the request was sent. A renewal counts only after a read that was made after it has
 * shown the lease standing: etcd before 3.4.38 confirms leases that it has revoked.
 */
export class EtcdBallot {
  readonly #tools: BallotTools;

  constructor(tools: BallotTools) {
    this.#tools = tools;
  }

  /** A new lease, under which this gateway stands. */
  async stand(): Promise<Lease> {
    const { etcd, keys, gateway, ttlSeconds, refresh } = this.#tools;
    const sent = this.#now();
    const { lease: id, ttlMs } = await etcd.grant(ttlSeconds);
    const key = keys.standing(id);
    await etcd.commit([{ key, is: "absent" }], [{ key, value: writeStanding(gateway), lease: id }]);
    await refresh();
    return { id, ttlMs, ...sent };
  }

  /** The lease, renewed; null when it has ended. */
  async renew({ id }: Lease): Promise<Lease | null> {
    const sent = this.#now();
    const ttlMs = await this.#tools.etcd.renew(id);
    if (ttlMs === null) return null;
    await this.#tools.refresh();
    return { id, ttlMs, ...sent };
  }

  async release(lease: string): Promise<void> {
    await this.#tools.etcd.revoke(lease);
  }

  /**
   * Tries to become primary. It succeeds only if nothing has changed since the view, we stand, and neither the last primary does
   * nor the one before it that has named it. Their leases are asked for as well: someone may have deleted a key by hand. The view
   * then tells what came of it.
   * @param ended a lease whose process has ended: it is not asked for, and may stand still
   */
  async take(
    epoch: number,
    lease: string,
    { holder, holderRevision }: SiteView,
    ended: string | null = null,
  ): Promise<void> {
    const { etcd, keys, gateway, refresh } = this.#tools;
    const others = reigns(holder).map((reign) => reign.lease);
    const inWay = others.filter((one) => one !== lease && one !== ended);
    for (const one of inWay) if (await etcd.leaseLives(one)) return;
    const when: Condition[] = [
      { key: keys.epoch, is: "unchanged", modRevision: holderRevision },
      { key: keys.standing(lease), is: "present" },
      ...inWay.map((one) => ({ key: keys.standing(one), is: "not under", lease: one }) as const),
    ];
    await etcd.commit(when, [{ key: keys.epoch, value: writeHolder({ epoch, gateway, lease }) }]);
    await refresh();
  }

  /**
   * Makes `next` primary as soon as our own lease has ended.
   * @param own under which we act until then
   * @returns false when something has changed since the view, or one of the two stands no more: then nothing was done, or it was
   * done by an attempt that etcd has not answered. The view tells, when it is refreshed
   */
  async name(next: Reign, own: Reign, { holderRevision }: SiteView): Promise<boolean> {
    const { etcd, keys } = this.#tools;
    const when: Condition[] = [
      { key: keys.epoch, is: "unchanged", modRevision: holderRevision },
      { key: keys.standing(own.lease), is: "present" },
      { key: keys.standing(next.lease), is: "present" },
    ];
    const value = writeHolder({ ...next, after: own });
    return etcd.commit(when, [{ key: keys.epoch, value }]);
  }

  #now(): Pick<Lease, "sentMs" | "sentWallMs"> {
    const { clock } = this.#tools;
    return { sentMs: clock.monotonicMs(), sentWallMs: clock.wallMs() };
  }
}
