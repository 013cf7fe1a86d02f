import type { Clock } from "./base/clock.ts";
import type { Log } from "./base/log.ts";
import type { Random } from "./base/random.ts";
import type { Service } from "./base/service.ts";
import type { Config } from "./config/schema.ts";
import { SiteSubscribers } from "./gateway-fanout.ts";
import { SessionWiring } from "./gateway-mobility.ts";
import { BLOCK_VERSION } from "./journal/block.ts";
import type { LevelJournalOptions } from "./journal/level-journal.ts";
import { LevelReplicas } from "./journal/level-replicas.ts";
import type { StoreJournal } from "./journal/store-journal.ts";
import { Replication } from "./replica/replication.ts";
import { tlsNetwork } from "./replica/tls-network.ts";
import { zlibCodec } from "./replica/zlib-codec.ts";
import { EtcdDirectory } from "./site/etcd-directory.ts";
import type { Site } from "./site/site.ts";
import { LiveRoutes } from "./uplink/live-routes.ts";
import { mqttCloud } from "./uplink/mqtt-cloud.ts";
import type { Permit } from "./uplink/permit.ts";
import type { Source } from "./uplink/source.ts";
import { type Uplink, uplink } from "./uplink/uplink.ts";
import { Uplinks } from "./uplink/uplinks.ts";

interface Tools {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
}

/** The part of the composition that makes a gateway one of several: copies of journals, and who sends them to the cloud. */
export class SiteWiring {
  /** Of the copies of other gateways' journals. */
  readonly uplinks = new Uplinks();
  /** Of this gateway, for messages of the others. */
  readonly subscribers = new SiteSubscribers();
  /** Endpoints of the cloud that the cluster's etcd names; null when none are looked for there. */
  readonly directory: EtcdDirectory | null;
  /** Of the uplink's rules as they are now. */
  readonly routes: LiveRoutes;
  readonly #config: Config;
  readonly #tools: Tools;
  readonly #journal: StoreJournal;
  readonly #site: Site;
  #replicas: LevelReplicas | null = null;

  constructor(config: Config, tools: Tools, journal: StoreJournal, site: Site) {
    this.#config = config;
    this.#tools = tools;
    this.#journal = journal;
    this.#site = site;
    this.routes = new LiveRoutes(config.uplink?.rules ?? []);
    const { cluster, uplink: { endpointsPrefix: prefix } = {} } = config;
    const isNeeded = cluster !== undefined && prefix !== undefined;
    this.directory = isNeeded ? new EtcdDirectory(cluster, prefix, tools) : null;
  }

  readonly moreEndpoints = (): readonly string[] => this.directory?.values() ?? [];

  /** What starts behind our own journal. */
  get stores(): readonly Service[] {
    const log = this.sessions?.log ?? null;
    return [log, this.#replicas, this.directory].filter((each) => each !== null);
  }

  /** What starts behind the broker. */
  get feeds(): readonly Service[] {
    return this.sessions?.services ?? [];
  }

  /** Sessions as the site's; null without other gateways. */
  get sessions(): SessionWiring | null {
    return this.subscribers.sessions;
  }

  /** Null without `cluster.peer`. */
  replication(journalOptions: LevelJournalOptions): Replication | null {
    const { cluster, gateway, store } = this.#config;
    if (cluster?.peer === undefined) return null;
    const { clock, log, random } = this.#tools;
    const { peer: limits } = cluster;
    const replicas = new LevelReplicas(
      { ...journalOptions, bytesMax: limits.replicaBytesMax },
      { clock, log: log.part("replica"), random },
    );
    this.#replicas = replicas;
    const isSafe = store.durability === "safe";
    const lanes = Object.entries(journalOptions.lanes ?? {}).map(([lane, { cursor }]) => [
      cursor,
      Number(lane),
    ]);
    const replication = new Replication(
      {
        limits,
        isSafe,
        whenAlone: limits.whenAlone,
        format: BLOCK_VERSION,
        lanes: Object.fromEntries(lanes),
      },
      {
        clock,
        log,
        random,
        identity: { gateway: gateway.id, site: gateway.site },
        journal: this.#journal,
        replicas,
        network: tlsNetwork(limits),
        codec: zlibCodec,
        site: siteView(this.#site),
        found: (replica, origin) => {
          const one = replicas.all().find(({ id }) => id === replica.id);
          const carried = one === undefined ? null : this.uplink(one, origin);
          if (carried !== null) void this.uplinks.add(replica.id, carried);
          if (one !== undefined) sessions.feeds.add(one, origin);
        },
        gone: async (journal) => {
          await this.uplinks.remove(journal);
          await sessions.feeds.remove(journal);
        },
        subscribers: this.subscribers,
      },
    );
    const sessions = new SessionWiring({
      clock,
      log,
      gateway: gateway.id,
      isSafe,
      limits,
      journal: this.#journal,
      site: this.#site,
      replication,
      take: (...message) => this.subscribers.takeKept(...message),
    });
    this.subscribers.sessions = sessions;
    return replication;
  }

  /**
   * The uplink of a journal: our own, or a copy of another gateway's, whose messages keep their identity. Each has a
   * connection of its own. With replication only the primary sends, its own and all others'.
   */
  uplink(journal: StoreJournal, gateway: string): Uplink | null {
    const { uplink: configured, gateway: self } = this.#config;
    if (configured === undefined) return null;
    const { clock, log, random } = this.#tools;
    const identity = { gateway, site: self.site };
    const isOwn = journal === this.#journal;
    const permit = this.#replicas === null ? undefined : permitOf(this.#site);
    const clientId = configured.clientId ?? `${self.site}-${self.id}`;
    const options = isOwn
      ? configured
      : { ...configured, clientId: `${clientId}-${journal.id.slice(0, 8)}` };
    const epoch = () => permit?.epoch() ?? null;
    return uplink(options, {
      clock,
      log,
      random,
      journal: isOwn ? journal : sourceOf(journal, this.#journal),
      cloud: mqttCloud(options, { clock, identity, journal, epoch }),
      route: this.routes.of(identity),
      identity,
      moreEndpoints: this.moreEndpoints,
      ...(permit === undefined ? {} : { permit }),
    });
  }
}

/** The site, as replication sees it. */
function siteView(site: Site) {
  return {
    members: site.members,
    epoch: () => {
      const { epoch, primary } = site.status();
      return Math.max(epoch ?? 0, primary?.epoch ?? 0);
    },
    outdated: (epoch: number) => site.outdated(epoch),
    lost: (gateway: string) => site.lost(gateway),
    told: (gateway: string, note: Parameters<Site["told"]>[1]) => site.told(gateway, note),
    acts: () => site.role.mayUplink(),
  };
}

/** Who may carry the messages of the site to the cloud. */
function permitOf({ role }: Site): Permit {
  return {
    may: () => role.mayUplink(),
    epoch: () => {
      const now = role.get();
      return "epoch" in now ? now.epoch : null;
    },
    follow: (changed) => role.follow(changed),
  };
}

/** A copy as the uplink's source. Nothing is written into it: what the uplink itself has to keep goes into our own journal. */
function sourceOf(copy: StoreJournal, own: StoreJournal): Source {
  return {
    id: copy.id,
    get durableSeq() {
      return copy.durableSeq;
    },
    get laneTotals() {
      return copy.laneTotals;
    },
    read: copy.read.bind(copy),
    onCommit: copy.onCommit.bind(copy),
    cursor: copy.cursor.bind(copy),
    append: own.append.bind(own),
    rows: (space) => own.rows(`${space}/${copy.id}`),
  };
}
