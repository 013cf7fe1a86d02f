import assert from "node:assert/strict";
import { it } from "node:test";
import type { Random } from "../../src/base/random.ts";
import { seededRandom } from "../support/random.ts";
import { CALM, SimEtcd, type Weather } from "./site-etcd.ts";
import { SimNode, WatchedClock } from "./site-node.ts";

const LONG = process.env["FIELDGATE_TEST_LONG"] === "1";
const SEEDS = process.env["SIM_SEED"]
  ? [Number(process.env["SIM_SEED"])]
  : Array.from({ length: LONG ? 2000 : 300 }, (_, index) => index + 1);
const STORM_MS = 20_000;
/** In calm weather there is one primary again within this time: a registration that ends, a doubt, a try. */
const CALM_MS = 30_000;
/** etcd forgets an epoch in one run of three only: in the others epochs must never go back. */
const FORGETS = 1 / 3;

it(`has one primary at most, under epochs that grow, over ${SEEDS.length} seeds`, async () => {
  const sum: Record<string, number> = {};
  for (const seed of SEEDS) {
    const run = await simulate(seed);
    if (seed % 20 === 0 || SEEDS.length === 1) {
      assert.deepEqual(await simulate(seed), run, `SIM_SEED=${seed}: not deterministic`);
    }
    for (const [what, count] of Object.entries(run)) sum[what] = (sum[what] ?? 0) + count;
  }
  console.log(`# ${SEEDS.length} seeds: ${JSON.stringify(sum)}`);
  if (SEEDS.length === 1) return;
  for (const [what, count] of Object.entries(sum)) {
    assert.ok(count > 0, `the faults were too kind to test anything: no ${what}`);
  }
});

async function simulate(seed: number): Promise<Record<string, number>> {
  const random = seededRandom(seed);
  const sink = new Sink(seed);
  const nodes: SimNode[] = [];
  const clock = new WatchedClock(() => sink.look(nodes));
  const etcd = new SimEtcd(clock, random);
  etcd.confirmsEnded = random() < 0.3 ? 0.5 : 0;
  const count = 2 + Math.floor(random() * 2);
  for (let index = 0; index < count; index++) {
    nodes.push(new SimNode(`gw-${index}`, clock, random, etcd));
  }
  for (const node of nodes) {
    node.peers = nodes;
    await node.start();
  }

  const storm = new Storm(clock, random, etcd, nodes, sink);
  while (clock.monotonicMs() < STORM_MS) {
    await clock.run(clock.monotonicMs() + 100 + random() * 1500);
    sink.throwViolation();
    storm.strike();
  }
  storm.end();
  await clock.run(STORM_MS + 8000); // what was stopping has stopped
  for (const node of nodes) if (!node.isUp) await node.start();
  do {
    await clock.run(clock.monotonicMs() + 500);
    sink.throwViolation();
  } while (sink.disagreement(nodes) !== null && clock.monotonicMs() < STORM_MS + CALM_MS);
  assert.equal(sink.disagreement(nodes), null, `SIM_SEED=${seed}: in calm weather`);
  return { epochs: sink.epochs.size, ...sink.seen, ...storm.strikes };
}

/** A receiver that believes only the highest epoch that it has seen, and looks whether it was needed. */
class Sink {
  readonly epochs = new Map<number, string>();
  maxEpoch = 0;
  hasEtcdForgotten = false;
  /** Events after which someone was in that state. */
  readonly seen = { refused: 0, acts: 0, fenced: 0, nobody: 0 };
  readonly #seed: number;
  #who = "";
  #violation: unknown = null;

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** After each event: nobody acts beside another one; and none under an old epoch, but after etcd has forgotten it. */
  look(nodes: readonly SimNode[]): void {
    try {
      this.#judge(nodes);
    } catch (error) {
      this.#violation ??= error;
    }
  }

