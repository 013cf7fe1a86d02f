import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Log, silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { Watched } from "../../src/base/watchable.ts";
import { type MemoryJournal, memoryJournal } from "../../src/journal/memory-journal.ts";
import { enrollGateway, initSite } from "../../src/replica/file-certificates.ts";
import type { Peer, PeerNetwork } from "../../src/replica/ports.ts";
import { Replication } from "../../src/replica/replication.ts";
import { tlsNetwork } from "../../src/replica/tls-network.ts";
import { zlibCodec } from "../../src/replica/zlib-codec.ts";
import { until } from "./until.ts";

const NEVER = new AbortController().signal;

export interface TestPeerOptions {
  readonly site?: string;
  readonly format?: number;
  readonly whenAlone?: "accept" | "reject";
  readonly backlogBytesMax?: number;
  readonly replicaBytesMax?: number;
  readonly replicasMax?: number;
  /** Of whose authority its certificate is; by default the site's. */
  readonly authority?: string;
  /** The id in its certificate; by default its own. */
  readonly certified?: string;
  /** Of its network. */
  readonly connectTimeoutMs?: number;
  readonly connectionsPerAddressMax?: number;
  readonly log?: Log;
}

/** Gateways of a site as far as replication goes, over real TLS, with journals in memory. */
export class TestPeers {
  readonly members = new Watched<readonly Peer[]>([]);
  readonly #open: TestPeer[] = [];
  #directory = "";

  async start(id: string, options: TestPeerOptions = {}): Promise<TestPeer> {
    if (this.#directory === "") this.#directory = await mkdtemp(join(tmpdir(), "fieldgate-peers-"));
    const peer = new TestPeer(id, options, await this.#network(id, options), this.members);
    this.#open.push(peer);
    await peer.start();
    await until("it listens", () => peer.replication.address !== "");
    return peer;
  }

  /** The network that a gateway has which is given these certificates. */
  async #network(id: string, options: TestPeerOptions): Promise<PeerNetwork> {
    const { authority = "site", certified = id, connectTimeoutMs = 2000 } = options;
    const { connectionsPerAddressMax = 8 } = options;
    const directory = join(this.#directory, authority);
    await initSite("plant-7", directory, systemClock).catch(() => undefined);
    await enrollGateway(certified, directory, systemClock).catch(() => undefined);
    const files = {
      caFile: join(directory, "site-ca.crt"),
      certFile: join(directory, `${certified}.crt`),
      keyFile: join(directory, `${certified}.key`),
    };
    const bounds = {
      frameBytesMax: 2 ** 20,
      connectTimeoutMs,
      peersMax: 8,
      connectionsPerAddressMax,
    };
    return tlsNetwork({ host: "127.0.0.1", port: 0, ...files, ...bounds });
  }

  async end(): Promise<void> {
    for (const peer of this.#open) await peer.stop();
    if (this.#directory !== "") await rm(this.#directory, { recursive: true, force: true });
  }
}

export class TestPeer {
  readonly id: string;
  readonly journal: MemoryJournal;
  readonly replicas = new Map<string, MemoryJournal>();
  readonly replication: Replication;
  readonly network: PeerNetwork;
  /** Peers whose process was said to have ended. */
  readonly ended: string[] = [];
  /** What peers have told of hand-overs. */
  readonly notes: unknown[] = [];
  readonly #members: Watched<readonly Peer[]>;

  constructor(
    id: string,
    options: TestPeerOptions,
    network: PeerNetwork,
    members: Watched<readonly Peer[]>,
  ) {
    const tools = { clock: systemClock, log: silentLog, random: Math.random };
    this.id = id;
    this.network = network;
    this.#members = members;
    this.journal = memoryJournal({ trimBytesMin: 4096, tidyEveryMs: 50 }, tools);
    this.replication = new Replication(
      {
        limits: {
          connectTimeoutMs: 2000,
          silenceMsMax: 500,
          lagMsMax: 400,
          backoffFirstMs: 20,
          backoffMaxMs: 100,
          windowBytesMax: 2 ** 20,
          frameBytesMax: 2 ** 20,
          backlogBytesMax: options.backlogBytesMax ?? 2 ** 28,
          peersMax: 8,
          replicasMax: options.replicasMax ?? 16,
          tellEveryMs: 200,
        },
        isSafe: true,
        whenAlone: options.whenAlone ?? "accept",
        format: options.format ?? 1,
        lanes: { "uplink/telemetry": 1 },
      },
      {
        ...tools,
        log: options.log ?? silentLog,
        identity: { gateway: id, site: options.site ?? "plant-7" },
        journal: this.journal,
        replicas: {
          all: () => [...this.replicas.values()],
          open: async (journal) => {
            const bytesMax = options.replicaBytesMax ?? 2 ** 28;
            const bounds = { id: journal, bytesMax, trimBytesMin: 4096, tidyEveryMs: 50 };
            const one = this.replicas.get(journal) ?? memoryJournal(bounds, tools);
            if (!this.replicas.has(journal)) await one.start(NEVER);
            this.replicas.set(journal, one);
            return one;
          },
          remove: async (journal) => {
            await this.replicas.get(journal)?.stop();
            this.replicas.delete(journal);
          },
        },
        network,
        codec: zlibCodec,
        site: {
          members,
          epoch: () => 1,
          outdated: () => undefined,
          lost: (id) => () => this.ended.push(id),
          told: (gateway, note) => this.notes.push({ gateway, ...note }),
          acts: () => false,
        },
        found: () => undefined,
        gone: async () => undefined,
      },
    );
  }

  async start(): Promise<void> {
    await this.journal.start(NEVER);
    await this.replication.start();
  }

  /** Registers at the site, so that the others connect to it. */
  register(): void {
    const { id, journal } = this;
    const self = { id, journal: journal.id, address: this.replication.address };
    this.#members.set([...this.#members.get().filter((one) => one.id !== id), self]);
  }

  get status() {
    return this.replication.status();
  }

  /** How far its copy of that one's journal goes. */
  has(other: TestPeer): number {
    return this.replicas.get(other.journal.id)?.durableSeq ?? 0;
  }

  async stop(): Promise<void> {
    await this.replication.stop();
    for (const replica of this.replicas.values()) await replica.stop();
    await this.journal.stop();
  }
}
