import { totalOf } from "../base/counts.ts";
import { duration } from "../base/duration.ts";
import { EXPIRY_WARNING_DAYS } from "../broker/certificate-watch.ts";
import { portAdvice } from "../devices/port.ts";
import type { GatewayStatus } from "../gateway-status.ts";
import type { Command } from "./command.ts";
import { copiesLine, replicationReasons, settingsReasons } from "./copies.ts";
import { understood, versionWarnings } from "./other-version.ts";
import { siteReasons } from "./site-reasons.ts";
import { askGateway } from "./socket.ts";
import { accessWarnings } from "./status-access.ts";
import { sessionWarnings } from "./status-sessions.ts";
import { flashLine, journalRows, storeReasons } from "./status-store.ts";
import { linkWarnings, progressWarnings, uplinkRows } from "./status-uplink.ts";
import { fitted, paint, say, visible } from "./terminal.ts";
import { count, row, size } from "./words.ts";

export const command: Command = {
  help: `fieldgate status [--config FILE | --socket PATH] [--json]   what a running gateway does, on one screen

First what wants attention, worst first, and why; then what it does.

Examples:
  fieldgate status
  fieldgate status --socket /run/fieldgate-line2/control.sock
  fieldgate status --json | jq .ledger

Exit codes: 0 fine, 1 something wants attention, 2 messages are at risk, 3 no gateway answers
`,

  async run(invocation) {
    const status = (await askGateway(invocation, "status")) as GatewayStatus;
    const verdict = understood(status, () => judge(status));
    say(invocation.json, { ...status, ...verdict }, () =>
      fitted(
        understood(status, () => screen(status, verdict)),
        process.stdout.columns,
      ),
    );
    return verdict.exit;
  },
};

type Listener = GatewayStatus["broker"]["listeners"][number];

export interface Verdict {
  readonly exit: 0 | 1 | 2;
  readonly reasons: readonly string[];
}

/** What is wrong with a gateway, worst first. */
export function judge(status: GatewayStatus): Verdict {
  const { broker, journal, uplink, downlink, devices, ledger, cluster, replication } = status;
  const critical: string[] = [];
  const warning: string[] = [];
  const store = storeReasons(journal);
  critical.push(...store.critical);
  warning.push(...store.warning);
  warning.push(...versionWarnings(status));
  warning.push(
    ...linkWarnings("uplink", rests(status) ? null : uplink),
    ...linkWarnings("downlink", downlink),
  );
  warning.push(...progressWarnings(status));
  if (status.time.quality === "unset") {
    warning.push("clock never set: stamps of messages are not right yet");
  }
  for (const filter of downlink?.filtersRefused ?? []) {
    warning.push(`no commands: the cloud refuses the subscription to ${filter}`);
  }
  const queued = ledger.alarm.queued + ledger.telemetry.queued + ledger.bulk.queued;
  if (uplink === null && queued > 0) {
    warning.push(`${count(queued)} messages wait for an uplink, and none is configured`);
  }
  const copies = replicationReasons(replication);
  critical.push(...copies.critical);
  warning.push(...copies.warning);
  warning.push(...settingsReasons(status.settings));
  warning.push(...siteReasons(cluster));
  const ended = broker.listeners.filter((each) => (each.certificate?.daysLeft ?? 0) < 0);
  critical.push(...ended.map(({ name }) => `certificate of listener ${name} has expired`));
  warning.push(...broker.listeners.flatMap(({ waiting }) => waiting ?? []));
  warning.push(...broker.listeners.flatMap(certificateWarnings));
  warning.push(...accessWarnings(status));
  warning.push(...sessionWarnings(status));
  if (status.log?.isRead === false) {
    warning.push(`nobody reads the log: ${count(status.log.dropped)} lines are lost`);
  }
  for (const { name, state, reason } of devices) {
    if (state !== "open") {
      warning.push(`device ${name} ${state}${reason ? `: ${portAdvice(reason)}` : ""}`);
    }
  }
  return {
    exit: critical.length > 0 ? 2 : warning.length > 0 ? 1 : 0,
    reasons: [...critical, ...warning],
  };
}

/** On a site with copies only the primary sends. */
function rests({ uplink, replication, cluster }: GatewayStatus): boolean {
  return uplink?.state === "paused" && replication !== null && cluster.role !== "primary";
}

function certificateWarnings({ name, certificate }: Listener): string[] {
  if (certificate === null) return [];
  const { daysLeft, error } = certificate;
  const ends = daysLeft >= 0 && daysLeft < EXPIRY_WARNING_DAYS;
  return [
    ...(ends ? [`certificate of listener ${name} expires in ${daysLeft} days`] : []),
    ...(error === null ? [] : [`listener ${name} keeps its old certificate: ${error}`]),
  ];
}

function clockLine({ quality, steps, lastStepMs }: GatewayStatus["time"]): string {
  if (lastStepMs === null) return quality;
  return `${quality}, set ${count(steps)} times, last by ${duration(Math.abs(lastStepMs))}${lastStepMs < 0 ? " back" : ""}`;
}

