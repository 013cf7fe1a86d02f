import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Arrival, CloudReceiver } from "./cloud-receiver.ts";
import { type EtcdServers, startEtcd } from "./etcd.ts";
import { freePort } from "./free-port.ts";
import { type Mosquitto, startMosquitto } from "./mosquitto.ts";
import { FaultyProxy } from "./proxy.ts";
import { Sender } from "./sender.ts";
import { SiteGateway, type SiteOptions } from "./site-gateway.ts";
import { until } from "./until.ts";

const SETTLE_MS_MAX = 60_000;

export interface BookedSiteOptions {
  /** What is special about each gateway, by its id. */
  readonly gateways: Readonly<Record<string, Partial<SiteOptions>>>;
  readonly etcdNodes?: number;
  readonly sendersEach?: number;
  readonly perSecond?: number;
  readonly peer?: Readonly<Record<string, unknown>>;
  /** Whether there are proxies on the ways between the gateways and to the cloud too. */
  readonly isProxied?: boolean;
}

/** Proxies on the ways of one gateway. */
interface Ways {
  readonly etcd: readonly FaultyProxy[];
  /** On the way of the others to it, and where it listens. */
  readonly peers: { readonly proxy: FaultyProxy; readonly port: number } | null;
  readonly cloud: FaultyProxy | null;
}

/** A whole site of real programs, with a real etcd, senders at each gateway, a cloud, and the books of both sides. */
export class BookedSite {
  readonly etcd: EtcdServers;
  readonly cloud: Mosquitto;
  readonly receiver: CloudReceiver;
  readonly gateways: readonly SiteGateway[];
  readonly senders: Sender[] = [];
  readonly #ways: ReadonlyMap<string, Ways>;
  /** Gateways that have begun again with an empty store: between what is in the old journal and in the new one there is no order. */
  readonly reborn = new Set<string>();
  readonly #options: BookedSiteOptions;

  private constructor(
    options: BookedSiteOptions,
    parts: Pick<BookedSite, "etcd" | "cloud" | "receiver"> & { readonly directory: string },
    ways: ReadonlyMap<string, Ways>,
  ) {
    const { etcd, cloud, receiver, directory } = parts;
    this.#options = options;
    this.etcd = etcd;
    this.cloud = cloud;
    this.receiver = receiver;
    const store = { durability: "safe" };
    this.#ways = ways;
    this.gateways = Object.entries(options.gateways).map(([id, special]) => {
      const { etcd: etcdWays = [], peers = null, cloud: cloudWay } = ways.get(id) ?? {};
      const endpoints = etcdWays.map(({ port }) => `http://127.0.0.1:${port}`);
      const common = { directory, endpoints, cloudPort: cloudWay?.port ?? cloud.port, store };
      const at = peers && { port: peers.port, address: `127.0.0.1:${peers.proxy.port}` };
      const peer = { ...options.peer, ...special.peer, ...at };
      return new SiteGateway({ ...common, ...special, peer }, id);
    });
  }

  /** The ways of a gateway to the nodes of etcd. */
  etcdWays({ id }: SiteGateway): readonly FaultyProxy[] {
    return this.#ways.get(id)?.etcd ?? [];
  }

  /** The way of the others to that gateway; its own ways to them are theirs. None without `isProxied`. */
  peerWays({ id }: SiteGateway): readonly FaultyProxy[] {
    const { peers = null } = this.#ways.get(id) ?? {};
    return peers === null ? [] : [peers.proxy];
  }

  /** Of two gateways: all ways of that one, to etcd, to the cloud, and between the two. */
  waysOf(gateway: SiteGateway): readonly FaultyProxy[] {
    const { cloud = null } = this.#ways.get(gateway.id) ?? {};
    const between = this.gateways.flatMap((one) => this.peerWays(one));
    return [...this.etcdWays(gateway), ...between, ...(cloud === null ? [] : [cloud])];
  }

  /** Runs the site until each gateway has all others in sync and one is primary; ends it whatever `use` does. */
  static async run(
    options: BookedSiteOptions,
    use: (site: BookedSite) => Promise<void>,
  ): Promise<void> {
    const directory = await mkdtemp(join(tmpdir(), "fieldgate-booked-"));
    const etcd = await startEtcd(options.etcdNodes);
    const cloud = await startMosquitto();
    const receiver = await CloudReceiver.start({ port: cloud.port });
    const ways = new Map<string, Ways>();
    for (const id of Object.keys(options.gateways)) {
      const proxies = etcd.nodes.map(({ port }) => FaultyProxy.start(() => port));
      const etcdWays = await Promise.all(proxies);
      ways.set(id, { etcd: etcdWays, ...(await moreWays(options.isProxied ?? false, cloud)) });
    }
    const site = new BookedSite(options, { etcd, cloud, receiver, directory }, ways);
    try {
      for (const gateway of site.gateways) await gateway.start();
      await site.inSync(site.gateways);
      await site.primary(site.gateways);
      site.#startSenders();
      await use(site);
    } finally {
      for (const sender of site.senders) sender.stop();
      for (const { program } of site.gateways) program.thaw();
      for (const { program } of site.gateways) await program.kill();
      for (const { etcd: etcdWays, peers, cloud: cloudWay } of ways.values()) {
        for (const way of [...etcdWays, peers?.proxy, cloudWay]) await way?.stop();
      }
      await receiver.stop();
      await cloud.end();
      await etcd.end();
      await rm(directory, { recursive: true, force: true });
    }
  }

