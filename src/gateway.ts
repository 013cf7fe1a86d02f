import type { Access } from "./access/access.ts";
import type { Clock } from "./base/clock.ts";
import type { Log } from "./base/log.ts";
import type { Random } from "./base/random.ts";
import { type Service, startAll, stopAll } from "./base/service.ts";
import { Broker } from "./broker/broker.ts";
import { LocalPublisher } from "./broker/local-publisher.ts";
import { version } from "./cli/version.ts";
import type { ConfigLayers } from "./config/file-layers.ts";
import type { Config, DeviceConfig } from "./config/schema.ts";
import { ControlServer } from "./control/control-server.ts";
import { Commands, type CommandTools } from "./devices/commands.ts";
import type { DeviceSink } from "./devices/device.ts";
import { deviceFor } from "./devices/device-for.ts";
import { StatusTopic } from "./devices/status-topic.ts";
import { gatewayAccess } from "./gateway-access.ts";
import { operations } from "./gateway-operations.ts";
import { brokerOptions, flashWear, journalOptions } from "./gateway-options.ts";
import { SiteWiring } from "./gateway-site.ts";
import {
  type AttendedDevice,
  type GatewayParts,
  type GatewayStatus,
  gatewayStatus,
  type LogStatus,
  type RunningText,
  unready,
} from "./gateway-status.ts";
import { Figures } from "./health/figures.ts";
import { HostStatistics } from "./health/host-statistics.ts";
import { HealthServer } from "./health/net-health-server.ts";
import type { Heart } from "./health/supervision.ts";
import { Timekeeper, type TimeSources } from "./health/timekeeper.ts";
import { levelJournal } from "./journal/level-journal.ts";
import type { StoreJournal } from "./journal/store-journal.ts";
import type { Replication } from "./replica/replication.ts";
import { EtcdSettings } from "./site/etcd-settings.ts";
import { type Site, site } from "./site/site.ts";
import { type Downlink, downlink } from "./uplink/downlink.ts";
import type { LiveRoutes } from "./uplink/live-routes.ts";
import { mqttCommandCloud } from "./uplink/mqtt-command-cloud.ts";
import { Progress } from "./uplink/progress.ts";
import type { GatewayIdentity } from "./uplink/rules.ts";

export interface GatewayTools {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  readonly timeSources: TimeSources;
  /** Where the configuration comes from, when etcd may lay something over it. */
  readonly layers?: ConfigLayers;
  readonly trial?: RunningText;
  /** How what `log` writes gets on. */
  readonly logged?: () => LogStatus;
}

const DEADLINES = { startMs: 30_000, stopMs: 3000 };

/**
 * Composition root: what is wired to what. Parts start from the disk outwards and stop the other way round: first
 * nothing comes in any more, then what is under way to the cloud is waited for, last the journal is closed.
 */
export class Gateway {
  readonly #tools: GatewayTools;
  readonly #parts: GatewayParts;
  readonly #services: readonly Service[];

