import type { Clock } from "../base/clock.ts";
import { totalOf } from "../base/counts.ts";
import type { Service } from "../base/service.ts";
import type { HostSample } from "./host-statistics.ts";
import type { FlashLife } from "./wear.ts";

/** What the figures are made of. */
export interface FigureSources {
  readonly uptimeMs: number;
  readonly broker: {
    readonly connections: number;
    readonly sessions: number;
    readonly persistent: { readonly away: number; readonly expired: number };
    readonly retained: number;
    readonly accepted: number;
    readonly sent: number;
    readonly dropped: Readonly<Record<string, number>>;
  };
  readonly journal: {
    readonly lastSeq: number;
    readonly durableSeq: number;
    readonly storeBytes: number;
    readonly figures: {
      readonly commits: number;
      readonly syncs: number;
      readonly commitMsMedian: number | null;
      readonly commitMsP99: number | null;
      readonly writeErrors: number;
      readonly refusedFull: number;
      readonly refusedPending: number;
      readonly damagedBlocks: number;
      readonly missingEntries: number;
      readonly damagedRows: number;
      readonly missingReferences: number;
      readonly unreadable: number;
      readonly filesLost: number;
      readonly logBytesDropped: number;
    };
  };
  readonly uplink: LinkFigures | null;
  readonly downlink:
    | (LinkFigures & {
        readonly received: number;
        readonly accepted: number;
        readonly duplicates: number;
        readonly refused: Readonly<Record<string, number>>;
      })
    | null;
  readonly flash: FlashLife | null;
  readonly replication: { readonly inSync: readonly string[] } | null;
  readonly host: HostSample | null;
}

interface LinkFigures {
  readonly state: string;
  readonly breaker: string;
}

/**
 * The figures below $SYS, by topic. Where mosquitto publishes the same thing, it has mosquitto's topic, so that existing
 * dashboards find it.
 */
export function figuresOf(sources: FigureSources): Map<string, string> {
  const { uptimeMs, broker, journal, flash, uplink, downlink, replication, host } = sources;
  const figures: Record<string, string | number | null | undefined> = {
    "broker/uptime": `${Math.floor(uptimeMs / 1000)} seconds`,
    "broker/clients/connected": broker.connections,
    "broker/clients/total": broker.sessions,
    "broker/clients/disconnected": broker.persistent.away,
    "broker/clients/expired": broker.persistent.expired,
    "broker/retained messages/count": broker.retained,
    "broker/publish/messages/received": broker.accepted,
    "broker/publish/messages/sent": broker.sent,
    "broker/publish/messages/dropped": totalOf(broker.dropped),
    "journal/seq": journal.lastSeq,
    "journal/durable-seq": journal.durableSeq,
    "journal/bytes": journal.storeBytes,
    ...journalFigures(journal.figures),
    "flash/bytes-per-message": rounded(flash?.bytesPerMessage),
    "flash/write-amplification": rounded(flash?.writeAmplification),
    "flash/program-bytes-written": flash?.programBytes,
    "flash/device-bytes-written": flash?.deviceBytes,
    "flash/bytes-per-day": whole(flash?.bytesPerDay),
    "flash/years-left": rounded(flash?.yearsLeft),
    "uplink/state": uplink?.state,
    "uplink/breaker": uplink?.breaker,
    "downlink/state": downlink?.state,
    "downlink/breaker": downlink?.breaker,
    "downlink/commands/received": downlink?.received,
    "downlink/commands/accepted": downlink?.accepted,
    "downlink/commands/duplicate": downlink?.duplicates,
    "downlink/commands/refused": downlink === null ? null : totalOf(downlink.refused),
    "site/peers-in-sync": replication?.inSync.length,
    "host/cpu-percent": rounded(host?.cpuPercent),
    "host/memory-available-bytes": host?.memoryAvailableBytes,
    "host/memory-total-bytes": host?.memoryTotalBytes,
    "host/temperature-celsius": rounded(host?.temperatureCelsius),
    "host/disk-available-bytes": host?.diskAvailableBytes,
    "host/disk-total-bytes": host?.diskTotalBytes,
    "host/network-received-bytes": host?.networkReceivedBytes,
    "host/network-sent-bytes": host?.networkSentBytes,
  };
  const topics = new Map<string, string>();
  for (const [name, value] of Object.entries(figures)) {
    if (value !== null && value !== undefined) topics.set(`$SYS/${name}`, String(value));
  }
  return topics;
}

function journalFigures(figures: FigureSources["journal"]["figures"]) {
  return {
    "journal/commits": figures.commits,
    "journal/syncs": figures.syncs,
    "journal/commit-ms-median": rounded(figures.commitMsMedian),
    "journal/commit-ms-p99": rounded(figures.commitMsP99),
    "journal/write-errors": figures.writeErrors,
    "journal/refused/full": figures.refusedFull,
    "journal/refused/pending": figures.refusedPending,
    "journal/damaged/blocks": figures.damagedBlocks,
    "journal/damaged/rows": figures.damagedRows,
    "journal/missing/entries": figures.missingEntries,
    "journal/missing/references": figures.missingReferences,
    "journal/damaged/reads": figures.unreadable,
    "journal/missing/files": figures.filesLost,
    "journal/log-bytes-dropped": figures.logBytesDropped,
  };
}

/** Announces the figures every `everyMs`; those that did not change are not said again. */
export class Figures implements Service {
  readonly name = "figures";
  readonly #everyMs: number;
  readonly #clock: Clock;
  readonly #sources: () => FigureSources;
  readonly #announce: (topic: string, payload: string) => void;
  readonly #said = new Map<string, string>();
  #stop: () => void = () => {};

  constructor(
    everyMs: number,
    clock: Clock,
    sources: () => FigureSources,
    announce: (topic: string, payload: string) => void,
  ) {
    this.#everyMs = everyMs;
    this.#clock = clock;
    this.#sources = sources;
    this.#announce = announce;
  }

  async start(): Promise<void> {
    if (this.#everyMs > 0) this.#stop = this.#clock.every(this.#everyMs, () => this.#say());
  }

  async stop(): Promise<void> {
    this.#stop();
  }

  #say(): void {
    for (const [topic, value] of figuresOf(this.#sources())) {
      if (this.#said.get(topic) === value) continue;
      this.#said.set(topic, value);
      this.#announce(topic, value);
    }
  }
}

function rounded(value: number | null | undefined): number | null {
  return value === null || value === undefined ? null : Math.round(value * 10) / 10;
}

function whole(value: number | null | undefined): number | null {
  return value === null || value === undefined ? null : Math.round(value);
}