  throwViolation(): void {
    if (this.#violation !== null) throw this.#violation;
  }

  #judge(nodes: readonly SimNode[]): void {
    if (nodes.some((node) => node.site.role.get().at === "fenced")) this.seen.fenced++;
    const acting = nodes.filter((node) => node.wouldAct);
    assert.ok(
      acting.length <= 1,
      `SIM_SEED=${this.#seed}: ${acting.map(({ id }) => id)} act at once`,
    );
    const [node] = acting;
    if (node === undefined) this.seen.nobody++;
    if (node === undefined || node.process.isStalled) return;
    this.seen.acts++;
    const who = `${node.id} of start ${node.starts}`;
    const { epoch } = node;
    assert.ok(node.diskEpoch >= epoch, `SIM_SEED=${this.#seed}: acts before its epoch is on disk`);
    if (epoch < this.maxEpoch || (epoch === this.maxEpoch && who !== this.#who)) {
      const what = `epoch ${epoch} of ${who} after ${this.maxEpoch} of ${this.#who}`;
      assert.ok(this.hasEtcdForgotten, `SIM_SEED=${this.#seed}: ${what}`);
      this.seen.refused++;
      node.site.outdated(this.maxEpoch);
      return;
    }
    this.epochs.set(epoch, who);
    this.maxEpoch = epoch;
    this.#who = who;
  }

  /** Where the gateways differ; null when one is primary, all know it, and each knows all. */
  disagreement(nodes: readonly SimNode[]): string | null {
    const [primary, another] = nodes.filter((node) => node.wouldAct);
    const ids = nodes.map(({ id }) => id).join();
    const differ = nodes.filter((node) => {
      const status = node.site.status();
      const knows = status.members.map(({ id }) => id).join() === ids;
      const isMember =
        status.registration === "registered" && status.standing.join() === ids && knows;
      return !isMember || status.primary?.gateway !== primary?.id;
    });
    if (primary !== undefined && another === undefined && differ.length === 0) return null;
    return nodes.map((node) => JSON.stringify(node.site.status())).join("\n");
  }
}

type Strike = (storm: Storm) => void;

/** Everything that goes wrong, one after the other and on top of each other. */
class Storm {
  readonly strikes: Record<string, number> = {};
  /** Whether the key `epoch` may be lost in this run. */
  readonly forgets: boolean;
  #names: readonly string[];
  readonly #clock: WatchedClock;
  readonly #random: Random;
  readonly #etcd: SimEtcd;
  readonly #nodes: readonly SimNode[];
  readonly #sink: Sink;
  #isOver = false;

  constructor(
    clock: WatchedClock,
    random: Random,
    etcd: SimEtcd,
    nodes: readonly SimNode[],
    sink: Sink,
  ) {
    this.#clock = clock;
    this.#random = random;
    this.#etcd = etcd;
    this.#nodes = nodes;
    this.#sink = sink;
    for (const name of Object.keys(STRIKES)) this.strikes[name] = 0;
    this.forgets = random() < FORGETS;
    const names = Object.keys(STRIKES).filter((name) => this.forgets || !FORGETTING.has(name));
    this.#names = names.filter(() => random() < 0.5);
    if (this.#names.length === 0) this.#names = names;
  }

  strike(): void {
    const name = this.pick(this.#names);
    this.strikes[name] = (this.strikes[name] ?? 0) + 1;
    STRIKES[name]?.(this);
  }

  end(): void {
    this.#isOver = true;
    this.#etcd.confirmsEnded = 0;
    if (!this.#etcd.isUp) this.#etcd.start();
    for (const node of this.#nodes) {
      node.link.weather = CALM;
      node.link.isCut = false;
      node.failsWrites = false;
    }
  }

  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random() * from.length)] as T;
  }

  get nodes(): readonly SimNode[] {
    return this.#nodes;
  }

