/**
 * Port: the little of etcd that the site needs. Implementations pass test/contract/etcd.ts.
 *
 * Each call ends within its implementation's deadline, or rejects with ERR_ETCD; then it is not known whether etcd did it,
 * or will still do it. So a write is guarded by conditions, and whoever made it reads again.
 */
export interface Etcd {
  /** A lease of at least that time. etcd may grant more: the answer counts. */
  grant(ttlSeconds: number): Promise<Grant>;
  /** Starts the lease's time anew. Its time to live in ms, or null when etcd does not know it (any more). */
  renew(lease: string): Promise<number | null>;
  /** Ends the lease, and with it its keys. One that is not known has ended. */
  revoke(lease: string): Promise<void>;
  /** Whether the lease may still be alive. Once false, always false. */
  leaseLives(lease: string): Promise<boolean>;
  /** What is under the prefix, linearizable: at least as new as any answer given before it was asked. */
  list(prefix: string): Promise<Listing>;
  /** Writes all or nothing. @returns whether the conditions held. */
  commit(when: readonly Condition[], puts: readonly Put[]): Promise<boolean>;
  /** Changes from that revision on, until the returned function is called or `trouble` was told once. */
  watch(prefix: string, fromRevision: number, listener: WatchListener): () => void;
  close(): void;
}

export interface Grant {
  readonly lease: string;
  readonly ttlMs: number;
}

export interface Listing {
  /** Of the store when it answered. It goes back only when etcd was wiped or restored. */
  readonly revision: number;
  readonly entries: readonly EtcdEntry[];
}

export interface EtcdEntry {
  readonly key: string;
  readonly value: string;
  /** "0" when it hangs on none. */
  readonly lease: string;
  readonly modRevision: number;
}

export type Condition =
  | { readonly key: string; readonly is: "absent" | "present" }
  | { readonly key: string; readonly is: "unchanged"; readonly modRevision: number }
  /** There is no such key, or it hangs on another lease or on none. */
  | { readonly key: string; readonly is: "not under"; readonly lease: string };

export interface Put {
  readonly key: string;
  readonly value: string;
  readonly lease?: string;
}

export interface WatchListener {
  /** What changed with one revision or several, never with a part of one. */
  changed(changes: readonly EtcdChange[]): void;
  /** It may have missed something, and tells nothing more. */
  trouble(error: Error): void;
}

export type EtcdChange =
  | { readonly put: EtcdEntry }
  | { readonly deleted: string; readonly revision: number };
