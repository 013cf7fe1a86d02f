import type { Clock } from "./base/clock.ts";
import { totalOf } from "./base/counts.ts";
import type { Log } from "./base/log.ts";
import type { Random } from "./base/random.ts";
import { type Service, startAll, stopAll } from "./base/service.ts";
import { Broker, type BrokerOptions, type BrokerStatus } from "./broker/broker.ts";
import { LocalPublisher } from "./broker/local-publisher.ts";
import { version } from "./cli/version.ts";
import type { Config, DeviceConfig } from "./config/schema.ts";
import { ControlServer } from "./control/control-server.ts";
import { Commands, type CommandTools } from "./devices/commands.ts";
import { type Device, type DeviceSink, type DeviceStatus, device } from "./devices/device.ts";
import { StatusTopic } from "./devices/status-topic.ts";
import { SiteWiring } from "./gateway-site.ts";
import { Figures } from "./health/figures.ts";
import { FlashWear } from "./health/flash-wear.ts";
import { type HostSample, HostStatistics } from "./health/host-statistics.ts";
import { auditDevice, auditLane, type DeviceAudit, type LaneAudit } from "./health/ledger.ts";
import { HealthServer } from "./health/net-health-server.ts";
import type { FlashLife } from "./health/wear.ts";
import type { JournalFigures } from "./journal/counters.ts";
import type { JournalRoom, JournalState } from "./journal/journal.ts";
import { type LevelJournalOptions, levelJournal } from "./journal/level-journal.ts";
import type { Replication, ReplicationStatus } from "./replica/replication.ts";
import { SafeJournal } from "./replica/safe-journal.ts";
import { type Site, type SiteStatus, site } from "./site/site.ts";
import { type Downlink, type DownlinkStatus, downlink } from "./uplink/downlink.ts";
import { mqttCommandCloud } from "./uplink/mqtt-command-cloud.ts";
import {
  compileRules,
  cursorName,
  type GatewayIdentity,
  LANES,
  type LaneName,
} from "./uplink/rules.ts";
import type { Uplink, UplinkStatus } from "./uplink/uplink.ts";

export interface GatewayTools {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
}

/** What the gateway is and does now. The control socket tells it; `fieldgate status` shows it. */
export interface GatewayStatus {
  readonly gateway: string;
  readonly site: string;
  readonly uptimeMs: number;
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
  readonly devices: readonly DeviceStatus[];
  readonly uplink: UplinkStatus | null;
  readonly downlink: DownlinkStatus | null;
  readonly cluster: SiteStatus;
  /** Null without `cluster.peer`: then nothing is copied, and each gateway of a site carries its own messages to the cloud. */
  readonly replication: ReplicationStatus | null;
  /** The uplinks of the copies of other gateways' journals, by journal. They send while this gateway is primary. */
  readonly replicaUplinks: Readonly<Record<string, UplinkStatus>>;
  /** The machine, as last sampled; null before the first sample. */
  readonly host: HostSample | null;
  readonly ledger: Readonly<Record<LaneName, LaneBalance>>;
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

/** 2025: a wall clock that stands before it was not set since the machine started. */
const WALL_MS_MIN = 1_735_689_600_000;
const DEADLINES = { startMs: 30_000, stopMs: 3000 };

/**
 * Composition root: what is wired to what. Parts start from the disk outwards and stop the other way round: first
 * nothing comes in any more, then what is under way to the cloud is waited for, last the journal is closed.
 */
export class Gateway {
  readonly #config: Config;
  readonly #tools: GatewayTools;
  readonly #journal: ReturnType<typeof levelJournal>;
  readonly #broker: Broker;
  readonly #attended: readonly AttendedDevice[];
  readonly #uplink: Uplink | null;
  readonly #downlink: Downlink | null;
  readonly #site: Site;
  readonly #replication: Replication | null;
  readonly #wiring: SiteWiring;
  readonly #host: HostStatistics;
  readonly #flash: FlashWear;
  readonly #services: readonly Service[];
  readonly #startedMs: number;

