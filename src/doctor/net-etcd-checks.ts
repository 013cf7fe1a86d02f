import type { Clock } from "../base/clock.ts";
import type { ClusterConfig } from "../config/schema.ts";
import type { Check, Finding } from "./finding.ts";

const ANSWER_MS_MAX = 3000;
/** A renewal of the lease must fit into a third of its time several times over. */
const ANSWER_MS_SLOW = 200;

/** Whether each member of etcd answers and is healthy (`/health`), how fast, and whether they are enough for a quorum. */
export function etcdChecks(
  { endpoints }: ClusterConfig,
  clock: Clock,
  slowMs: number = ANSWER_MS_SLOW,
): readonly Check[] {
  const run = async (): Promise<readonly Finding[]> => {
    const members = await Promise.all(
      endpoints.map((endpoint) => memberFinding(endpoint, clock, slowMs)),
    );
    return [...members.map((each, i) => numbered(each, i)), quorum(members)];
  };
  return [{ id: "etcd", run }];
}

function numbered(finding: Finding, index: number): Finding {
  return { ...finding, id: `etcd.${index + 1}` };
}

async function memberFinding(endpoint: string, clock: Clock, slowMs: number): Promise<Finding> {
  const id = "etcd";
  const url = new URL("/health", endpoint);
  // Asked without: it is the same for everybody, and fetch takes no URL with a password, but repeats it.
  [url.username, url.password] = ["", ""];
  const shown = endpoint.replace(/\/\/[^/]*@/, "//");
  const began = clock.monotonicMs();
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
    const ms = clock.monotonicMs() - began;
    const { health, reason } = (await answer.json()) as { health?: unknown; reason?: string };
    if (String(health) !== "true") {
      const why = reason ?? "it has no leader";
      return { id, verdict: "warning", what: `${shown} is not healthy`, why, ms, todo: REMEDY };
    }
    if (ms > slowMs) {
      const why = "a slow etcd makes primaries step down";
      return { id, verdict: "warning", what: `${shown} is slow`, why, ms, todo: REMEDY };
    }
    return { id, verdict: "fine", what: `${shown} is healthy`, ms };
  } catch (error) {
    const { message, cause } = error as Error;
    const why = cause instanceof Error ? cause.message : message;
    return { id, verdict: "warning", what: `${shown} does not answer`, why, todo: REMEDY };
  }
}

const REMEDY = "on that host: systemctl status etcd; etcdctl endpoint health; is the network up?";

function quorum(members: readonly Finding[]): Finding {
  const id = "etcd.quorum";
  const healthy = members.filter(
    ({ ms, verdict }) => ms !== undefined && verdict === "fine",
  ).length;
  const needed = Math.floor(members.length / 2) + 1;
  const what = `${healthy} of ${members.length} healthy, ${needed} are needed`;
  if (healthy >= needed) return { id, verdict: "fine", what };
  return {
    id,
    verdict: "warning",
    what,
    why: "without a quorum no primary can be elected; local brokering goes on",
    todo: REMEDY,
  };
}
