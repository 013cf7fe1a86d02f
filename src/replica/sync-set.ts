/**
 * Which peers are in sync, and what may be acknowledged because one of them has it. Pure: time is an argument.
 *
 *   out ──connected, and behind for less than half of lagMsMax──▶ in
 *    ▲                                                            │
 *    └────────── connection lost, or behind for lagMsMax ─────────┘
 *
 * A peer is behind for as long as the oldest entry that it has not acknowledged has been durable here. That is known to the
 * grain of the marks, which are made at most `GRAIN_MS` apart.
 */
export class SyncSet {
  readonly #lagMsMax: number;
  readonly #peers = new Map<string, { ackedSeq: number; isIn: boolean }>();
  #marks: { readonly seq: number; readonly ms: number }[] = [];
  #durableSeq = 0;

  constructor(lagMsMax: number) {
    this.#lagMsMax = lagMsMax;
  }

  /** Ids of the peers in sync. */
  get inSync(): readonly string[] {
    return [...this.#peers].filter(([, { isIn }]) => isIn).map(([id]) => id);
  }

  /** Up to here at least one peer in sync has everything; null when none is in sync. */
  get coveredSeq(): number | null {
    let covered: number | null = null;
    for (const { ackedSeq, isIn } of this.#peers.values()) {
      if (isIn) covered = Math.max(covered ?? 0, ackedSeq);
    }
    return covered;
  }

  /** Our own journal is durable up to there. */
  committed(durableSeq: number, nowMs: number): void {
    this.#durableSeq = durableSeq;
    const last = this.#marks.at(-1);
    if (durableSeq > (last?.seq ?? 0) && nowMs - (last?.ms ?? -GRAIN_MS) >= GRAIN_MS) {
      this.#marks.push({ seq: durableSeq, ms: nowMs });
    }
  }

  connected(id: string, ackedSeq: number, nowMs: number): void {
    this.#peers.set(id, { ackedSeq, isIn: false });
    this.#judge(id, nowMs);
  }

  lost(id: string): void {
    this.#peers.delete(id);
  }

  acked(id: string, seq: number, nowMs: number): void {
    const peer = this.#peers.get(id);
    if (peer === undefined || seq <= peer.ackedSeq) return;
    peer.ackedSeq = seq;
    if (!peer.isIn) this.#judge(id, nowMs);
  }

  /** To be called every `GRAIN_MS` or so: time alone makes a peer leave. */
  tick(nowMs: number): void {
    this.committed(this.#durableSeq, nowMs);
    for (const id of this.#peers.keys()) this.#judge(id, nowMs);
    // Whoever has not even acknowledged the first of these is out for long: one such mark is enough.
    const old = this.#marks.findLastIndex(({ ms }) => nowMs - ms > 2 * this.#lagMsMax);
    if (old > 0) this.#marks = this.#marks.slice(old);
  }

  /** For how long the peer has been behind; 0 when it is not. */
  lagMs(id: string, nowMs: number): number {
    const ackedSeq = this.#peers.get(id)?.ackedSeq ?? 0;
    const mark = this.#marks.find(({ seq }) => seq > ackedSeq);
    return mark === undefined ? 0 : nowMs - mark.ms;
  }

  #judge(id: string, nowMs: number): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    const lagMs = this.lagMs(id, nowMs);
    if (peer.isIn) peer.isIn = lagMs <= this.#lagMsMax;
    else peer.isIn = lagMs < this.#lagMsMax / 2;
  }
}

export const GRAIN_MS = 50;
