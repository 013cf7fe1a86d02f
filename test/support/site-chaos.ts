import { rm } from "node:fs/promises";
import type { EtcdServers } from "./etcd.ts";
import type { FaultyProxy } from "./proxy.ts";
import { seededRandom } from "./random.ts";
import type { BookedSite } from "./site-books.ts";
import type { SiteGateway } from "./site-gateway.ts";
import { until } from "./until.ts";

/** One thing that happens to a site; what is returned makes it good again. */
type Misfortune = (site: BookedSite, tools: ChaosTools) => Promise<() => Promise<void>>;

interface ChaosTools {
  readonly random: () => number;
  readonly primary: () => Promise<SiteGateway>;
  readonly pick: <T>(from: readonly T[]) => T;
}

const HAND_OVER_MS_MAX = 60_000;
const SETTLE_MS_MAX = 60_000;
/** Longer than a primary's lease: see "Limits" in docs/decisions/0006-election.md. */
const RESTORE_MS = 3500;

export const MISFORTUNES = {
  "primary killed": async (_, { primary }) => killed(await primary()),
  "gateway killed": async ({ gateways }, { pick }) => killed(pick(gateways)),
  "primary frozen": async (_, { primary }) => frozen(await primary()),
  "gateway frozen": async ({ gateways }, { pick }) => frozen(pick(gateways)),
  "primary's way to etcd blackholed": async (site, { primary }) =>
    blackholed(site, await primary()),
  "primary asked to stop": async (_, { primary }) => {
    const gateway = await primary();
    await gateway.program.terminate();
    return () => gateway.start();
  },
  "etcd node killed": async ({ etcd: { nodes } }, { pick }) => {
    const node = pick(nodes);
    await node.kill();
    return () => node.start();
  },
  "etcd node hung": async ({ etcd: { nodes } }, { pick }) => {
    const node = pick(nodes);
    node.pause();
    return async () => node.resume();
  },
  "all of etcd killed": async ({ etcd: { nodes } }) => {
    await Promise.all(nodes.map((node) => node.kill()));
    return async () => void (await Promise.all(nodes.map((node) => node.start())));
  },
  "etcd wiped": async ({ etcd }) => {
    await etcd.wipe();
    return async () => undefined;
  },
  "etcd restored from before a hand-over": async ({ etcd, gateways }, { primary }) => {
    const restore = await etcd.keep();
    const hands = async () => (await (await primary()).command("site", "hand-over")).code === 0;
    await until("the primary hands over", hands, HAND_OVER_MS_MAX);
    const { epoch } = (await (await primary()).status()).cluster;
    return async () => {
      await restore(RESTORE_MS);
      await until(`an epoch above ${epoch}`, () => hasAbove(gateways, epoch ?? 0), SETTLE_MS_MAX);
    };
  },
  "etcd compacted": async ({ etcd }) => {
    await compact(etcd);
    return async () => undefined;
  },
  "ways between all gateways blackholed": async (site) => swallowed(between(site)),
  "ways to the primary blackholed": async (site, { primary }) =>
    swallowed(site.peerWays(await primary())),
  "primary deaf or mute": async (site, { primary, pick }) => {
    const gateway = await primary();
    return oneWay(site, gateway, pick(["deaf", "mute"] as const));
  },
  "primary cut off from etcd and the others": async (site, { primary }) => {
    const gateway = await primary();
    return swallowed([...site.etcdWays(gateway), ...between(site)]);
  },
  "connections between gateways cut": async (site) => {
    for (const proxy of between(site)) proxy.cut();
    return async () => undefined;
  },
  "primary lost with its store": async (site, { primary }) => lost(site, await primary()),
} satisfies Record<string, Misfortune>;

export type MisfortuneName = keyof typeof MISFORTUNES;

/** Those that want proxies between the gateways. */
const BETWEEN: readonly MisfortuneName[] = [
  "ways between all gateways blackholed",
  "ways to the primary blackholed",
  "primary deaf or mute",
  "primary cut off from etcd and the others",
  "connections between gateways cut",
];

