import type { Finding, Verdict } from "../../src/doctor/finding.ts";

/** Findings of the doctor by id. */
export function verdicts(findings: readonly Finding[]): Record<string, Verdict> {
  return Object.fromEntries(findings.map(({ id, verdict }) => [id, verdict]));
}
