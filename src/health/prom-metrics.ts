import { Registry } from "prom-client";
import type { FigureSources } from "./figures.ts";
import type { HostSample } from "./host-statistics.ts";
import { type LinkMetricSources, linkMetrics } from "./prom-links.ts";
import { by, flag, type Samples, Sheet, seconds } from "./prom-sheet.ts";
import type { FlashLife } from "./wear.ts";

/** What the metrics are made of. */
export interface MetricSources extends LinkMetricSources {
  readonly gateway: string;
  readonly site: string;
  readonly version: string;
  readonly uptimeMs: number;
  readonly time: { readonly quality: string; readonly steps: number };
  readonly journal: {
    readonly state: string;
    readonly room: string;
    readonly bytesMax: number;
    readonly quarantine: string | null;
    readonly lastSeq: number;
    readonly durableSeq: number;
    readonly storeBytes: number;
    readonly pendingBytes: number;
    readonly figures: FigureSources["journal"]["figures"];
  };
  readonly flash: FlashLife | null;
  readonly broker: {
    readonly connections: number;
    readonly paused: number;
    readonly pauses: number;
    readonly throttled: number;
    readonly throttles: number;
    readonly ratesForgotten: number;
    readonly overload: { readonly state: string; readonly lagMs: number; readonly times: number };
    readonly sessions: number;
    readonly persistent: {
      readonly sessions: number;
      readonly away: number;
      readonly sessionsMax: number;
      readonly expired: number;
      readonly forgotten: number;
    };
    readonly retained: number;
    readonly accepted: number;
    readonly acceptedDurable: number;
    readonly sent: number;
    readonly dropped: Readonly<Record<string, number>>;
    readonly closed: Readonly<Record<string, number>>;
    readonly held: number;
    readonly listeners: readonly {
      readonly name: string;
      readonly acceptErrors: number;
      readonly waiting: string | null;
      readonly certificate: { readonly notAfterMs: number; readonly error: string | null } | null;
    }[];
  };
  readonly access: {
    readonly users: { readonly error: string | null } | null;
    readonly tokenKeys: { readonly error: string | null } | null;
    readonly slowedAddresses: number;
    readonly passwords: {
      readonly waiting: number;
      readonly forgotten: number;
      readonly checked: number;
      readonly failed: number;
    };
  };
  readonly devices: readonly {
    readonly name: string;
    readonly state: string;
    readonly counters: {
      readonly frames: number;
      readonly accepted: number;
      readonly refused: Readonly<Record<string, number>>;
    };
  }[];
  readonly host: HostSample | null;
  readonly callersRefused: Readonly<Record<string, number>>;
  readonly log: {
    readonly pendingBytes: number;
    readonly dropped: number;
    readonly leftOut: number;
    readonly forgotten: number;
  } | null;
  readonly ledger: Readonly<
    Record<
      string,
      {
        readonly accepted: number;
        readonly delivered: number;
        readonly dropped: Readonly<Record<string, number>>;
        readonly queued: number;
      }
    >
  >;
}

/** The content type that goes with the text of `metricsOf`. */
export const METRICS_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/**
 * Everything that status counts, as Prometheus reads it (text format 0.0.4). Names follow
 * https://prometheus.io/docs/practices/naming/: base units, `_total` for what only grows. What is not known is left out.
 */
export async function metricsOf(sources: MetricSources): Promise<string> {
  const registry = new Registry();
  const { gateway, site } = sources;
  registry.setDefaultLabels({ gateway, site });
  const sheet = new Sheet(registry);
  general(sheet, sources);
  storePart(sheet, sources.journal);
  journalPart(sheet, sources.journal.figures);
  flashPart(sheet, sources.flash);
  brokerPart(sheet, sources.broker);
  listenerPart(sheet, sources.broker.listeners);
  accessPart(sheet, sources.access);
  linkMetrics(sheet, sources);
  lanes(sheet, sources.ledger);
  devicePart(sheet, sources.devices);
  host(sheet, sources.host);
  logPart(sheet, sources.log);
  return registry.metrics();
}

