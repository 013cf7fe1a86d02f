import assert from "node:assert/strict";
import { it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import { GAP_TOPIC } from "../../src/uplink/own-topics.ts";
import { compileRules } from "../../src/uplink/rules.ts";
import { type Uplink, uplink } from "../../src/uplink/uplink.ts";
import { MemorySource } from "../support/memory-source.ts";
import { seededRandom } from "../support/random.ts";
import { uplinkOptions } from "../support/uplink-options.ts";
import { type Faults, NO_FAULTS, SimCloud, TurnClock } from "./uplink-cloud.ts";

const SEEDS = process.env["SIM_SEED"]
  ? [Number(process.env["SIM_SEED"])]
  : Array.from(
      { length: process.env["FIELDGATE_TEST_LONG"] ? 5000 : 250 },
      (_, index) => index + 1,
    );
const MESSAGES = 60;
const TOPICS = ["alarm/a", "plant/a", "plant/b", "plant/forbidden", "bulk/a"];
/** The weather clears after this virtual time, so that each run ends. */
const STORM_MS = 30_000;
const DEADLINE_MS = 600_000;

it(`loses nothing and reorders no lane, over ${SEEDS.length} seeds`, async () => {
  const sum = { duplicates: 0, failures: 0, refusals: 0, crashes: 0 };
  for (const seed of SEEDS) {
    const run = await simulate(seed);
    for (const lane of [1, 2, 3]) {
      const accepted = run.accepted.filter((entry) => entry.lane === lane && !entry.forbidden);
      const arrived = run.arrived.filter((entry) => entry.lane === lane);
      assert.deepEqual(
        arrived.map((entry) => entry.seq),
        accepted.map((entry) => entry.seq),
        `SIM_SEED=${seed}: lane ${lane} lost or reordered`,
      );
    }
    assert.equal(run.queued, 0, `SIM_SEED=${seed}: cursors behind`);
    const forbidden = run.accepted.filter((entry) => entry.forbidden).length;
    const losses = forbidden === 0 ? {} : { "not-authorized": forbidden };
    assert.deepEqual(run.dropped, losses, `SIM_SEED=${seed}: counted as dropped`);
    assert.deepEqual(run.told, losses, `SIM_SEED=${seed}: told to the cloud`);
    if (seed % 5 === 0 || SEEDS.length === 1) {
      assert.deepEqual(await simulate(seed), run, `SIM_SEED=${seed}: not deterministic`);
    }
    sum.duplicates += run.duplicates;
    sum.failures += run.failures;
    sum.refusals += run.refusals;
    sum.crashes += run.crashes;
  }
  console.log(`# ${SEEDS.length} seeds: ${JSON.stringify(sum)}`);
  if (SEEDS.length === 1) return;
  for (const [what, count] of Object.entries(sum)) {
    assert.ok(count > 0, `the faults were too kind to test anything: no ${what}`);
  }
});

interface Told {
  readonly seq: number;
  readonly lane: number;
  readonly forbidden: boolean;
}

async function simulate(seed: number) {
  const random = seededRandom(seed);
  const clock = new TurnClock();
  const cloud = new SimCloud(clock, random, faultsOf(random));
  const accepted: Told[] = [];
  const source = new MemorySource({
    beforeRead: () => clock.sleep(random() * 5),
    onMove: (name, throughSeq) => {
      const lane = LANES.indexOf(name);
      for (const entry of accepted) {
        if (entry.lane !== lane || entry.seq > throughSeq) continue;
        assert.ok(cloud.settled.has(entry.seq), `SIM_SEED=${seed}: passed ${entry.seq} unsettled`);
      }
    },
  });
  const life = { crashes: 0, failures: 0 };
  const start = () => begin(source, cloud, clock, random);
  let service = await start();

  const sensors = publish(source, clock, random, accepted);
  for (let nowMs = 0; nowMs < DEADLINE_MS; nowMs += 1000) {
    if (nowMs >= STORM_MS) cloud.faults = NO_FAULTS;
    await clock.run(nowMs);
    if (nowMs > STORM_MS && queued(source, service) === 0) break;
    if (nowMs < STORM_MS && random() < 0.03) {
      life.failures += service.status().failures;
      life.crashes++;
      service = await restart(service, source, clock, nowMs, random, start);
    }
  }
  await sensors;
  life.failures += service.status().failures;
  const result = {
    accepted,
    arrived: cloud.arrivals
      .filter((entry) => entry.message.topic !== GAP_TOPIC)
      .map((entry) => told(entry.seq, entry.message.topic)),
    dropped: { ...source.cursor("uplink/telemetry").dropped },
    told: toldOf(cloud),
    queued: queued(source, service),
    duplicates: cloud.duplicates,
    refusals: cloud.refusals,
    endpoints: cloud.endpoints.join(" "),
    ...life,
  };
  await stopped(service, clock);
  return result;
}

const LANES = ["", "uplink/alarm", "uplink/telemetry", "uplink/bulk"];

/** Appends messages over the time of the storm, several to a commit. */
async function publish(
  source: MemorySource,
  clock: TurnClock,
  random: () => number,
  accepted: Told[],
): Promise<void> {
  for (let count = 0; count < MESSAGES; count++) {
    if (random() < 0.6) {
      source.commit();
      await clock.sleep(random() * 2 * (STORM_MS / MESSAGES));
    }
    const topic = TOPICS[Math.floor(random() * TOPICS.length)] as string;
    const entry = told(source.lastSeq + 1, topic);
    source.append(entry.lane, topic, "x".repeat(1 + Math.floor(random() * 50)));
    accepted.push(entry);
    if (random() < 0.2) source.append(0, "stays/here", "x");
  }
  source.commit();
}

/** What the records of losses that arrived say, added up. */
function toldOf(cloud: SimCloud): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const { message } of cloud.arrivals) {
    if (message.topic !== GAP_TOPIC) continue;
    const { dropped } = JSON.parse(Buffer.from(message.payload).toString());
    for (const [reason, count] of Object.entries(dropped)) {
      sum[reason] = (sum[reason] ?? 0) + Number(count);
    }
  }
  return sum;
}

