import type { Access, AccessStatus } from "./access/access.ts";
import type { Clock } from "./base/clock.ts";
import { totalOf } from "./base/counts.ts";
import type { Broker } from "./broker/broker.ts";
import type { BrokerStatus } from "./broker/broker-status.ts";
import { version } from "./cli/version.ts";
import type { Config } from "./config/schema.ts";
import type { ConfigTrial } from "./control/config-trial.ts";
import type { Commands } from "./devices/commands.ts";
import type { Device, DeviceStatus } from "./devices/device.ts";
import type { StatusTopic } from "./devices/status-topic.ts";
import type { FlashWear } from "./health/flash-wear.ts";
import type { HostSample, HostStatistics } from "./health/host-statistics.ts";
import { auditDevice, auditLane, type DeviceAudit, type LaneAudit } from "./health/ledger.ts";
import type { Timekeeper, TimeStatus } from "./health/timekeeper.ts";
import type { FlashLife } from "./health/wear.ts";
import type { JournalFigures } from "./journal/counters.ts";
import type { JournalRoom, JournalState } from "./journal/journal.ts";
import type { StoreJournal } from "./journal/store-journal.ts";
import type { Replication } from "./replica/replication.ts";
import type { ReplicationStatus } from "./replica/status.ts";
import type { EtcdSettings, SettingsStatus } from "./site/etcd-settings.ts";
import type { Site, SiteStatus } from "./site/site.ts";
import type { Downlink, DownlinkStatus } from "./uplink/downlink.ts";
import type { Progress, ProgressStatus } from "./uplink/progress.ts";
import { cursorName, LANES, type LaneName } from "./uplink/rules.ts";
import type { Uplink, UplinkStatus } from "./uplink/uplink.ts";
import type { Uplinks } from "./uplink/uplinks.ts";

/** What the gateway is and does now. The control socket tells it; `fieldgate status` shows it. */
export interface GatewayStatus {
  readonly gateway: string;
  readonly site: string;
  /** Of the program that runs, which may not be the one that asks. */
  readonly version: string;
  readonly uptimeMs: number;
  readonly pid: number;
  /** What the wall clock is worth. */
  readonly time: TimeStatus;
  readonly journal: {
    readonly id: string;
    readonly state: JournalState["at"];
    readonly error: string | null;
    readonly lastSeq: number;
    readonly durableSeq: number;
    readonly storeBytes: number;
    readonly bytesMax: number;
    /** What the disk would still take, as last measured. */
    readonly freeBytes: number;
    readonly room: JournalRoom;
    readonly pendingBytes: number;
    /** Where a damaged store was set aside at this start; null: it was sound. */
    readonly quarantine: string | null;
    readonly figures: JournalFigures;
  };
  /** What the journal costs the card; null before the first sample. */
  readonly flash: FlashLife | null;
  readonly broker: BrokerStatus;
  readonly access: AccessStatus;
  readonly devices: readonly DeviceStatus[];
  readonly uplink: UplinkStatus | null;
  /** Null without an uplink. */
  readonly progress: ProgressStatus | null;
  readonly downlink: DownlinkStatus | null;
  readonly cluster: SiteStatus;
  /** What etcd lays over the configuration's file; null where it may not. */
  readonly settings: SettingsStatus | null;
  /** Null without `cluster.peer`: then nothing is copied, and each gateway of a site carries its own messages to the cloud. */
  readonly replication: ReplicationStatus | null;
  /** The uplinks of the copies of other gateways' journals, by journal. They send while this gateway is primary. */
  readonly replicaUplinks: Readonly<Record<string, UplinkStatus>>;
  /** The machine, as last sampled; null before the first sample. */
  readonly host: HostSample | null;
  /** Callers of the control socket and of the monitoring port that found too many others there. */
  readonly callersRefused: { readonly control: number; readonly health: number };
  /** Null where the log goes nowhere that could be slow. */
  readonly log: LogStatus | null;
  readonly ledger: Readonly<Record<LaneName, LaneBalance>>;
}

/** How the log gets on. */
export interface LogStatus {
  /** Written and not read by anybody yet. */
  readonly pendingBytes: number;
  /** Lines that were dropped because nobody read. */
  readonly dropped: number;
  /** Lines that were left out because they said the same of the same thing again: `log.repeatsMax`. */
  readonly leftOut: number;
  /** Kinds of lines that were forgotten because there were more than `log.repeatKindsMax`. */
  readonly forgotten: number;
  /** False: lines are being dropped. */
  readonly isRead: boolean;
}

/** accepted = delivered + dropped (of all reasons) + queued, for each lane, since the journal began. */
export interface LaneBalance {
  readonly accepted: number;
  /** Acknowledged by the cloud. */
  readonly delivered: number;
  /** Given up, by reason. */
  readonly dropped: Readonly<Record<string, number>>;
  readonly queued: number;
}

/** What `fieldgate ledger` shows: the books, proven by counting. */
export interface LedgerProof {
  readonly gateway: string;
  readonly journal: string;
  readonly lanes: Readonly<Record<LaneName, LaneAudit>>;
  readonly devices: Readonly<Record<string, DeviceAudit>>;
}

/** What configuration is to be run with, and the text that this gateway runs with. */
export interface RunningText {
  readonly trial: ConfigTrial;
  /** Where the configuration comes from: an absolute path. */
  readonly file: string;
  readonly text: string;
}

