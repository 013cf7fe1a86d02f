import assert from "node:assert/strict";
import { it } from "node:test";
import { Watched } from "../../src/base/watchable.ts";
import type { Peer } from "../../src/replica/ports.ts";
import { seededRandom } from "../support/random.ts";
import { SimClock } from "../support/sim-clock.ts";
import { SimNetwork } from "./replication-network.ts";
import { ReplicaNode, type SimSite } from "./replication-node.ts";

const LONG = process.env["FIELDGATE_TEST_LONG"] === "1";
const SEEDS = process.env["SIM_SEED"]
  ? [Number(process.env["SIM_SEED"])]
  : Array.from({ length: LONG ? 3000 : 200 }, (_, index) => index + 1);
const STORM_MS_MAX = 12_000;
const CALM_MS = 20_000;

it(`keeps what it has acknowledged as safe on a surviving disk, and catches up, over ${SEEDS.length} seeds`, async () => {
  const sum: Record<string, number> = {};
  for (const seed of SEEDS) {
    const run = await simulate(seed).catch((error: Error) => {
      throw new Error(`SIM_SEED=${seed}: ${error.message}`, { cause: error });
    });
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
  const clock = new SimClock();
  const network = new SimNetwork(clock, random);
  const members = new Watched<readonly Peer[]>([]);
  const leases = new Map<string, number>();
  const evicted = () => run.evicted++;
  const site: SimSite = { clock, random, network, members, leases, evicted };
  const nodes = Array.from(
    { length: 2 + Math.floor(random() * 2) },
    (_, i) => new ReplicaNode(site, i),
  );
  members.set(nodes.map(({ id, journalId }) => ({ id, address: id, journal: journalId })));
  for (const node of nodes) await drive(clock, node.start());
  const run = {
    published: 0,
    refused: 0,
    crashes: 0,
    cuts: 0,
    breaks: 0,
    lost: 0,
    checked: 0,
    trimmed: 0,
    relayed: 0,
    evicted: 0,
  };

  const stormMs = STORM_MS_MAX * random();
  while (clock.monotonicMs() < stormMs) {
    for (const node of nodes.filter(({ isUp }) => isUp)) {
      for (let n = Math.floor(random() * 5); n > 0; n--) {
        if (node.publish()) run.published++;
        else run.refused++;
      }
      if (random() < 0.05) node.deliver();
    }
    await strike(nodes, site, run);
    await pass(clock, random() * 40);
  }

  await disaster(nodes, site, run);
  await calm(nodes, site);
  run.relayed += sum(nodes, (node) => node.status?.counters.blocksRelayed ?? 0);
  await check(clock, nodes, nodes, run);
  const alive = nodes.filter(({ isLost }) => !isLost);
  run.trimmed += alive.filter((one) =>
    alive.some((copy) => copy.trimmedCopy(one.journalId) > 0),
  ).length;
  for (const node of alive) await drive(clock, node.crash());
  return run;
}

/** The site loses its power, and one of its gateways its disk with it. */
async function disaster(
  nodes: readonly ReplicaNode[],
  { clock, random }: SimSite,
  run: Record<string, number>,
): Promise<void> {
  const up = nodes.filter(({ isUp }) => isUp);
  const one = up[Math.floor(random() * up.length)];
  if (one === undefined) return;
  run["lost"] = (run["lost"] ?? 0) + 1;
  await drive(clock, Promise.all(up.map((node) => (node === one ? node.lose() : node.crash()))));
  await check(clock, nodes, [one], run);
}

/** Everyone who is left is back, and gets what it lacks. */
async function calm(nodes: readonly ReplicaNode[], { clock, network }: SimSite): Promise<void> {
  network.cutOff.clear();
  for (const node of nodes) if (!node.isUp && !node.isLost) await drive(clock, node.start());
  const alive = nodes.filter(({ isLost }) => !isLost);
  const pairs = alive.flatMap((origin) => alive.map((copy) => ({ origin, copy })));
  const lacks = (copy: ReplicaNode, origin: ReplicaNode, seq: number) =>
    copy !== origin && copy.copiedSeq(origin.journalId) < seq;
  const most = ({ journalId }: ReplicaNode) =>
    Math.max(...alive.map((copy) => copy.copiedSeq(journalId)));
  const behind = () => [
    ...pairs
      .filter(({ origin, copy }) => lacks(copy, origin, origin.durableSeq))
      .map(({ origin, copy }) => `${copy.id} lacks some of ${origin.id}`),
    ...nodes
      .filter(({ isLost }) => isLost)
      .flatMap((origin) =>
        alive
          .filter((copy) => lacks(copy, origin, most(origin)))
          .map(({ id }) => `${id} lacks some of ${origin.id}, which is gone`),
      ),
  ];
  while (behind().length > 0 && clock.monotonicMs() < STORM_MS_MAX + CALM_MS)
    await pass(clock, 200);
  assert.deepEqual(behind(), [], "in calm weather");
}

/** Now and then something happens to one of them. */
async function strike(
  nodes: readonly ReplicaNode[],
  { clock, random, network }: SimSite,
  run: Record<string, number>,
): Promise<void> {
  const one = nodes[Math.floor(random() * nodes.length)] as ReplicaNode;
  const what = random();
  const count = (name: string) => {
    run[name] = (run[name] ?? 0) + 1;
  };
  if (what < 0.01 && one.isUp) {
    count("crashes");
    await drive(clock, one.crash());
  } else if (what < 0.05 && !one.isUp && !one.isLost) {
    await drive(clock, one.start());
  } else if (what < 0.053) {
    count("cuts");
    network.cutOff.add(one.id);
  } else if (what < 0.12) {
    network.cutOff.delete(one.id);
  } else if (what < 0.135) {
    count("breaks");
    network.breakOne();
  }
}

/** What these have acknowledged as safe is on the disk of another one that is left. */
async function check(
  clock: SimClock,
  nodes: readonly ReplicaNode[],
  origins: readonly ReplicaNode[],
  run: Record<string, number>,
): Promise<void> {
  for (const origin of origins) {
    const others = nodes.filter((node) => node !== origin);
    // Who has lost its only peer has it still on its own disk.
    if (!origin.isLost && others.every(({ isLost }) => isLost)) continue;
    const copies = others.filter(({ isLost }) => !isLost);
    // A disk that is switched off is there all the same.
    for (const node of copies) if (!node.isUp) await drive(clock, node.start());
    const disks = await drive(clock, Promise.all(copies.map((node) => node.has(origin.journalId))));
    const missing = origin.safe.filter((seq) => !disks.some((seqs) => seqs.has(seq)));
    assert.deepEqual(missing, [], `${origin.id} has acknowledged these`);
    run["checked"] = (run["checked"] ?? 0) + origin.safe.length;
  }
}

function sum(nodes: readonly ReplicaNode[], of: (node: ReplicaNode) => number): number {
  return nodes.reduce((total, node) => total + of(node), 0);
}

async function pass(clock: SimClock, ms: number): Promise<void> {
  await clock.run(clock.monotonicMs() + ms);
}

/** Lets time pass until the work is done. */
async function drive<T>(clock: SimClock, work: Promise<T>): Promise<T> {
  let isDone = false;
  const done = work.finally(() => {
    isDone = true;
  });
  for (let ms = 0; !isDone; ms++) {
    assert.ok(ms < 60_000, "it never ends");
    await pass(clock, 1);
  }
  return done;
}