function told(seq: number, topic: string): Told {
  const lane = topic.startsWith("alarm") ? 1 : topic.startsWith("bulk") ? 3 : 2;
  return { seq, lane, forbidden: topic.endsWith("forbidden") };
}

async function begin(
  source: MemorySource,
  cloud: SimCloud,
  clock: TurnClock,
  random: () => number,
): Promise<Uplink> {
  const options = uplinkOptions({
    endpoints: ["mqtt://a", "mqtt://b"],
    windowMax: 1 + Math.floor(random() * 12),
    stableMs: 5000,
  });
  const identity = { gateway: "g", site: "s" };
  const route = compileRules(options.rules, identity);
  const limits = {
    readMessagesMax: 1 + Math.floor(random() * 8),
    inflightBytesMax: 200,
    drainMsMax: 0,
  };
  const tools = { clock, log: silentLog, random, journal: source, cloud, route, identity, limits };
  const service = uplink(options, tools);
  await service.start(new AbortController().signal);
  return service;
}

/** A crash: the cursors stand where they last were durable, which may be anywhere behind. */
async function restart(
  service: Uplink,
  source: MemorySource,
  clock: TurnClock,
  nowMs: number,
  random: () => number,
  start: () => Promise<Uplink>,
): Promise<Uplink> {
  await stopped(service, clock);
  source.crash(random);
  await clock.run(nowMs);
  return start();
}

/** Stops it while virtual time stands still or moves on, as it needs. */
async function stopped(service: Uplink, clock: TurnClock): Promise<void> {
  let done = false;
  const stop = service.stop().then(() => {
    done = true;
  });
  for (let nowMs = clock.monotonicMs(); !done; nowMs += 1) await clock.run(nowMs);
  await stop;
}

function queued(source: MemorySource, service: Uplink): number {
  const { alarm, telemetry, bulk } = service.status().lanes;
  assert.ok(source.lastSeq >= alarm.cursor);
  return alarm.queued + telemetry.queued + bulk.queued;
}

function faultsOf(random: () => number): Faults {
  const some = (most: number) => (random() < 0.5 ? 0 : random() * most);
  return {
    refusesToOpen: some(0.6),
    neverAnswers: some(0.4),
    cuts: some(0.15),
    losesAcknowledgement: some(0.05),
    stalls: some(0.05),
  };
}
