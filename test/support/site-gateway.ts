import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/base/system-clock.ts";
import { ask } from "../../src/control/control-client.ts";
import type { GatewayStatus } from "../../src/gateway-status.ts";
import { enrollGateway, initSite } from "../../src/replica/file-certificates.ts";
import { type EtcdServers, startEtcd } from "./etcd.ts";
import { freePort } from "./free-port.ts";
import { Program } from "./program.ts";
import { until } from "./until.ts";

/** Options of the gateways of one site, for tests of the real program. */
export interface SiteOptions {
  readonly directory: string;
  readonly endpoints: readonly string[];
  readonly cloudPort?: number;
  readonly store?: Readonly<Record<string, unknown>>;
  /** More keys of `cluster`. */
  readonly cluster?: Readonly<Record<string, unknown>>;
  readonly peer?: Readonly<Record<string, unknown>>;
  readonly uplink?: Readonly<Record<string, unknown>>;
  readonly devices?: readonly Readonly<Record<string, unknown>>[];
}

interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A real gateway of a site, with a certificate of the site's authority, which is made when it is not there. */
export class SiteGateway {
  readonly id: string;
  readonly program: Program;
  port = 0;
  readonly #options: SiteOptions;
  readonly #file: string;

  constructor(options: SiteOptions, id: string) {
    this.id = id;
    this.#options = options;
    this.#file = join(options.directory, `${id}.yaml`);
    this.program = new Program(this.#file);
  }

  async start(): Promise<void> {
    const { directory, endpoints, cloudPort, store, cluster, peer, uplink } = this.#options;
    const { devices = [] } = this.#options;
    const tls = await certificates(directory, this.id);
    if (this.port === 0) this.port = await freePort();
    const config = {
      gateway: { id: this.id, site: "plant-7" },
      store: { path: this.store, ...store },
      listeners: [{ name: "lan", port: this.port }],
      cluster: { endpoints, ...cluster, peer: { host: "127.0.0.1", port: 0, ...tls, ...peer } },
      control: { socket: this.#socket },
      devices,
      ...(cloudPort === undefined
        ? {}
        : {
            uplink: {
              endpoints: [`mqtt://127.0.0.1:${cloudPort}`],
              rules: [{ match: "#", lane: "telemetry" }],
              backoffFirstMs: 50,
              backoffMaxMs: 200,
              ...uplink,
            },
          }),
    };
    await writeFile(this.#file, JSON.stringify(config));
    this.port = await this.program.start();
  }

  get store(): string {
    return join(this.#options.directory, this.id);
  }

  /** Of a gateway of the same site, made when they are not there. */
  certificates(id: string) {
    return certificates(this.#options.directory, id);
  }

  async status(): Promise<GatewayStatus> {
    return (await ask(this.#socket, "status")) as GatewayStatus;
  }

  /** How many messages wait there for a client's session; null when it has none there. */
  async waiting(clientId: string): Promise<number | null> {
    const { clients } = (await ask(this.#socket, "clients")) as {
      readonly clients: readonly { readonly clientId: string; readonly queued: number }[];
    };
    return clients.find((one) => one.clientId === clientId)?.queued ?? null;
  }

  async role(): Promise<string> {
    return (await this.status()).cluster.role;
  }

  /** `fieldgate …` about this gateway, in a process of its own. */
  command(...words: readonly string[]): Promise<Said> {
    const at = ["--config", this.#file, "--socket", this.#socket];
    const argv = ["dist/fieldgate.js", ...words, ...at];
    return new Promise((resolve) => {
      execFile(process.execPath, argv, (error, out, err) => {
        resolve({ code: error === null ? 0 : Number(error.code), out, err });
      });
    });
  }

  /** SIGKILL, and its disk is gone for ever. */
  async lose(): Promise<void> {
    await this.program.kill();
    await rm(this.store, { recursive: true, force: true });
  }

  get #socket(): string {
    return join(this.#options.directory, `${this.id}.sock`);
  }
}

/** Two gateways that have copies of each other's journals, and their etcd; ended and removed when `use` is done with them. */
export async function withTwoGateways(
  use: (a: SiteGateway, b: SiteGateway, etcd: EtcdServers) => Promise<void>,
  cluster: SiteOptions["cluster"] = {},
  more: Pick<SiteOptions, "devices"> = {},
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-two-"));
  const etcd = await startEtcd();
  const options = { directory, endpoints: etcd.endpoints, cluster, ...more };
  const [a, b] = [new SiteGateway(options, "gw-a"), new SiteGateway(options, "gw-b")];
  try {
    for (const gateway of [a, b]) await gateway.start();
    await inSync(a, b);
    await use(a, b, etcd);
  } finally {
    for (const { program } of [a, b]) await program.kill();
    await etcd.end();
    await rm(directory, { recursive: true, force: true });
  }
}

/** Each has the other one for a peer that has what it acknowledges. */
export async function inSync(a: SiteGateway, b: SiteGateway): Promise<void> {
  await until("in sync", async () => {
    const all = await Promise.all([a.status(), b.status()]);
    return all.every(({ replication }) => replication?.inSync.length === 1);
  });
}

async function certificates(directory: string, id: string) {
  const tls = join(directory, "tls");
  await mkdir(tls, { recursive: true });
  await initSite("plant-7", tls, systemClock).catch(() => undefined);
  await enrollGateway(id, tls, systemClock).catch(() => undefined);
  return {
    caFile: join(tls, "site-ca.crt"),
    certFile: join(tls, `${id}.crt`),
    keyFile: join(tls, `${id}.key`),
  };
}
