import { Counter, Gauge, Registry } from "prom-client";
import type { FigureSources } from "./figures.ts";
import type { HostSample } from "./host-statistics.ts";
import type { FlashLife } from "./wear.ts";

/** What the metrics are made of. */
export interface MetricSources {
  readonly gateway: string;
  readonly site: string;
  readonly uptimeMs: number;
  readonly journal: {
    readonly state: string;
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
    readonly throttled: number;
    readonly overload: { readonly state: string; readonly lagMs: number; readonly times: number };
    readonly sessions: number;
    readonly retained: number;
    readonly accepted: number;
    readonly acceptedDurable: number;
    readonly sent: number;
    readonly dropped: Readonly<Record<string, number>>;
    readonly closed: Readonly<Record<string, number>>;
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
  readonly uplink: { readonly state: string; readonly inflight: number } | null;
  readonly cluster: {
    readonly role: string;
    readonly epoch: number | null;
    readonly mayAct: boolean;
    readonly etcd: string;
    readonly members: readonly unknown[];
  };
  readonly host: HostSample | null;
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

type Labels = Readonly<Record<string, string>>;
type Samples = readonly (readonly [labels: Labels, value: number | null])[];

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
  journalPart(sheet, sources.journal.figures);
  flashPart(sheet, sources.flash);
  brokerPart(sheet, sources.broker);
  lanes(sheet, sources.ledger);
  devicePart(sheet, sources.devices);
  host(sheet, sources.host);
  return registry.metrics();
}

/** A registry that lives for one answer: the gateway counts, the registry only writes it down. */
class Sheet {
  readonly #registry: Registry;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  gauge(name: string, help: string, samples: number | null | Samples): void {
    const { known, labelNames } = knownOf(samples);
    if (known.length === 0) return;
    const gauge = new Gauge({
      name: `fieldgate_${name}`,
      help,
      labelNames,
      registers: [this.#registry],
    });
    for (const [labels, value] of known) gauge.set(labels, value);
  }

  counter(name: string, help: string, samples: number | null | Samples): void {
    const { known, labelNames } = knownOf(samples);
    if (known.length === 0) return;
    const counter = new Counter({
      name: `fieldgate_${name}_total`,
      help,
      labelNames,
      registers: [this.#registry],
    });
    for (const [labels, value] of known) counter.inc(labels, value);
  }
}

function knownOf(samples: number | null | Samples) {
  const all: Samples = Array.isArray(samples) ? samples : [[{}, samples as number | null]];
  const known = all.filter((each): each is readonly [Labels, number] => each[1] !== null);
  return { known, labelNames: Object.keys(known[0]?.[0] ?? {}) };
}

function by(label: string, counts: Readonly<Record<string, number>>, fixed: Labels = {}): Samples {
  return Object.entries(counts).map(([name, value]) => [{ ...fixed, [label]: name }, value]);
}

function general(sheet: Sheet, { uptimeMs, journal, uplink, cluster }: MetricSources): void {
  const { role, epoch, mayAct, members } = cluster;
  sheet.gauge("uptime_seconds", "Since the gateway was started.", uptimeMs / 1000);
  sheet.gauge(
    "journal_open",
    "1: what comes is kept; 0: the store fails.",
    flag(journal.state === "open"),
  );
  sheet.gauge("journal_last_seq", "Last sequence number given out.", journal.lastSeq);
  sheet.gauge("journal_durable_seq", "Last sequence number on disk.", journal.durableSeq);
  sheet.gauge("journal_store_bytes", "Size of the store.", journal.storeBytes);
  sheet.gauge("journal_pending_bytes", "Taken in and not on disk yet.", journal.pendingBytes);
  sheet.gauge(
    "uplink_connected",
    "1: the cloud has accepted the connection.",
    uplink && flag(uplink.state === "connected"),
  );
  sheet.gauge("uplink_inflight_messages", "Sent and not acknowledged.", uplink?.inflight ?? null);
  sheet.gauge("site_role", "1 for the role that the gateway has.", [[{ role }, 1]]);
  sheet.gauge("site_epoch", "Of the primary as far as this gateway is it.", epoch);
  sheet.gauge("site_may_act", "1: the gateway may act as primary now.", flag(mayAct));
  sheet.gauge("site_members", "Gateways registered at the site.", members.length);
  sheet.gauge(
    "site_etcd_answers",
    "1: etcd answers.",
    cluster.etcd === "none" ? null : flag(cluster.etcd === "answers"),
  );
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
  ]);
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

function seconds(ms: number | null): number | null {
  return ms === null ? null : ms / 1000;
}

function brokerPart(sheet: Sheet, broker: MetricSources["broker"]): void {
  sheet.gauge("connections", "MQTT connections.", broker.connections);
  sheet.gauge("connections_paused", "Connections that are not read just now.", broker.paused);
  const tooFast = "Connections that are not read just now because they publish too fast.";
  sheet.gauge("connections_throttled", tooFast, broker.throttled);
  const stage = ["calm", "shedding", "refusing"].indexOf(broker.overload.state);
  sheet.gauge("overload", "0 calm; 1 drops QoS 0; 2 refuses new connections, too.", stage);
  sheet.counter("overloads", "How often it began to drop QoS 0.", broker.overload.times);
  sheet.gauge("event_loop_lag_ms", "How late the event loop was last.", broker.overload.lagMs);
  sheet.gauge("sessions", "Sessions, of those connected and persistent ones.", broker.sessions);
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
}

function flag(is: boolean): number {
  return is ? 1 : 0;
}

function ratio(percent: number | null): number | null {
  return percent === null ? null : percent / 100;
}