/** The misfortunes of a run, in an order drawn from the seed: each happens once before one happens twice. */
export function scheduleOf(
  seed: number,
  count: number,
  isProxied: boolean,
): readonly MisfortuneName[] {
  const random = seededRandom(seed);
  const all = Object.keys(MISFORTUNES) as MisfortuneName[];
  const names = isProxied ? all : all.filter((name) => !BETWEEN.includes(name));
  const shuffled = names
    .map((name) => [random(), name] as const)
    .toSorted(([a], [b]) => a - b)
    .map(([, name]) => name);
  return Array.from({ length: count }, (_, n) => shuffled[n % shuffled.length] as MisfortuneName);
}

/**
 * Lets them happen one after the other, each left to itself for a while, and then made good. The loss of a
 * store needs a site that is whole before it: what only a disk that is away has cannot be asked for.
 */
export async function suffer(
  site: BookedSite,
  names: readonly MisfortuneName[],
  seed: number,
  leftMsMax: number,
): Promise<void> {
  const random = seededRandom(seed + 1);
  const tools: ChaosTools = {
    random,
    primary: () => site.primary(site.gateways),
    pick: (from) => from[Math.floor(random() * from.length)] as never,
  };
  for (const name of names) {
    await site.inSync(site.gateways);
    await site.acknowledged(20);
    const misfortune: Misfortune = MISFORTUNES[name];
    const repair = await misfortune(site, tools);
    await new Promise((resolve) => setTimeout(resolve, 200 + random() * leftMsMax));
    await repair();
  }
  await site.inSync(site.gateways);
  await site.acknowledged(20);
}

/** Somebody acts under a higher epoch than that, and knows that etcd went back. */
async function hasAbove(gateways: readonly SiteGateway[], epoch: number): Promise<boolean> {
  const all = await Promise.all(gateways.map((gateway) => gateway.status()));
  return all.some(
    ({ cluster }) => cluster.mayAct && (cluster.epoch ?? 0) > epoch && cluster.etcdWentBack > 0,
  );
}

async function killed(gateway: SiteGateway): Promise<() => Promise<void>> {
  await gateway.program.kill();
  return () => gateway.start();
}

async function frozen(gateway: SiteGateway): Promise<() => Promise<void>> {
  gateway.program.freeze();
  return async () => gateway.program.thaw();
}

async function blackholed(site: BookedSite, gateway: SiteGateway): Promise<() => Promise<void>> {
  return swallowed(site.etcdWays(gateway));
}

function swallowed(proxies: readonly FaultyProxy[]): () => Promise<void> {
  for (const proxy of proxies) proxy.way = "blackhole";
  return async () => {
    for (const proxy of proxies) proxy.way = "clear";
  };
}

/** deaf: nothing of etcd and of the others reaches it, and what it sends arrives; mute: the other way round. */
function oneWay(site: BookedSite, gateway: SiteGateway, is: "deaf" | "mute"): () => Promise<void> {
  const [toIt, fromIt] = is === "deaf" ? (["up", "down"] as const) : (["down", "up"] as const);
  const [peers, etcd] = [site.peerWays(gateway), site.etcdWays(gateway)];
  for (const proxy of peers) proxy.way = { swallows: toIt };
  for (const proxy of etcd) proxy.way = { swallows: fromIt };
  return async () => {
    for (const proxy of [...peers, ...etcd]) proxy.way = "clear";
  };
}

function between(site: BookedSite): readonly FaultyProxy[] {
  return site.gateways.flatMap((gateway) => site.peerWays(gateway));
}

async function lost(site: BookedSite, gateway: SiteGateway): Promise<() => Promise<void>> {
  await gateway.program.kill();
  await rm(gateway.store, { recursive: true, force: true });
  site.reborn.add(gateway.id);
  return () => gateway.start();
}

/** All revisions but the present one are forgotten: watches that are behind end. */
async function compact({ endpoints }: EtcdServers): Promise<void> {
  const call = async (path: string, body: object) => {
    const answer = await fetch(`${endpoints[0]}/v3/kv/${path}`, {
      method: "POST",
      body: JSON.stringify(body),
    });
    return (await answer.json()) as { readonly header?: { readonly revision: string } };
  };
  const { header } = await call("range", { key: Buffer.from("x").toString("base64") });
  if (header === undefined) throw new Error("etcd does not say its revision");
  await call("compaction", { revision: header.revision });
}