function general(sheet: Sheet, sources: MetricSources): void {
  const { version, uptimeMs, time, callersRefused } = sources;
  sheet.gauge("info", "1, with the version that runs.", [[{ version }, 1]]);
  sheet.gauge("uptime_seconds", "Since the gateway was started.", uptimeMs / 1000);
  sheet.gauge("clock_quality", "1 for what the clock is worth.", [[{ quality: time.quality }, 1]]);
  sheet.counter("clock_steps", "Times that the clock was set.", time.steps);
  const crowded = "Callers of the control socket and of this port that found too many others.";
  sheet.counter("callers_refused", crowded, by("door", callersRefused));
}

function logPart(sheet: Sheet, log: MetricSources["log"]): void {
  if (log === null) return;
  sheet.gauge("log_pending_bytes", "Log that nobody has read yet.", log.pendingBytes);
  sheet.counter("log_lines_dropped", "Log lines that nobody read in time.", log.dropped);
  sheet.counter("log_lines_left_out", "Log lines that said the same again.", log.leftOut);
  const forgotten = "Kinds of log lines that were forgotten, and told as new when they came again.";
  sheet.counter("log_kinds_forgotten", forgotten, log.forgotten);
}

function storePart(sheet: Sheet, journal: MetricSources["journal"]): void {
  const { state, room, quarantine } = journal;
  const opened = "1: what comes is kept; 0: the store fails.";
  sheet.gauge("journal_open", opened, flag(state === "open"));
  sheet.gauge("journal_last_seq", "Last sequence number given out.", journal.lastSeq);
  sheet.gauge("journal_durable_seq", "Last sequence number on disk.", journal.durableSeq);
  sheet.gauge("journal_store_bytes", "Size of the store.", journal.storeBytes);
  sheet.gauge("journal_store_bytes_max", "What the store may become.", journal.bytesMax);
  sheet.gauge("journal_pending_bytes", "Taken in and not on disk yet.", journal.pendingBytes);
  sheet.gauge("journal_room", "1 for how much room the store has.", [[{ room }, 1]]);
  const aside = "1: a damaged store was set aside at this start.";
  sheet.gauge("journal_quarantined", aside, flag(quarantine !== null));
}

function journalPart(sheet: Sheet, figures: MetricSources["journal"]["figures"]): void {
  const { commitMsMedian, commitMsP99 } = figures;
  sheet.counter("journal_commits", "Commits written to the store.", figures.commits);
  sheet.counter("journal_syncs", "Commits that ended in a sync of the disk.", figures.syncs);
  sheet.gauge("journal_commit_seconds", "How long the last thousand commits took.", [
    [{ quantile: "0.5" }, seconds(commitMsMedian)],
    [{ quantile: "0.99" }, seconds(commitMsP99)],
  ]);
  sheet.counter("journal_write_errors", "Writes that the disk refused.", figures.writeErrors);
  sheet.counter("journal_refused", "What the journal did not take.", [
    [{ reason: "store-full" }, figures.refusedFull],
    [{ reason: "disk-behind" }, figures.refusedPending],
  ]);
  sheet.counter("journal_damaged", "What was found damaged or missing.", [
    [{ what: "block" }, figures.damagedBlocks],
    [{ what: "entry" }, figures.missingEntries],
    [{ what: "row" }, figures.damagedRows],
    [{ what: "reference" }, figures.missingReferences],
    [{ what: "read" }, figures.unreadable],
    [{ what: "file" }, figures.filesLost],
  ]);
  sheet.counter(
    "journal_log_dropped_bytes",
    "Of its newest writes that the store could not use when it was opened.",
    figures.logBytesDropped,
  );
}

