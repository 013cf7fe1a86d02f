/** How often each thing happened, by its name. */
export type Counts = Readonly<Record<string, number>>;

/** Everything together. */
export function totalOf(counts: Counts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** What `counts` has more than `before`; what it has not more is left out. */
export function grown(counts: Counts, before: Counts): Record<string, number> {
  const more = Object.entries(counts).map(
    ([name, count]) => [name, count - (before[name] ?? 0)] as const,
  );
  return Object.fromEntries(more.filter(([, count]) => count > 0));
}

/** Both together, each by its name. */
export function added(counts: Counts, more: Counts): Record<string, number> {
  const sum: Record<string, number> = { ...counts };
  for (const [name, count] of Object.entries(more)) sum[name] = (sum[name] ?? 0) + count;
  return sum;
}