  gateway(id: string): SiteGateway {
    const found = this.gateways.find((gateway) => gateway.id === id);
    if (found === undefined) throw new Error(`there is no gateway ${id}`);
    return found;
  }

  /** Who of these is primary, waited for. */
  async primary(among: readonly SiteGateway[]): Promise<SiteGateway> {
    let primary: SiteGateway | undefined;
    await until(
      "there is a primary",
      async () => {
        const roles = await Promise.all(among.map((gateway) => gateway.role()));
        primary = among[roles.indexOf("primary")];
        return primary !== undefined;
      },
      SETTLE_MS_MAX,
    );
    return primary as SiteGateway;
  }

  async inSync(among: readonly SiteGateway[]): Promise<void> {
    await until(
      "each has all others in sync",
      async () => {
        const all = await Promise.all(among.map((gateway) => gateway.status()));
        return all.every(({ replication }) => replication?.inSync.length === among.length - 1);
      },
      SETTLE_MS_MAX,
    );
  }

  /** Each sender has so many more messages acknowledged. */
  async acknowledged(more: number, senders: readonly Sender[] = this.senders): Promise<void> {
    const wanted = senders.map((sender) => [sender, sender.acked + more] as const);
    await until(
      `${more} more are acknowledged`,
      () => wanted.every(([{ acked }, count]) => acked >= count),
      SETTLE_MS_MAX,
    );
  }

  of(gateway: SiteGateway): readonly Sender[] {
    return this.senders.filter(({ id }) => id.startsWith(`${gateway.id}-`));
  }

  /**
   * Senders of gateways that are gone stop; the others finish. In the end every acknowledged message is in the cloud's books,
   * once for each time that it was sent, and first arrivals are in order.
   * @returns how many were acknowledged
   */
  async balance(gone: readonly SiteGateway[] = []): Promise<number> {
    const orphans = gone.flatMap((gateway) => this.of(gateway));
    for (const sender of this.senders) {
      if (orphans.includes(sender)) sender.stop();
      else sender.finish();
    }
    await until(
      "the clients that are left are served",
      () => this.senders.every((sender) => orphans.includes(sender) || sender.done),
      SETTLE_MS_MAX,
    );
    await until(
      "all is in the cloud",
      () => {
        const books = this.#books();
        return this.senders.every(({ id, acked }) => (books.get(id)?.size ?? 0) >= acked);
      },
      SETTLE_MS_MAX,
    ).catch((error: Error) => {
      const books = this.#books();
      const lines = this.senders.map(
        ({ id, acked }) => `${id}: ${books.get(id)?.size} of ${acked}`,
      );
      throw new Error(`${error.message}: ${lines.join(", ")}`);
    });
    await this.receiver.settled();
    const books = this.#books();
    for (const sender of this.senders) {
      const book = books.get(sender.id) ?? new Map<number, number>();
      checkComplete(sender, book);
      if (![...this.reborn].some((id) => sender.id.startsWith(`${id}-`))) checkOrder(sender, book);
    }
    return this.senders.reduce((sum, { acked }) => sum + acked, 0);
  }

  #startSenders(): void {
    const { sendersEach = 2, perSecond = 300 } = this.#options;
    for (const { id, port } of this.gateways) {
      for (let n = 1; n <= sendersEach; n++) {
        const sender = new Sender({ id: `${id}-${n}`, port, windowMax: 50, perSecond });
        this.senders.push(sender);
        sender.start();
      }
    }
  }

  /** By sender: how often each of its messages has an identity in the cloud, in the order of first arrivals. */
  #books(): Map<string, Map<number, number>> {
    const books = new Map<string, Map<number, number>>();
    for (const { payload } of this.receiver.first as readonly Arrival[]) {
      const [id = "", n] = payload.split("/");
      const book = books.get(id) ?? new Map<number, number>();
      books.set(id, book.set(Number(n), (book.get(Number(n)) ?? 0) + 1));
    }
    return books;
  }
}

async function moreWays(
  isProxied: boolean,
  { port: cloudPort }: Mosquitto,
): Promise<Omit<Ways, "etcd">> {
  if (!isProxied) return { peers: null, cloud: null };
  const port = await freePort();
  const proxy = await FaultyProxy.start(() => port);
  return { peers: { proxy, port }, cloud: await FaultyProxy.start(() => cloudPort) };
}

function checkComplete({ id, acked, repeated }: Sender, book: ReadonlyMap<number, number>): void {
  for (let n = 0; n < acked; n++) {
    const times = book.get(n) ?? 0;
    assert.ok(times > 0, `${id}: ${n} was acknowledged and is not in the cloud`);
    assert.ok(
      times === 1 || repeated.has(n),
      `${id}: ${n} was sent once and is there ${times} times`,
    );
  }
}

function checkOrder({ id }: Sender, book: ReadonlyMap<number, number>): void {
  const numbers = [...book.keys()];
  assert.deepEqual(
    numbers,
    numbers.toSorted((a, b) => a - b),
    `${id}: out of order`,
  );
}
