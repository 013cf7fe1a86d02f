/** What a gateway is judged by when a primary is wanted. */
export interface Candidate {
  readonly id: string;
  readonly priority: number;
  /** Entries of other gateways' journals that it has. */
  readonly replicated: number;
}

/** Candidates who lack no more of what the best one has are alike: otherwise chance would always beat `priority`. */
const ALIKE_WITHIN = 1000;

/** Best first: most complete journals (in buckets), then higher priority, then lower id. */
export function ranked(candidates: readonly Candidate[]): readonly Candidate[] {
  const best = Math.max(0, ...candidates.map(({ replicated }) => replicated));
  const lack = ({ replicated }: Candidate) => Math.floor((best - replicated) / ALIKE_WITHIN);
  return candidates.toSorted(
    (a, b) => lack(a) - lack(b) || b.priority - a.priority || (a.id < b.id ? -1 : 1),
  );
}