  get node(): SimNode {
    return this.pick(this.#nodes);
  }

  get primary(): SimNode {
    return this.#nodes.find((node) => node.wouldAct) ?? this.node;
  }

  upTo(most: number): number {
    return this.#random() * most;
  }

  /** Unless the storm is over by then: everything is well then anyway. */
  after(ms: number, task: () => void): void {
    void this.#clock.sleep(ms).then(() => (this.#isOver ? undefined : task()));
  }

  /** Even when the storm is over. */
  surely(ms: number, task: () => void): void {
    void this.#clock.sleep(ms).then(task);
  }

  /** Some of the others hear that its process has ended, over their connections to it. */
  told(dead: SimNode, ms: number): void {
    for (const node of this.#nodes.filter(({ isUp }) => isUp)) {
      if (node === dead || this.upTo(2) < 1) continue;
      const ended = node.site.lost(dead.id);
      this.after(ms, () => void node.process.awake().then(ended));
    }
  }

  etcdDown(ms: number, before: () => void = () => {}): void {
    if (!this.#etcd.isUp) return;
    this.#etcd.stop();
    this.after(ms, () => {
      before();
      this.#etcd.start();
    });
  }

  get etcd(): SimEtcd {
    return this.#etcd;
  }

  get nowMs(): number {
    return this.#clock.monotonicMs();
  }

  get sink(): Sink {
    return this.#sink;
  }
}

const FORGETTING = new Set(["wipes", "restores"]);

const STRIKES: Record<string, Strike> = {
  cuts: (storm) => {
    const { link } = storm.upTo(2) < 1 ? storm.node : storm.primary;
    link.isCut = true;
    storm.after(storm.upTo(8000), () => {
      link.isCut = false;
    });
  },
  weathers: (storm) => {
    const { link } = storm.node;
    const some = (most: number) => (storm.upTo(2) < 1 ? 0 : storm.upTo(most));
    const weather: Weather = {
      latencyMsMax: 1 + some(900),
      losesRequest: some(0.4),
      losesReply: some(0.4),
      delaysRequest: some(0.3),
      deafens: some(0.3),
      cutsWatch: some(0.3),
    };
    link.weather = weather;
    storm.after(storm.upTo(10_000), () => {
      link.weather = CALM;
    });
  },
  stalls: (storm) => {
    const { process } = storm.upTo(2) < 1 ? storm.node : storm.primary;
    process.stalledUntilMs = storm.nowMs + storm.upTo(7000);
  },
  kills: (storm) => {
    const node = storm.primary;
    if (!node.isUp) return;
    storm.told(node, storm.upTo(200));
    node.kill();
    storm.after(storm.upTo(5000), () => void node.start());
  },
  stops: (storm) => {
    const { primary: node } = storm;
    if (!node.isUp) return;
    node.isUp = false;
    void node.stop();
    storm.after(6000 + storm.upTo(3000), () => {
      node.kill();
      void node.start();
    });
  },
  handOvers: (storm) => {
    const { primary } = storm;
    const { link } = primary;
    if (storm.upTo(2) < 1) {
      // The request may arrive long after the primary has given up on it.
      link.weather = { ...CALM, latencyMsMax: 50, delaysRequest: 0.7, deafens: 0.7 };
      storm.after(storm.upTo(2000), () => {
        link.weather = CALM;
      });
    }
    for (const node of storm.nodes) node.notes = storm.pick(["all", "late", "none"]);
    const to = storm.upTo(2) < 1 ? storm.node.id : undefined;
    void primary.site.handOver(to).catch(() => undefined);
  },
  etcdStops: (storm) => storm.etcdDown(storm.upTo(8000)),
  wipes: (storm) => {
    storm.sink.hasEtcdForgotten = true;
    if (storm.upTo(2) < 1) storm.etcdDown(storm.upTo(6000), () => storm.etcd.wipe());
    else storm.etcd.wipe();
  },
  // To restore a snapshot etcd is stopped. We rely on that taking longer than a lease's time.
  restores: (storm) => {
    storm.sink.hasEtcdForgotten = true;
    const restore = storm.etcd.snapshot();
    storm.after(storm.upTo(6000), () => storm.etcdDown(3500 + storm.upTo(2000), restore));
  },
  deletions: (storm) => {
    const keys = storm.etcd.list("fieldgate/sim/").entries.map(({ key }) => key);
    const key = storm.pick(keys.filter((one) => storm.forgets || !one.endsWith("epoch")));
    if (key === undefined) return;
    if (key.endsWith("epoch")) storm.sink.hasEtcdForgotten = true;
    storm.etcd.delete(key);
  },
  garbage: (storm) => {
    if (!storm.etcd.isUp) return;
    const there = storm.etcd.list("fieldgate/sim/").entries.map(({ key }) => key);
    const keys = there.filter((one) => storm.forgets || !one.endsWith("epoch"));
    const key = storm.pick([
      ...keys,
      "fieldgate/sim/election/standing/x",
      "fieldgate/sim/gateways/",
    ]);
    const value = storm.pick([
      "",
      "{}",
      "null",
      "\u0000",
      '{"epoch":1e300,"gateway":"x","lease":"1"}',
    ]);
    if (key.endsWith("epoch")) storm.sink.hasEtcdForgotten = true;
    storm.etcd.commit([], [{ key, value }]);
    storm.surely(storm.upTo(3000), () => {
      if (!key.endsWith("epoch")) storm.etcd.delete(key);
    });
  },
  wallJumps: (storm) => {
    storm.node.process.wallJumpMs += storm.pick([-3_600_000, -500, 500, 3_600_000]);
  },
  outdated: (storm) => {
    storm.primary.site.outdated(storm.sink.maxEpoch + Math.floor(storm.upTo(3)));
  },
  fullDisks: (storm) => {
    const { node } = storm;
    node.failsWrites = true;
    storm.after(storm.upTo(5000), () => {
      node.failsWrites = false;
    });
  },
};
