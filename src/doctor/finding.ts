/** How bad it is. `unknown`: the check could not tell, and says why; it is no alarm. */
export type Verdict = "fine" | "warning" | "critical" | "unknown";

/** What one check found, for the one in front of the cabinet. */
export interface Finding {
  /** Stable: what scripts and `--only` name. Dots part it: `uplink.dns`. */
  readonly id: string;
  readonly verdict: Verdict;
  /** What is so, in one line. */
  readonly what: string;
  /** Why it matters, or how it was found out. */
  readonly why?: string;
  /** What to do about it. */
  readonly todo?: string;
  /** What it took, where the time says something. */
  readonly ms?: number;
  /** Does what `--fix` may do; resolves with what was done. */
  readonly fix?: () => Promise<string>;
}

/** One thing that can be wrong, and how to find out. */
export interface Check {
  /** The findings' ids begin with it. */
  readonly id: string;
  /** Rejects only for faults of our own: what is wrong with the world is a finding. */
  run(signal: AbortSignal): Promise<readonly Finding[]>;
}

/** Whether an error says only that who asks may not look: nothing is known of what the service may do. Root may always. */
export function isForbiddenToAsker(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return (code === "EACCES" || code === "EPERM") && process.getuid?.() !== 0;
}

/** That who asks may not look. */
export function notAllowed(id: string, path: string): Finding {
  const why = `user ${process.getuid?.() ?? "?"} may not look at it, which says nothing of what the gateway may do`;
  const todo = "ask again as root: sudo fieldgate doctor";
  return { id, verdict: "unknown", what: `${path} cannot be looked at`, why, todo };
}

/** Exit code of the worst finding: 0 fine, 1 warning, 2 critical, 3 nothing could be told. */
export function exitCodeOf(findings: readonly Finding[]): 0 | 1 | 2 | 3 {
  const verdicts = findings.map(({ verdict }) => verdict);
  if (verdicts.includes("critical")) return 2;
  if (verdicts.includes("warning")) return 1;
  return verdicts.includes("fine") ? 0 : 3;
}

/** Whether a check or a finding is meant by `--only`: it has that name, or lies below it. */
export function isMeant(id: string, only: string | null): boolean {
  return only === null || id === only || id.startsWith(`${only}.`) || only.startsWith(`${id}.`);
}
