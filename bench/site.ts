/**
 * How fast the primary of a site changes, and whether two ever act at once: two gateways (their part of the site only, a
 * process each) on three members of a real etcd, on loopback. Times are until the new primary's first act: from the old one's
 * last act when that is planned, else from the fault. Both ask every 2 ms whether they may act.
 *
 *   node --import tsx bench/site.ts [--rounds 10] [--ttl 3] [--only hand-over,stop,crash,host,hang]
 *
 * hand-over: by command; stop: the primary is asked to stop; crash: SIGKILL, nothing but the lease tells; host: all its ways
 * to etcd become black holes; hang: the primary is stopped (SIGSTOP) until it is replaced, then goes on.
 */
import { parseArgs } from "node:util";
import { type EtcdServers, startEtcd } from "../test/support/etcd.ts";
import { FaultyProxy } from "../test/support/proxy.ts";
import { type SiteProcess, SiteProcesses } from "../test/support/site-process.ts";
import { until } from "../test/support/until.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "10" },
    ttl: { type: "string", default: "3" },
    only: { type: "string", default: "hand-over,stop,crash,host,hang" },
  },
});
const TAKE_OVER_MS_MAX = 60_000;

/** A gateway, and the proxies of its own on its way to etcd. */
interface Gateway {
  process: SiteProcess;
  readonly proxies: readonly FaultyProxy[];
}

type Fault = (primary: Gateway) => Promise<(() => Promise<void>) | undefined>;

const site = new SiteProcesses({
  registrationTtlSeconds: 10,
  primaryTtlSeconds: Number(values.ttl),
});

const PLANNED = new Set(["hand-over", "stop"]);

const FAULTS: Record<string, Fault> = {
  "hand-over": async (primary) => {
    await primary.process.handOver();
    return undefined;
  },
  stop: async (primary) => {
    await primary.process.stop();
    return () => restart(primary);
  },
  crash: async (primary) => {
    await primary.process.kill();
    return () => restart(primary);
  },
  host: async (primary) => {
    for (const proxy of primary.proxies) proxy.way = "blackhole";
    return async () => {
      for (const proxy of primary.proxies) proxy.way = "clear";
    };
  },
  hang: async (primary) => {
    primary.process.pause();
    return async () => primary.process.resume();
  },
};

async function main(): Promise<void> {
  const etcd = await startEtcd(3);
  const gateways = await Promise.all(["gw-a", "gw-b"].map((id) => startGateway(id, etcd)));
  try {
    await until("someone acts", () => site.reigns.length > 0, TAKE_OVER_MS_MAX);
    for (const name of values.only.split(",")) {
      const fault = FAULTS[name];
      if (fault === undefined) throw new Error(`there is no fault ${name}`);
      const gaps: number[] = [];
      for (let round = 0; round < Number(values.rounds); round++) {
        gaps.push(await measure(gateways, fault, PLANNED.has(name)));
      }
      console.log(`${name}: ${summary(gaps)} (n=${gaps.length}, TTL ${values.ttl} s)`);
    }
    console.log(`two acting at once: ${site.overlapMs} ms, over ${site.reigns.length} primaries`);
  } finally {
    await site.end();
    for (const { proxies } of gateways) await Promise.all(proxies.map((proxy) => proxy.stop()));
    await etcd.end();
  }
}

async function measure(
  gateways: readonly Gateway[],
  fault: Fault,
  isPlanned: boolean,
): Promise<number> {
  await Promise.all(
    gateways.map(({ process }) =>
      process.untilStatus("all is well", ({ etcd, members, standing, primary }) => {
        const isComplete = [members.length, standing.length].every((n) => n === gateways.length);
        return etcd === "answers" && isComplete && primary !== null;
      }),
    ),
  );
  const before = site.lastReign;
  const primary = gateways.find(({ process }) => process.id === before.id);
  if (primary === undefined) throw new Error(`who is ${before.id}?`);
  const faultMs = Number(process.hrtime.bigint()) / 1e6;
  const repair = await fault(primary);
  await until("the next one acts", () => site.after(before) !== undefined, TAKE_OVER_MS_MAX);
  const fromMs = isPlanned ? before.lastMs : faultMs;
  const gapMs = (site.after(before)?.firstMs ?? Number.NaN) - fromMs;
  await repair?.();
  return gapMs;
}

async function startGateway(id: string, etcd: EtcdServers): Promise<Gateway> {
  const ports = etcd.nodes.map(({ port }) => port);
  const proxies = await Promise.all(ports.map((port) => FaultyProxy.start(() => port)));
  return { proxies, process: await startProcess(id, proxies) };
}

async function restart(gateway: Gateway): Promise<void> {
  gateway.process = await startProcess(gateway.process.id, gateway.proxies);
}

function startProcess(id: string, proxies: readonly FaultyProxy[]): Promise<SiteProcess> {
  return site.start(
    id,
    proxies.map(({ port }) => `http://127.0.0.1:${port}`),
  );
}

function summary(gaps: readonly number[]): string {
  const sorted = gaps.toSorted((a, b) => a - b);
  const at = (part: number) => sorted[Math.floor(part * (sorted.length - 1))]?.toFixed(0);
  return `median ${at(0.5)} ms, worst ${at(1)} ms, best ${at(0)} ms`;
}

await main();
