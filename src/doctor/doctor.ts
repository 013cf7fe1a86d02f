import type { Clock } from "../base/clock.ts";
import { type Check, type Finding, isMeant } from "./finding.ts";

/** No check may take longer: a technician waits. */
const CHECK_MS_MAX = 20_000;

/**
 * Runs the checks that are meant, one after the other, so that none disturbs what another one measures. A check that fails
 * or does not end in time is a finding of its own: unknown.
 */
export async function examine(
  checks: readonly Check[],
  only: string | null,
  clock: Clock,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const check of checks) {
    if (!isMeant(check.id, only)) continue;
    const found = await limited(check, clock);
    const meant = found.filter(({ id }) => isMeant(id, only));
    findings.push(...(meant.length > 0 || only === null ? meant : [unreached(only, found)]));
  }
  return findings;
}

async function limited(check: Check, clock: Clock): Promise<readonly Finding[]> {
  const late = new AbortController();
  const over = new AbortController();
  const timeOut = clock.sleep(CHECK_MS_MAX, over.signal).then(
    (): readonly Finding[] => {
      late.abort(new Error("took too long"));
      return [unknown(check.id, `the check did not end within ${CHECK_MS_MAX / 1000} s`)];
    },
    () => [],
  );
  const checked = check
    .run(late.signal)
    .catch((error: unknown) => [
      unknown(check.id, error instanceof Error ? error.message : String(error)),
    ]);
  const found = await Promise.race([checked, timeOut]);
  over.abort(new Error("ended"));
  return found;
}

/** One step of a check that goes step by step, which has stopped before, or has no such step here. */
function unreached(id: string, found: readonly Finding[]): Finding {
  const stop = found.find(({ verdict }) => verdict !== "fine");
  const others = found.map((each) => each.id).join(", ");
  const why = stop === undefined ? `there are ${others}` : `${stop.id}: ${stop.what}`;
  return { id, verdict: "unknown", what: "was not come to", why };
}

function unknown(id: string, why: string): Finding {
  return { id, verdict: "unknown", what: "could not be checked", why };
}
