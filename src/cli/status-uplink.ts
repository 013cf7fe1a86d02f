import { duration } from "../base/duration.ts";
import type { GatewayStatus } from "../gateway-status.ts";
import { count, row } from "./words.ts";

/** The cloud acknowledges within seconds what it takes at all. */
const SILENT_MS_MAX = 60_000;

type Asked = Pick<GatewayStatus, "uplink" | "progress" | "ledger">;

/** How the uplink gets on: by what the cloud has acknowledged. */
export function uplinkRows({ uplink, progress, ledger }: Asked): string[] {
  if (uplink === null) return [row("uplink", "none")];
  const { state, endpoint, protocol, inflight } = uplink;
  const rows = [
    row("uplink", `${state}, ${endpoint}, MQTT ${protocol ?? "?"}, ${inflight} in flight`),
    ...(progress === null ? [] : [row("  progress", progressLine(progress))]),
  ];
  for (const [lane, { accepted, delivered, dropped, queued }] of Object.entries(ledger)) {
    if (accepted === 0) continue;
    const drops = Object.entries(dropped).map(
      ([reason, each]) => ` + ${count(each)} dropped (${reason})`,
    );
    const sum = `${count(delivered)} delivered${drops.join("")} + ${count(queued)} queued`;
    const held = uplink.pace?.held[lane as keyof typeof ledger] ?? null;
    const paused = uplink.lanes[lane as keyof typeof ledger].paused ? ", paused" : "";
    const waits = held === null ? paused : `, held by ${held}`;
    rows.push(row(`  ${lane}`, `${count(accepted)} accepted = ${sum}${waits}`));
  }
  return rows;
}

/** What is wrong with a connection to the cloud. */
export function linkWarnings(name: string, link: LinkStatus | null): string[] {
  if (link === null) return [];
  const open = link.endpoints.filter(({ breaker }) => breaker === "open");
  const left = open.map(
    ({ endpoint, failures }) =>
      `${name} tries ${endpoint} less often: ${count(failures)} failures in a row`,
  );
  if (link.state === "connected") return left;
  const why = causesOf(link.lastError);
  return [`${name} ${link.state}${why.length === 0 ? "" : `: ${why.join(": ")}`}`, ...left];
}

/** What went wrong, and below it why: `the cloud did not accept the connection: connect ECONNREFUSED 10.0.0.7:8883`. */
function causesOf(error: unknown): readonly string[] {
  if (typeof error !== "object" || error === null || !("error" in error)) return [];
  const causes = causesOf("cause" in error ? error.cause : null);
  return typeof error.error === "string" && !causes.includes(error.error)
    ? [error.error, ...causes]
    : causes;
}

type LinkStatus = Pick<NonNullable<GatewayStatus["downlink"]>, "state" | "lastError" | "endpoints">;

/** The brokers of the cloud, when there is more than one to tell of. */
export function endpointRows({ endpoints }: Pick<LinkStatus, "endpoints">): string[] {
  if (endpoints.length < 2) return [];
  return endpoints.map(({ endpoint, breaker, failures }) =>
    row("  endpoint", `${endpoint}, breaker ${breaker}, ${count(failures)} failures`),
  );
}

/** What is wrong with the progress of an uplink that is connected. */
export function progressWarnings({ uplink, progress }: Asked): string[] {
  if (uplink === null) return [];
  const paused = Object.entries(uplink.lanes)
    .filter(([, lane]) => lane.paused && lane.queued > 0)
    .map(([name, { queued }]) => `lane ${name} is paused by an operator: ${count(queued)} wait`);
  const { silentMs = null } = progress ?? {};
  const isStuck = uplink.state === "connected" && uplink.inflight > 0;
  if (silentMs === null || silentMs <= SILENT_MS_MAX || !isStuck) return paused;
  const since = duration(silentMs);
  return [...paused, `uplink connected, but nothing was acknowledged for ${since}`];
}

function progressLine(progress: NonNullable<GatewayStatus["progress"]>): string {
  const { deliveredPerSecond, acceptedPerSecond, queued, oldestMs, drainSeconds } = progress;
  const rates =
    deliveredPerSecond === null || acceptedPerSecond === null
      ? []
      : [`${rate(deliveredPerSecond)} acknowledged of ${rate(acceptedPerSecond)} accepted`];
  if (queued === 0) return [...rates, "nothing waits"].join(", ");
  const drain =
    drainSeconds === null
      ? "not getting less"
      : `drained in ${duration(Math.ceil(drainSeconds) * 1000)}`;
  const age = oldestMs === null ? [] : [`oldest for ${duration(oldestMs)}`];
  return [...rates, `${count(queued)} wait`, ...age, drain].join(", ");
}

function rate(perSecond: number): string {
  return `${Math.max(0, perSecond).toFixed(perSecond < 10 ? 1 : 0)}/s`;
}