/** The screen of `fieldgate status`. */
export function screen(status: GatewayStatus, { reasons }: Verdict): string {
  const { broker, journal, flash, devices, host, cluster } = status;
  const lines = [
    `${status.gateway} at ${status.site}, up ${duration(status.uptimeMs)}`,
    ...reasons.map((reason) => paint("yellow", `  ! ${visible(reason)}`)),
    ...(reasons.length === 0 ? [] : ["    fieldgate doctor says more of each, and what to do"]),
    row("role", roleLine(cluster)),
    row("clock", clockLine(status.time)),
    ...(cluster.etcd === "none" ? [] : [row("copies", copiesLine(status.replication))]),
    row(
      "clients",
      `${broker.connections} connected, ${broker.sessions} sessions, ${broker.persistent.away} away, ${broker.retained} retained`,
    ),
    ...broker.listeners.map(listenerRow),
    row(
      "messages",
      `${count(broker.accepted)} accepted since start, ${count(broker.sent)} sent to clients`,
    ),
    row(
      "store",
      `${journal.state}, ${size(journal.storeBytes)} of ${size(journal.bytesMax)}, seq ${journal.durableSeq} on disk of ${journal.lastSeq}`,
    ),
    ...journalRows(journal),
    row("flash", flashLine(flash)),
    ...uplinkRows(status),
  ];
  const { downlink } = status;
  if (downlink !== null) lines.push(row("commands", commandsLine(downlink)));
  for (const { name, state, counters } of devices) {
    lines.push(
      row(
        `device ${name}`,
        `${state}, ${count(counters.frames)} frames, ${count(counters.accepted)} accepted`,
      ),
    );
  }
  lines.push(...sharedRows(broker.shared));
  lines.push(...talkerRows(broker.talkers));
  if (host !== null) lines.push(row("machine", machine(host)));
  return `${lines.join("\n")}\n`;
}

/** Characters of a client id. */
const ID_SHOWN = 24;

function talkerRows(talkers: GatewayStatus["broker"]["talkers"]): string[] {
  const shown = talkers.map(
    ({ clientId, perSecond }) => `${visible(clientId, ID_SHOWN)} ${perSecond.toFixed(1)}/s`,
  );
  return shown.length === 0 ? [] : [row("top talkers", shown.join(", "))];
}

/** The shared subscriptions that have most to do. */
function sharedRows(shared: GatewayStatus["broker"]["shared"]): string[] {
  const shown = shared.toSorted((a, b) => b.queued - a.queued).slice(0, SHARED_ROWS_MAX);
  const rows = shown.map(({ group, filter, connected, members, queued, inflight, dropped }) => {
    const drops = dropped === 0 ? "" : `, ${count(dropped)} dropped (queue full)`;
    const work = `${count(queued)} queued, ${count(inflight)} of them in flight${drops}`;
    return row(
      `shared ${visible(group, 13)}`,
      `${visible(filter)}: ${connected} of ${members} members here, ${work}`,
    );
  });
  const more = shared.length - shown.length;
  return more === 0 ? rows : [...rows, row("", `and ${count(more)} more: --json shows all`)];
}

const SHARED_ROWS_MAX = 8;

function listenerRow({ name, type, port, sockets, certificate, waiting }: Listener): string {
  if (waiting !== null)
    return row(`listener ${name}`, `${type}, not open yet: no such address here`);
  const days = certificate === null ? "" : `, certificate for ${certificate.daysLeft} days`;
  return row(`listener ${name}`, `${type} on port ${port}, ${sockets} connections${days}`);
}

function roleLine({ role, epoch, primary, members, etcd }: GatewayStatus["cluster"]): string {
  const parts = [
    epoch === null ? role : `${role} with epoch ${epoch}`,
    etcd === "none" ? "alone" : `${members.length} gateways at the site`,
    role === "standby" ? `primary: ${primary?.gateway ?? "none"}` : "",
  ];
  return parts.filter((part) => part !== "").join(", ");
}

function commandsLine(downlink: NonNullable<GatewayStatus["downlink"]>): string {
  const { state, received, accepted, duplicates, refused, waiting } = downlink;
  const refusals = totalOf(refused);
  const parts = [
    `${state}, ${count(received)} received = ${count(accepted)} accepted`,
    `${count(duplicates)} repeated`,
    `${count(refusals)} refused`,
    `${count(waiting)} waiting`,
  ];
  return parts.join(" + ");
}

function machine(host: NonNullable<GatewayStatus["host"]>): string {
  const parts = [
    host.cpuPercent === null ? "" : `CPU ${host.cpuPercent.toFixed(0)} %`,
    `memory ${size(host.memoryAvailableBytes)} free of ${size(host.memoryTotalBytes)}`,
    host.diskAvailableBytes === null ? "" : `disk ${size(host.diskAvailableBytes)} free`,
    host.temperatureCelsius === null ? "" : `${host.temperatureCelsius.toFixed(0)} °C`,
  ];
  return parts.filter((part) => part !== "").join(", ");
}