  constructor(config: Config, tools: GatewayTools) {
    const { clock, log, random } = tools;
    const identity = { gateway: config.gateway.id, site: config.gateway.site };
    const { path } = config.store;
    this.#config = config;
    this.#tools = tools;
    this.#startedMs = clock.monotonicMs();
    this.#journal = levelJournal(journalOptions(config), {
      clock,
      log: log.part("journal"),
      random,
    });
    this.#site = this.#newSite(identity);
    const wiring = new SiteWiring(config, tools, this.#journal, this.#site);
    this.#wiring = wiring;
    this.#replication = wiring.replication(journalOptions(config));
    const route = compileRules(config.uplink?.rules ?? [], identity);
    const { release } = this.#replication ?? {};
    const isSafe = release !== undefined && config.store.durability === "safe";
    this.#broker = new Broker(brokerOptions(config), {
      clock,
      log: log.part("broker"),
      journal: isSafe ? new SafeJournal(this.#journal, release) : this.#journal,
      laneOf: (topic) => route(topic)?.lane ?? 0,
    });
    this.#uplink = wiring.uplink(this.#journal, config.gateway.id);
    this.#downlink = this.#downlinkOf(config.uplink, identity);
    this.#attended = config.devices.map((each) => this.#attend(each, identity));
    const control = new ControlServer(
      config.control.socket,
      { "GET status": () => this.status(), "GET ledger": () => this.ledger() },
      log.part("control"),
    );
    const { figuresSeconds, hostSeconds, port } = config.health;
    const sources = { unready: () => this.#unready(), metrics: () => this.status() };
    const monitored =
      port === undefined ? [] : [new HealthServer(port, sources, log.part("health"))];
    this.#host = new HostStatistics(
      { everyMs: hostSeconds * 1000, path },
      { clock, log: log.part("health") },
    );
    this.#flash = flashWear(config, tools, this.#journal);
    const announce = (topic: string, text: string) => this.#broker.announce(topic, text);
    const figures = new Figures(figuresSeconds * 1000, clock, () => this.status(), announce);
    const outward = this.#uplink === null ? [] : [this.#uplink];
    const copies = this.#replication === null ? [] : [wiring.uplinks, this.#replication];
    this.#services = [
      this.#journal,
      this.#flash,
      ...wiring.stores,
      this.#site,
      ...copies,
      ...outward,
      this.#broker,
      ...this.#attended.flatMap((each) => [each.device, each.statusTopic, each.commands]),
      ...(this.#downlink === null ? [] : [this.#downlink]),
      this.#host,
      figures,
      ...monitored,
      control,
    ];
  }

  #attend(config: DeviceConfig, identity: GatewayIdentity): AttendedDevice {
    const publisher = new LocalPublisher(`device ${config.name}`);
    const admit: DeviceSink["admit"] = (message) => this.#broker.publish(message, publisher);
    const listen: CommandTools["listen"] = (...topic) => this.#broker.listen(...topic);
    const mayWrite = () => !config.shared || this.#site.role.mayAct();
    const known = { gateway: identity.gateway, site: identity.site };
    const tools = { ...this.#tools, identity: known, sink: { admit }, listen, mayWrite };
    const made = device(config, tools);
    const commands = new Commands(config, made, tools);
    return { device: made, commands, statusTopic: new StatusTopic(config, made, tools) };
  }

  /** Rejects with the first error, after everything that had started was stopped again. */
  async start(signal: AbortSignal): Promise<void> {
    await startAll(this.#services, this.#tooling(), signal);
  }

  async stop(): Promise<void> {
    await stopAll(this.#services, this.#tooling());
  }

  status(): GatewayStatus {
    const journal = this.#journal;
    const state = journal.state.get();
    return {
      gateway: this.#config.gateway.id,
      site: this.#config.gateway.site,
      uptimeMs: Math.round(this.#tools.clock.monotonicMs() - this.#startedMs),
      journal: {
        id: journal.id,
        state: state.at,
        error: state.at === "failed" ? state.error.message : null,
        lastSeq: journal.lastSeq,
        durableSeq: journal.durableSeq,
        storeBytes: journal.storeBytes,
        bytesMax: this.#config.store.bytesMax,
        freeBytes: journal.freeBytes,
        room: journal.room,
        pendingBytes: journal.pendingBytes,
        quarantine: journal.quarantine,
        figures: journal.figures(),
      },
      flash: this.#flash.life,
      broker: this.#broker.status(),
      devices: this.#attended.map(statusOf),
      uplink: this.#uplink?.status() ?? null,
      downlink: this.#downlink?.status() ?? null,
      cluster: this.#site.status(),
      replication: this.#replication?.status() ?? null,
      replicaUplinks: Object.fromEntries(this.#wiring.uplinks.status()),
      host: this.#host.last,
      ledger: {
        alarm: this.#balance("alarm"),
        telemetry: this.#balance("telemetry"),
        bulk: this.#balance("bulk"),
      },
    };
  }

  /** Counts what waits in the journal. May take seconds where the backlog is long; the gateway goes on meanwhile. */
  async ledger(): Promise<LedgerProof> {
    const audit = (name: LaneName) =>
      auditLane(this.#journal, { lane: LANES[name], cursor: cursorName(name) });
    const devices = this.#attended.map(statusOf);
    return {
      gateway: this.#config.gateway.id,
      journal: this.#journal.id,
      lanes: {
        alarm: await audit("alarm"),
        telemetry: await audit("telemetry"),
        bulk: await audit("bulk"),
      },
      devices: Object.fromEntries(
        devices.map(({ name, counters }) => [name, auditDevice(counters)]),
      ),
    };
  }

  #downlinkOf(options: Config["uplink"], identity: GatewayIdentity): Downlink | null {
    if (!options?.down) return null;
    const publisher = new LocalPublisher("downlink", true);
    const { clock } = this.#tools;
    return downlink(options, options.down, {
      ...this.#tools,
      identity,
      journal: this.#journal,
      rows: this.#journal.rows("downlink"),
      cloud: mqttCommandCloud(options, options.down, { clock, identity }),
      sink: { take: (message) => this.#broker.takeDown(message, publisher) },
      moreEndpoints: this.#wiring.moreEndpoints,
      wallIsSure: () => clock.wallMs() > WALL_MS_MIN,
    });
  }

  #unready(): readonly string[] {
    const { journal } = this.status();
    return journal.state === "open" ? [] : [`store ${journal.state}: ${journal.error ?? ""}`];
  }

  /** What an earlier configuration's uplink has left waiting is counted too: nothing lets go of it. */
  #balance(lane: LaneName): LaneBalance {
    const accepted = this.#journal.laneTotals[LANES[lane]] ?? 0;
    const name = cursorName(lane);
    const known = this.#journal.cursorNames().includes(name);
    // Without a cursor nothing waits: the lane was accepted for an uplink that has let go of it.
    if (!known) return { accepted, delivered: 0, dropped: unread(accepted), queued: 0 };
    const { count, dropped } = this.#journal.cursor(name);
    const lost = totalOf(dropped);
    return { accepted, delivered: count - lost, dropped, queued: accepted - count };
  }

  #newSite(identity: GatewayIdentity): Site {
    const { clock, log, random } = this.#tools;
    return site(this.#config.cluster, {
      clock,
      log,
      random,
      identity,
      version,
      rows: this.#journal.rows("site"),
      address: () => this.#replication?.address ?? "",
      journalOffset: () => ({
        id: this.#journal.id,
        seq: this.#journal.durableSeq,
        replicated: this.#replication?.entries ?? 0,
      }),
    });
  }

  #tooling() {
    return { clock: this.#tools.clock, log: this.#tools.log, deadlines: DEADLINES };
  }
}

