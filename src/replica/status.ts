import type { ReplicationCounters } from "./counters.ts";
import type { SenderStatus } from "./sender.ts";

interface ReplicaStatus {
  readonly journal: string;
  /** Whose it is. */
  readonly gateway: string;
  readonly seq: number;
  readonly storeBytes: number;
  readonly connected: boolean;
}

export interface ReplicationStatus {
  /** Where peers connect; empty before the start, and while that is not possible. */
  readonly address: string;
  /** Why peers cannot connect. */
  readonly error: Readonly<Record<string, unknown>> | null;
  readonly inSync: readonly string[];
  /** `durability: safe` is wanted, and there is no peer in sync. */
  readonly isAlone: boolean;
  readonly whenAlone: "accept" | "reject";
  /** Publishers are acknowledged up to here. */
  readonly releasedSeq: number;
  readonly peers: readonly (SenderStatus & { readonly inSync: boolean; readonly lagMs: number })[];
  readonly replicas: readonly ReplicaStatus[];
  readonly counters: ReplicationCounters;
}