  constructor(config: Config, tools: GatewayTools) {
    this.#tools = tools;
    const { clock, log } = tools;
    const startedMs = clock.monotonicMs();
    const timekeeper = newTimekeeper(config, tools);
    const journal = levelJournal(journalOptions(config), {
      ...tools,
      log: log.part("journal"),
      timepiece: timekeeper,
    });
    timekeeper.follow(() => journal.clockChanged());
    // Known before there are copies of journals: the site tells its peers how complete they are.
    const later: Later = { replication: null, settle: async () => {} };
    const ours = newSite(config, tools, journal, later);
    const wiring = new SiteWiring(config, tools, journal, ours);
    const replication = wiring.replication(journalOptions(config));
    later.replication = replication;
    const rows = journal.rows("access");
    const timed = { ...tools, wallIsSure: () => timekeeper.quality() !== "unset" };
    const access = gatewayAccess(config, { ...timed, rows });
    const broker = newBroker(config, timed, access, journal, replication, wiring);
    wiring.subscribers.serve(broker);
    const settings = newSettings(config, tools, broker, wiring.routes);
    const attended = config.devices.map((each) => attend(each, config, tools, broker, ours));
    const uplink = wiring.uplink(journal, config.gateway.id);
    later.settle = async () => {
      await Promise.all([wiring.uplinks.settle(), uplink?.settle()]);
    };
    const laneTotals = () => journal.laneTotals;
    const parts: GatewayParts = {
      config,
      clock,
      startedMs,
      trial: tools.trial ?? null,
      timekeeper,
      journal,
      flash: flashWear(config, tools, journal),
      access,
      broker,
      attended,
      uplink,
      progress: uplink === null ? null : new Progress({ clock, uplink, laneTotals }),
      downlink: newDownlink(config, tools, journal, broker, wiring, timekeeper),
      site: ours,
      settings,
      replication,
      uplinks: wiring.uplinks,
      host: new HostStatistics(
        { everyMs: config.health.hostSeconds * 1000, path: config.store.path },
        { clock, log: log.part("health") },
      ),
      doors: { control: null, health: null },
      logged: tools.logged ?? null,
    };
    const control = new ControlServer(config.control, operations(parts), log.part("control"));
    parts.doors.control = control;
    this.#parts = parts;
    this.#services = [
      parts.timekeeper,
      parts.journal,
      parts.flash,
      ...wiring.stores,
      parts.site,
      ...(replication === null ? [] : [wiring.uplinks, replication]),
      ...(parts.uplink === null ? [] : [parts.uplink]),
      parts.access,
      ...(parts.progress === null ? [] : [parts.progress]),
      parts.broker,
      ...wiring.feeds,
      ...attended.flatMap((each) => [each.device, each.statusTopic, each.commands]),
      ...(parts.downlink === null ? [] : [parts.downlink]),
      parts.host,
      ...(settings === null ? [] : [settings]),
      ...observers(parts, tools),
      control,
      departure(parts.site),
    ];
  }

  /** Rejects with the first error, after everything that had started was stopped again. */
  async start(signal: AbortSignal): Promise<void> {
    await startAll(this.#services, this.#tooling(), signal);
  }

  async stop(): Promise<void> {
    await stopAll(this.#services, this.#tooling());
  }

  status(): GatewayStatus {
    return gatewayStatus(this.#parts);
  }

  /** By which systemd sees that the journal gets on. */
  get heart(): Heart {
    const { journal } = this.#parts;
    const rows = journal.rows("health");
    return {
      onCommit: (listener) => journal.onCommit(listener),
      commit: () => rows.put("beat", new Uint8Array()),
      get retryAtMs() {
        const state = journal.state.get();
        return state.at === "failed" ? state.retryAtMs : null;
      },
    };
  }

  #tooling() {
    return { clock: this.#tools.clock, log: this.#tools.log, deadlines: DEADLINES };
  }
}

function newTimekeeper({ health }: Config, { clock, log, timeSources }: GatewayTools): Timekeeper {
  return new Timekeeper(health.clockSeconds * 1000, timeSources, { clock, log: log.part("time") });
}

/** What the site needs of parts that are made after it. */
interface Later {
  replication: Replication | null;
  settle: () => Promise<void>;
}

function newSite(
  config: Config,
  tools: GatewayTools,
  journal: StoreJournal,
  later: Readonly<Later>,
): Site {
  return site(config.cluster, {
    ...tools,
    identity: identityOf(config),
    version,
    rows: journal.rows("site"),
    address: () => {
      const listensAt = later.replication?.address ?? "";
      return listensAt === "" ? "" : (config.cluster?.peer?.address ?? listensAt);
    },
    journalOffset: () => ({
      id: journal.id,
      seq: journal.durableSeq,
      replicated: later.replication?.entries ?? 0,
    }),
    tell: (gateway, note) => later.replication?.office(gateway, note) ?? false,
    settle: () => later.settle(),
  });
}

/** What etcd lays over the file; null without a cluster, and where the configuration comes from no file. */
function newSettings(
  config: Config,
  { layers, ...tools }: GatewayTools,
  broker: Broker,
  routes: LiveRoutes,
): EtcdSettings | null {
  if (config.cluster === undefined || layers === undefined) return null;
  return new EtcdSettings(config.cluster, {
    ...tools,
    identity: identityOf(config),
    lastGood: layers.overlay,
    lay: async (settings) => {
      const effect = await layers.lay(settings);
      if (effect.applied.includes("uplink.rules")) {
        routes.set(layers.live.uplink?.rules ?? []);
        broker.routes.rerouted();
      }
      return effect;
    },
  });
}

/** Stops first: another gateway is primary before this one takes its time to stop. */
function departure(ours: Site): Service {
  return { name: "departure", start: async () => {}, stop: () => ours.depart() };
}

function newBroker(
  config: Config,
  { clock, log, wallIsSure }: GatewayTools & { readonly wallIsSure: () => boolean },
  access: Access,
  journal: StoreJournal,
  replication: Replication | null,
  { routes, sessions }: SiteWiring,
): Broker {
  const route = routes.of(identityOf(config));
  return new Broker(brokerOptions(config), {
    clock,
    log: log.part("broker"),
    access,
    wallIsSure,
    memoryBytes: () => process.memoryUsage.rss(),
    journal: sessions?.journal ?? journal,
    ...(sessions === null ? {} : { elsewhere: sessions }),
    laneOf: (topic) => route(topic)?.lane ?? 0,
    beyond: (topic) => replication?.beyond(topic) ?? null,
  });
}

function attend(
  config: DeviceConfig,
  whole: Config,
  tools: GatewayTools,
  broker: Broker,
  { role }: Site,
): AttendedDevice {
  const publisher = new LocalPublisher(`device ${config.name}`);
  const admit: DeviceSink["admit"] = (message) => broker.publish(message, publisher);
  const listen: CommandTools["listen"] = (...topic) => broker.listen(...topic);
  const mayWrite = () => !config.shared || role.mayAct();
  const all = { ...tools, identity: { ...identityOf(whole) }, sink: { admit }, listen, mayWrite };
  const made = deviceFor(config, all);
  const commands = new Commands(config, made, all);
  return { device: made, mayWrite, commands, statusTopic: new StatusTopic(config, made, all) };
}

function newDownlink(
  config: Config,
  tools: GatewayTools,
  journal: StoreJournal,
  broker: Broker,
  { moreEndpoints }: SiteWiring,
  timekeeper: Timekeeper,
): Downlink | null {
  const options = config.uplink;
  if (!options?.down) return null;
  const publisher = new LocalPublisher("downlink", true);
  const { clock } = tools;
  const identity = identityOf(config);
  return downlink(options, options.down, {
    ...tools,
    identity,
    journal,
    rows: journal.rows("downlink"),
    cloud: mqttCommandCloud(options, options.down, { clock, identity }),
    sink: { take: (message) => broker.takeDown(message, publisher) },
    moreEndpoints,
    wallIsSure: () => timekeeper.quality() !== "unset",
  });
}

/** Who shows the gateway's state to others: below $SYS, and to a monitoring system. */
function observers(parts: GatewayParts, { clock, log }: GatewayTools): readonly Service[] {
  const { figuresSeconds, port, connectionsMax } = parts.config.health;
  const status = () => gatewayStatus(parts);
  const announce = (topic: string, text: string) => parts.broker.announce(topic, text);
  const figures = new Figures(figuresSeconds * 1000, clock, status, announce);
  if (port === undefined) return [figures];
  const sources = { unready: () => unready(parts), metrics: status };
  const server = new HealthServer({ port, connectionsMax }, sources, log.part("health"));
  parts.doors.health = server;
  return [figures, server];
}

function identityOf({ gateway }: Config): GatewayIdentity {
  return { gateway: gateway.id, site: gateway.site };
}