function flashPart(sheet: Sheet, flash: FlashLife | null): void {
  if (flash === null) return;
  sheet.counter("flash_device_written_bytes", "By the whole machine.", flash.deviceBytes);
  sheet.counter("flash_program_written_bytes", "By the gateway.", flash.programBytes);
  sheet.gauge("flash_bytes_per_message", "Written for each message kept.", flash.bytesPerMessage);
  sheet.gauge(
    "flash_write_amplification",
    "Written for each byte of topic and payload kept.",
    flash.writeAmplification,
  );
  sheet.gauge("flash_bytes_per_day", "At the rate of the last day at work.", flash.bytesPerDay);
  sheet.gauge("flash_years_left", "Of the stated endurance, at that rate.", flash.yearsLeft);
}

function brokerPart(sheet: Sheet, broker: MetricSources["broker"]): void {
  sheet.gauge("connections", "MQTT connections.", broker.connections);
  sheet.gauge("connections_paused", "Connections that are not read just now.", broker.paused);
  const tooFast = "Connections that are not read just now because they publish too fast.";
  sheet.gauge("connections_throttled", tooFast, broker.throttled);
  const paused = "How often a connection was not read for a while because too much waited.";
  sheet.counter("connection_pauses", paused, broker.pauses);
  const throttled =
    "How often a connection was not read for a while because it published too fast.";
  sheet.counter("connection_throttles", throttled, broker.throttles);
  const forgotten =
    "Clients that had published too fast, left, and were forgotten for want of room.";
  sheet.counter("client_rates_forgotten", forgotten, broker.ratesForgotten);
  const stage = ["calm", "shedding", "refusing"].indexOf(broker.overload.state);
  sheet.gauge("overload", "0 calm; 1 drops QoS 0; 2 refuses new connections, too.", stage);
  sheet.counter("overloads", "How often it began to drop QoS 0.", broker.overload.times);
  sheet.gauge(
    "event_loop_lag_seconds",
    "How late the event loop was last.",
    broker.overload.lagMs / 1000,
  );
  sheet.gauge("messages_held", "Waiting for room in the store.", broker.held);
  sheet.gauge("sessions", "Sessions, of those connected and persistent ones.", broker.sessions);
  const { persistent } = broker;
  sheet.gauge(
    "persistent_sessions",
    "Sessions that stay when their client goes.",
    persistent.sessions,
  );
  const most = "Persistent sessions that there may be.";
  sheet.gauge("persistent_sessions_max", most, persistent.sessionsMax);
  sheet.gauge("sessions_away", "Persistent sessions whose client is away.", persistent.away);
  sheet.counter(
    "sessions_ended",
    "Persistent sessions ended though their client did not end them.",
    [
      [{ reason: "expired" }, persistent.expired],
      [{ reason: "forgotten" }, persistent.forgotten],
    ],
  );
  sheet.gauge("retained_messages", "Retained messages.", broker.retained);
  sheet.counter("messages_accepted", "Messages taken in.", broker.accepted);
  sheet.counter("messages_kept", "Messages taken into the journal.", broker.acceptedDurable);
  sheet.counter("messages_sent", "Messages sent to clients.", broker.sent);
  sheet.counter(
    "messages_dropped",
    "Messages not delivered locally.",
    by("reason", broker.dropped),
  );
  sheet.counter("connections_closed", "Connections closed by us.", by("reason", broker.closed));
}

function listenerPart(sheet: Sheet, listeners: MetricSources["broker"]["listeners"]): void {
  const errors: Samples = listeners.map(({ name, acceptErrors }) => [
    { listener: name },
    acceptErrors,
  ]);
  sheet.counter("accept_errors", "Connections that the system could not hand over.", errors);
  const open: Samples = listeners.map(({ name, waiting }) => [
    { listener: name },
    waiting === null ? 1 : 0,
  ]);
  sheet.gauge("listener_open", "1: listens; 0: its address is not there yet.", open);
  const certified = listeners.flatMap(({ name, certificate }) =>
    certificate === null ? [] : [{ labels: { listener: name }, ...certificate }],
  );
  sheet.gauge(
    "certificate_not_after_seconds",
    "When the listener's certificate ends, in seconds since the Unix epoch.",
    certified.map(({ labels, notAfterMs }) => [labels, notAfterMs / 1000]),
  );
  sheet.gauge(
    "certificate_files_refused",
    "1: the certificate's files as they are now cannot be used.",
    certified.map(({ labels, error }) => [labels, flag(error !== null)]),
  );
}