/** A device with its commands and its status topic. */
interface AttendedDevice {
  readonly device: Device;
  readonly commands: Commands;
  readonly statusTopic: StatusTopic;
}

function statusOf({ device: one, commands }: AttendedDevice): DeviceStatus {
  return { ...one.status(), commands: commands.counters() };
}

function journalOptions({ store, uplink }: Config): LevelJournalOptions {
  const lanes = (Object.keys(LANES) as LaneName[]).map((name) => [
    LANES[name],
    { whenFull: uplink?.lanes[name].whenFull ?? "reject-new", cursor: cursorName(name) },
  ]);
  const {
    retryFirstMs: firstMs,
    retryMaxMs: maxMs,
    pendingBytesMax,
    enduranceBytes: _,
    ...options
  } = store;
  const retry = { firstMs, maxMs };
  return {
    ...options,
    pendingBytesMax: 2 * pendingBytesMax,
    retry,
    lanes: Object.fromEntries(lanes),
  };
}

function flashWear(
  { store }: Config,
  { clock, log }: GatewayTools,
  journal: ReturnType<typeof levelJournal>,
): FlashWear {
  const options = { path: store.path, enduranceBytes: store.enduranceBytes ?? null };
  const counted = () => ({
    messages: journal.counters.entries,
    messageBytes: journal.counters.entryBytes,
  });
  return new FlashWear(options, {
    clock,
    log: log.part("health"),
    rows: journal.rows("health"),
    counted,
  });
}

function brokerOptions(config: Config): BrokerOptions {
  const { mqtt, store, listeners } = config;
  return { ...mqtt, listeners, pendingBytesMax: store.pendingBytesMax };
}

function unread(count: number): Record<string, number> {
  return count === 0 ? {} : { unread: count };
}
