/**
 * A site of two real gateways with their peer link, a real etcd of three members, and mosquitto as the cloud, on loopback.
 *
 *   node --import tsx bench/site-gateways.ts [--rounds 10] [--seconds 8] [--only crash,hand-over,safe]
 *
 * crash: SIGKILL to the primary, until a message under the next epoch is in the cloud, both publishing 100 messages a second all the
 * while; hand-over: by command, from the last message under the old epoch to the first under the new one. Both count what came
 * under an outdated epoch after that. safe: QoS 1 messages acknowledged a second, at both gateways together, under `durability: safe` and
 * `local`, one after the other, and the ratio of each pair.
 */
import { parseArgs } from "node:util";
import { BookedSite } from "../test/support/site-books.ts";
import type { SiteGateway } from "../test/support/site-gateway.ts";
import { until } from "../test/support/until.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "10" },
    seconds: { type: "string", default: "8" },
    pairs: { type: "string", default: "3" },
    only: { type: "string", default: "crash,hand-over,safe" },
  },
});
const TAKE_OVER_MS_MAX = 60_000;
const GATEWAYS = { "gw-a": {}, "gw-b": {} };
const rounds = Number(values.rounds);

/** What came to the cloud, as epochs and times. */
class Watch {
  readonly #site: BookedSite;
  #seen = 0;
  epoch = 0;
  firstMs = 0;
  lastMs = 0;
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

  /** When the last one under the epoch before came. */
  beforeMs = 0;
}

async function change(name: string, fault: (primary: SiteGateway) => Promise<() => Promise<void>>) {
  const options = { gateways: GATEWAYS, etcdNodes: 3, sendersEach: 1, perSecond: 100 };
  await BookedSite.run(options, async (site) => {
    const watch = new Watch(site);
    const gaps: number[] = [];
    for (let round = 0; round < rounds; round++) {
      await site.inSync(site.gateways);
      const primary = await site.primary(site.gateways);
      await until("it sends", () => performance.now() - watch.lastMs < 100);
      const { epoch } = watch;
      const faultMs = performance.now();
      const repair = await fault(primary);
      await until("the next one sends", () => watch.epoch > epoch, TAKE_OVER_MS_MAX);
      gaps.push(watch.firstMs - (name === "crash" ? faultMs : watch.beforeMs));
      await repair();
    }
    watch.end();
    await site.balance();
    console.log(`${name}: ${summary(gaps)} (n=${gaps.length}); outdated: ${watch.outdated}`);
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
  const [least = 0] = ratios.toSorted((a, b) => a - b);
  console.log(`safe of local: worst of ${ratios.length} pairs ${least.toFixed(2)}`);
}

function summary(gaps: readonly number[]): string {
  const sorted = gaps.toSorted((a, b) => a - b);
  const at = (part: number) => sorted[Math.floor(part * (sorted.length - 1))]?.toFixed(0);
  return `median ${at(0.5)} ms, worst ${at(1)} ms, best ${at(0)} ms`;
}

for (const name of values.only.split(",")) {
  if (name === "safe") await safe();
  else if (name === "crash") {
    await change(name, async (primary) => {
      await primary.program.kill();
      return () => primary.start();
    });
  } else {
    await change(name, async (primary) => {
      await primary.command("site", "hand-over");
      return async () => {};
    });
  }
}