/** What a gateway is made of, for those who ask it something. */
export interface GatewayParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly startedMs: number;
  /** Null for a gateway that cannot be restarted within its process. */
  readonly trial: RunningText | null;
  readonly timekeeper: Timekeeper;
  readonly journal: StoreJournal;
  readonly flash: FlashWear;
  readonly access: Access;
  readonly broker: Broker;
  readonly attended: readonly AttendedDevice[];
  readonly uplink: Uplink | null;
  readonly progress: Progress | null;
  readonly downlink: Downlink | null;
  readonly site: Site;
  readonly settings: EtcdSettings | null;
  readonly replication: Replication | null;
  /** Of the copies of other gateways' journals. */
  readonly uplinks: Uplinks;
  readonly host: HostStatistics;
  readonly doors: Doors;
  readonly logged: (() => LogStatus) | null;
}

/** Where callers come in that are no MQTT clients, once they are there: how many were turned away. */
export interface Doors {
  control: { readonly refused: number } | null;
  health: { readonly refused: number } | null;
}

/** A device with its commands and its status topic. */
export interface AttendedDevice {
  readonly device: Device;
  /** Asked in the turn in which bytes are written, as by the commands. */
  readonly mayWrite: () => boolean;
  readonly commands: Commands;
  readonly statusTopic: StatusTopic;
}

/** Asks every part; cheap enough for once a second. */
export function gatewayStatus(parts: GatewayParts): GatewayStatus {
  const { config, clock, startedMs } = parts;
  return {
    gateway: config.gateway.id,
    site: config.gateway.site,
    version,
    uptimeMs: Math.round(clock.monotonicMs() - startedMs),
    pid: process.pid,
    time: parts.timekeeper.status(),
    journal: journalStatus(parts),
    flash: parts.flash.life,
    broker: parts.broker.status(),
    access: parts.access.status(),
    devices: parts.attended.map(deviceStatus),
    uplink: parts.uplink?.status() ?? null,
    progress: parts.progress?.status() ?? null,
    downlink: parts.downlink?.status() ?? null,
    cluster: parts.site.status(),
    settings: parts.settings?.status() ?? null,
    replication: parts.replication?.status() ?? null,
    replicaUplinks: Object.fromEntries(parts.uplinks.status()),
    host: parts.host.last,
    callersRefused: {
      control: parts.doors.control?.refused ?? 0,
      health: parts.doors.health?.refused ?? 0,
    },
    log: parts.logged?.() ?? null,
    ledger: eachLane((lane) => balance(parts.journal, lane)),
  };
}

/** Counts what waits in the journal. May take seconds where the backlog is long; the gateway goes on meanwhile. */
export async function ledgerProof({
  config,
  journal,
  attended,
}: GatewayParts): Promise<LedgerProof> {
  const audit = (name: LaneName) =>
    auditLane(journal, { lane: LANES[name], cursor: cursorName(name) });
  const devices = attended.map(deviceStatus);
  return {
    gateway: config.gateway.id,
    journal: journal.id,
    lanes: {
      alarm: await audit("alarm"),
      telemetry: await audit("telemetry"),
      bulk: await audit("bulk"),
    },
    devices: Object.fromEntries(devices.map(({ name, counters }) => [name, auditDevice(counters)])),
  };
}

/** Why the gateway should get no traffic now, one line a cause; empty when it is ready. */
export function unready({ journal }: GatewayParts): readonly string[] {
  const state = journal.state.get();
  if (state.at === "open") return [];
  return [`store ${state.at}: ${state.at === "failed" ? state.error.message : ""}`];
}

function journalStatus({ config, journal }: GatewayParts): GatewayStatus["journal"] {
  const state = journal.state.get();
  return {
    id: journal.id,
    state: state.at,
    error: state.at === "failed" ? state.error.message : null,
    lastSeq: journal.lastSeq,
    durableSeq: journal.durableSeq,
    storeBytes: journal.storeBytes,
    bytesMax: config.store.bytesMax,
    freeBytes: journal.freeBytes,
    room: journal.room,
    pendingBytes: journal.pendingBytes,
    quarantine: journal.quarantine,
    figures: journal.figures(),
  };
}

function deviceStatus({ device, commands }: AttendedDevice): DeviceStatus {
  return { ...device.status(), commands: commands.counters() };
}

function eachLane<T>(of: (lane: LaneName) => T): Record<LaneName, T> {
  return { alarm: of("alarm"), telemetry: of("telemetry"), bulk: of("bulk") };
}

/** What an earlier configuration's uplink has left waiting is counted too: nothing lets go of it. */
function balance(journal: StoreJournal, lane: LaneName): LaneBalance {
  const accepted = journal.laneTotals[LANES[lane]] ?? 0;
  const name = cursorName(lane);
  const known = journal.cursorNames().includes(name);
  // Without a cursor nothing waits: the lane was accepted for an uplink that has let go of it.
  if (!known) {
    const dropped = accepted === 0 ? {} : { unread: accepted };
    return { accepted, delivered: 0, dropped, queued: 0 };
  }
  const { count, dropped } = journal.cursor(name);
  return { accepted, delivered: count - totalOf(dropped), dropped, queued: accepted - count };
}
