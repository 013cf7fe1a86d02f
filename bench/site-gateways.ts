/**
 * A site of two real gateways with their peer link, a real etcd of three members, and mosquitto as the cloud, on loopback.
 *
 *   node --import tsx bench/site-gateways.ts [--rounds 10] [--seconds 8] [--pairs 3] [--messages 1000000]
 *                                            [--only crash,hand-over,host,safe,catch-up]
 *
 * crash: SIGKILL to the primary, until a message under the next epoch is in the cloud, both publishing 100 messages a second all the
 * while; hand-over: by command, from the last message under the old epoch to the first under the new one; host: all ways of the primary to
 * its peer, etcd and the cloud become black holes, without a FIN, until the next message is in the cloud. Each counts what came to the
 * cloud under an outdated epoch after that, and how long two acted as primary (asked every 15 ms). safe: QoS 1 messages acknowledged a
 * second, at both gateways together, under `durability: safe` and `local`, one after the other, and the ratio of each pair. catch-up: how
 * fast a gateway with an empty store copies a million messages of the other one.
 *
 * Faults begin when the site has stood for longer than a lease: in its first seconds on an empty etcd nobody may take over.
 */
import { parseArgs } from "node:util";
import { BookedSite } from "../test/support/site-books.ts";
import type { SiteGateway } from "../test/support/site-gateway.ts";
import { until } from "../test/support/until.ts";
import { ActingWatch } from "./support/acting-watch.ts";
import { catchUpPerSecond } from "./support/catch-up.ts";
import { figure } from "./support/figures.ts";
import { spread, Targets } from "./support/targets.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "10" },
    seconds: { type: "string", default: "8" },
    pairs: { type: "string", default: "3" },
    messages: { type: "string", default: "1000000" },
    only: { type: "string", default: "crash,hand-over,host,safe,catch-up" },
  },
});
const TAKE_OVER_MS_MAX = 60_000;
const LEASE_MS = 3000;
const GATEWAYS = { "gw-a": {}, "gw-b": {} };
const rounds = Number(values.rounds);
const targets = new Targets();

/** What came to the cloud, as epochs and times. */
class Watch {
  readonly #site: BookedSite;
  #seen = 0;
  epoch = 0;
  firstMs = 0;
  lastMs = 0;
  /** When the last one under the epoch before came. */
  beforeMs = 0;
  /** Under an epoch that had been replaced. */
  outdated = 0;
  readonly #timer: NodeJS.Timeout;

  constructor(site: BookedSite) {
    this.#site = site;
    this.#timer = setInterval(() => this.#look(), 1);
  }

  end(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { first } = this.#site.receiver;
    const nowMs = performance.now();
    for (; this.#seen < first.length; this.#seen++) {
      const epoch = Number(first[this.#seen]?.user["fg-epoch"]);
      if (epoch < this.epoch) this.outdated++;
      if (epoch > this.epoch) {
        this.epoch = epoch;
        this.firstMs = nowMs;
        this.beforeMs = this.lastMs;
      }
      this.lastMs = nowMs;
    }
  }
}

type Repair = () => Promise<void>;
type Fault = (primary: SiteGateway, site: BookedSite) => Promise<Repair>;

const CHANGES: Record<string, { readonly msMax: number; readonly fault: Fault }> = {
  crash: {
    msMax: 500,
    fault: async (primary) => {
      await primary.program.kill();
      return () => primary.start();
    },
  },
  "hand-over": {
    msMax: 50,
    fault: async (primary) => {
      const { code, err } = await primary.command("site", "hand-over");
      if (code !== 0) throw new Error(`no hand-over: ${err}`);
      return async () => {};
    },
  },
  host: {
    msMax: 3500,
    fault: async (primary, site) => {
      for (const way of site.waysOf(primary)) way.way = "blackhole";
      return async () => {
        for (const way of site.waysOf(primary)) way.way = "clear";
      };
    },
  },
};

async function change(name: string, msMax: number, fault: Fault): Promise<void> {
  const traffic = { sendersEach: 1, perSecond: 100 };
  const options = { gateways: GATEWAYS, etcdNodes: 3, ...traffic, isProxied: name === "host" };
  await BookedSite.run(options, async (site) => {
    const watch = new Watch(site);
    const acting = new ActingWatch(site.gateways);
    const gaps: number[] = [];
    await new Promise((done) => setTimeout(done, LEASE_MS));
    for (let round = 0; round < rounds; round++) {
      await site.inSync(site.gateways);
      await until("all could be primary", async () => {
        const all = await Promise.all(site.gateways.map((one) => one.status()));
        return all.every(({ cluster }) => cluster.standing.length === site.gateways.length);
      });
      const primary = await site.primary(site.gateways);
      await until("it sends", () => performance.now() - watch.lastMs < 100);
      const { epoch } = watch;
      const faultMs = performance.now();
      const repair = await fault(primary, site);
      await until("the next one sends", () => watch.epoch > epoch, TAKE_OVER_MS_MAX);
      gaps.push(watch.firstMs - (name === "hand-over" ? watch.beforeMs : faultMs));
      await repair();
    }
    watch.end();
    await acting.end();
    await site.balance();
    const { text, worst } = spread(gaps);
    console.log(`${name}: ${text}`);
    targets.atMost(name, worst, msMax, " ms", text);
    const { overlapMs, reigns } = acting;
    const over = `over ${reigns.length} primaries`;
    targets.atMost(
      `${name}: two act at once`,
      overlapMs,
      0,
      " ms",
      `${overlapMs.toFixed(0)} ms ${over}`,
    );
    const { outdated } = watch;
    targets.atMost(`${name}: accepted under an old epoch`, outdated, 0);
  });
}

async function perSecond(durability: string): Promise<number> {
  const special = { store: { durability } };
  const options = { gateways: { "gw-a": special, "gw-b": special }, sendersEach: 2 };
  let rate = 0;
  await BookedSite.run({ ...options, perSecond: 1e6 }, async (site) => {
    const acked = () => site.senders.reduce((sum, sender) => sum + sender.acked, 0);
    await site.acknowledged(500);
    const [before, beganMs] = [acked(), performance.now()];
    await new Promise((done) => setTimeout(done, Number(values.seconds) * 1000));
    rate = ((acked() - before) / (performance.now() - beganMs)) * 1000;
  });
  return rate;
}

async function safe(): Promise<void> {
  const ratios: number[] = [];
  for (let pair = 0; pair < Number(values.pairs); pair++) {
    const [one, other] = [await perSecond("safe"), await perSecond("local")];
    ratios.push(one / other);
    console.log(
      `safe ${one.toFixed(0)}/s, local ${other.toFixed(0)}/s: ${(one / other).toFixed(2)}`,
    );
  }
  const sorted = ratios.toSorted((a, b) => a - b).map((ratio) => ratio.toFixed(2));
  targets.atLeast("safe of local", Math.min(...ratios), 0.5, "", sorted.join(", "));
}

async function catchUp(): Promise<void> {
  const rate = await catchUpPerSecond(Number(values.messages));
  const text = `${figure(rate)} a second, of ${figure(Number(values.messages))}`;
  console.log(`catch-up: ${text}`);
  targets.atLeast("catch-up", rate, 50_000, " a second", text);
}

for (const name of values.only.split(",")) {
  const planned = CHANGES[name];
  if (name === "safe") await safe();
  else if (name === "catch-up") await catchUp();
  else if (planned !== undefined) await change(name, planned.msMax, planned.fault);
  else throw new Error(`there is no ${name}`);
}
targets.print();
