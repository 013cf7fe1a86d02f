import type { GatewayStatus } from "../gateway-status.ts";

type Replication = GatewayStatus["replication"];

/** What is wrong with the copies, worst first. */
export function replicationReasons(replication: Replication): {
  readonly critical: readonly string[];
  readonly warning: readonly string[];
} {
  if (replication === null) return { critical: [], warning: [] };
  const { isAlone, whenAlone, error, peers } = replication;
  const critical: string[] = [];
  const warning: string[] = [];
  if (isAlone && whenAlone === "reject")
    critical.push("no peer is in sync: no message is accepted");
  if (isAlone && whenAlone === "accept") {
    warning.push("no peer is in sync: what is acknowledged is on this disk only");
  }
  if (error !== null) warning.push(`peers cannot connect: ${text(error)}`);
  for (const { id, inSync, state, lastError, lagMs } of peers) {
    if (inSync) continue;
    const why = state === "connected" ? `${lagMs} ms behind` : text(lastError) || state;
    warning.push(`peer ${id} is not in sync: ${why}`);
  }
  return { critical, warning };
}

/** What is wrong with the configuration that etcd lays over the file. */
export function settingsReasons(settings: GatewayStatus["settings"]): readonly string[] {
  if (settings === null) return [];
  const { error, waiting, isOrphaned } = settings;
  const said = text(error);
  const lost = "etcd has lost the site's configuration: what it was stays in force";
  const restart = `the site's configuration waits for a restart: ${waiting.join(", ")}`;
  return [
    ...(said === "" ? [] : [said]),
    ...(isOrphaned ? [lost] : []),
    ...(waiting.length > 0 ? [restart] : []),
  ];
}

/** One line: who copies our journal, and whose journals are copied here. */
export function copiesLine(replication: Replication): string {
  if (replication === null) {
    return "none: there is no cluster.peer, so each gateway carries its own messages to the cloud";
  }
  const { inSync, peers, replicas } = replication;
  const held = replicas.map(({ gateway, seq }) => `${gateway} to seq ${seq}`);
  const who = inSync.length === 0 ? "none" : inSync.join(", ");
  return `in sync: ${who} of ${peers.length}; copied here: ${held.join(", ") || "none"}`;
}

function text(error: Readonly<Record<string, unknown>> | null): string {
  const { error: said, code } = error ?? {};
  if (typeof said !== "string") return "";
  return typeof code === "string" ? `${said} (${code})` : said;
}
