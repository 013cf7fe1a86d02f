import type { Clock } from "../base/clock.ts";
import type { Watchable } from "../base/watchable.ts";

export type RoleState =
  | { readonly at: "primary"; readonly epoch: number }
  | { readonly at: "standby" }
  /** It was primary, may be replaced by now, and does not know: etcd does not answer. */
  | { readonly at: "fenced"; readonly epoch: number };

/** What this gateway is on its site. */
export interface Role extends Watchable<RoleState> {
  /**
   * Whether it may do now what only the primary does. Looks at the clock: ask before each such act, in the same turn.
   * A role that says primary is not enough, as a process that was stopped for a minute still has it.
   */
  mayAct(): boolean;
  /**
   * Whether it may send to a receiver that refuses outdated epochs. Under `onEtcdLoss: cloud-fenced` also while it is
   * fenced: should another gateway have become primary, the receiver knows its epoch and refuses ours.
   */
  mayUplink(): boolean;
}

/** A lease of this gateway, as etcd has last confirmed it. */
export interface Lease {
  readonly id: string;
  readonly ttlMs: number;
  /** When the request that granted or renewed it was sent: etcd's time to live began later. */
  readonly sentMs: number;
  readonly sentWallMs: number;
}

const MARGIN_MS = 300;
const MARGIN_PART = 0.1;
/** The wall clock ahead of the monotonic one by more than this: the machine slept, and its monotonic clock with it. */
const SLEPT_MS = 1000;

/** From then on a primary does not act: a margin before the lease can have ended. Monotonic milliseconds. */
export function fenceAtMs({ sentMs, ttlMs }: Lease): number {
  return sentMs + ttlMs - Math.max(MARGIN_MS, ttlMs * MARGIN_PART);
}

/** Whether the lease cannot have ended yet, whatever happened since. */
export function holds(lease: Lease, clock: Pick<Clock, "monotonicMs" | "wallMs">): boolean {
  const nowMs = clock.monotonicMs();
  const sleptMs = clock.wallMs() - lease.sentWallMs - (nowMs - lease.sentMs);
  return nowMs < fenceAtMs(lease) && sleptMs <= SLEPT_MS;
}
