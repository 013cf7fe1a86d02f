import type { GatewayStatus } from "../gateway-status.ts";
import { count, duration, row } from "./words.ts";

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