function accessPart(
  sheet: Sheet,
  { users, tokenKeys, slowedAddresses, passwords }: MetricSources["access"],
): void {
  const unread = "1: the file as it is cannot be used; what was there before counts on.";
  sheet.gauge("users_file_refused", unread, users && flag(users.error !== null));
  const stale = "1: the keys of tokens could not be fetched; those of before count on.";
  sheet.gauge("token_keys_stale", stale, tokenKeys && flag(tokenKeys.error !== null));
  const slowed = "Addresses that failed to log in, and have to wait.";
  sheet.gauge("slowed_addresses", slowed, slowedAddresses);
  sheet.gauge("passwords_waiting", "Passwords that wait to be checked.", passwords.waiting);
  sheet.counter("passwords_checked", "Passwords that were compared.", passwords.checked);
  const failed = "Passwords that could not be compared: the log says why.";
  sheet.counter("passwords_failed", failed, passwords.failed);
  const lost = "Passwords known to be right that were forgotten for want of room.";
  sheet.counter("passwords_forgotten", lost, passwords.forgotten);
}

function lanes(sheet: Sheet, ledger: MetricSources["ledger"]): void {
  const each = Object.entries(ledger);
  const of = (value: (lane: (typeof each)[number][1]) => number): Samples =>
    each.map(([lane, balance]) => [{ lane }, value(balance)]);
  sheet.counter(
    "lane_accepted",
    "Messages for the cloud, since the journal began.",
    of((l) => l.accepted),
  );
  sheet.counter(
    "lane_delivered",
    "Acknowledged by the cloud.",
    of((l) => l.delivered),
  );
  sheet.gauge(
    "lane_queued_messages",
    "Waiting for the cloud.",
    of((l) => l.queued),
  );
  const dropped = each.flatMap(([lane, balance]) => by("reason", balance.dropped, { lane }));
  sheet.counter("lane_dropped", "Given up on the way to the cloud.", dropped);
}

function devicePart(sheet: Sheet, devices: MetricSources["devices"]): void {
  const of = (value: (device: (typeof devices)[number]) => number): Samples =>
    devices.map((device) => [{ device: device.name }, value(device)]);
  sheet.gauge(
    "device_open",
    "1: the port is open.",
    of(({ state }) => flag(state === "open")),
  );
  sheet.counter(
    "device_frames",
    "Frames found on the line.",
    of(({ counters }) => counters.frames),
  );
  sheet.counter(
    "device_accepted",
    "Frames that were kept.",
    of(({ counters }) => counters.accepted),
  );
  const refused = devices.flatMap(({ name, counters }) =>
    by("reason", counters.refused, { device: name }),
  );
  sheet.counter("device_refused", "Frames that were not taken.", refused);
}

function host(sheet: Sheet, sample: HostSample | null): void {
  if (sample === null) return;
  sheet.gauge("host_cpu_ratio", "Busy share of all processors.", ratio(sample.cpuPercent));
  sheet.gauge("host_memory_available_bytes", "Memory for programs.", sample.memoryAvailableBytes);
  sheet.gauge("host_memory_total_bytes", "Memory of the machine.", sample.memoryTotalBytes);
  sheet.gauge("host_temperature_celsius", "Of the processor.", sample.temperatureCelsius);
  sheet.gauge("host_disk_available_bytes", "Where the store is.", sample.diskAvailableBytes);
  sheet.gauge("host_disk_total_bytes", "Where the store is.", sample.diskTotalBytes);
  const { networkReceivedBytes: received, networkSentBytes: sent } = sample;
  sheet.counter("host_network_received_bytes", "By the interface of the default route.", received);
  sheet.counter("host_network_sent_bytes", "By the interface of the default route.", sent);
}

function ratio(percent: number | null): number | null {
  return percent === null ? null : percent / 100;
}
