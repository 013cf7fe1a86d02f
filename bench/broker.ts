/**
 * The broker beside mosquitto and stock aedes: `npm run bench -- broker [--seconds N] [--rounds N]`
 *
 * All run at the same time and are loaded in turns, by the same generator (bench/mqload.c) on the same machine, so ratios
 * hold where absolute figures do not. 64-byte payload, loopback, a window of 1,000 messages for each receiver. mosquitto
 * keeps nothing on disk, waits for nothing (set_tcp_nodelay) and has no limit on what is in flight; ours has one of 1,000
 * (mqtt.inflightMax: 1000), which this load never reaches. `fast`: written, not synced. `local`: synced before acknowledged.
 */
import { parseArgs } from "node:util";
import {
  type Subject,
  startAedes,
  startBareSockets,
  startOurs,
  startTheirs,
} from "./support/brokers.ts";
import { figure, inTurns, median, table } from "./support/figures.ts";
import { idleKiB } from "./support/idle-connections.ts";
import { type Load, mqload } from "./support/mqload.ts";
import { Targets } from "./support/targets.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "3" },
    rounds: { type: "string", default: "3" },
  },
});
const rounds = Number(values.rounds);
const targets = new Targets();
const IDLE = 2000;
const WIDE = { inflightMax: 1000 };

interface Work {
  readonly name: string;
  readonly load: readonly (string | number)[];
  readonly ours: "fast" | "local";
  /** How many times as fast as mosquitto it is to be; null where none is set. */
  readonly target: number | null;
}

const PAIRS = ["-m", "pair", "-P", 8];
const FAN_IN = ["-m", "fanin", "-P", 100, "-q", 1];
const WORKS: readonly Work[] = [
  { name: "QoS 0, 8 to 8", load: [...PAIRS, "-q", 0], ours: "fast", target: 20 },
  { name: "QoS 1, 8 to 8, fast", load: [...PAIRS, "-q", 1], ours: "fast", target: 15 },
  { name: "QoS 1, 8 to 8, local", load: [...PAIRS, "-q", 1], ours: "local", target: 4 },
  { name: "QoS 0, 1 to 100", load: ["-m", "fanout", "-S", 100], ours: "fast", target: 20 },
  { name: "QoS 1, 100 to 1, fast", load: FAN_IN, ours: "fast", target: 8 },
  { name: "QoS 1, 100 to 1, local", load: FAN_IN, ours: "local", target: null },
];

console.log(
  `${values.seconds} s, medians of ${rounds}; in flight to a client: ours mqtt.inflightMax 1000, mosquitto and aedes no limit`,
);
const subjects: Subject[] = [];
try {
  subjects.push(await startOurs("fast", WIDE), await startOurs("local", WIDE));
  subjects.push(await startTheirs(), await startAedes());
  await rates(subjects);
  await latencies(subjects);
} finally {
  await Promise.all(subjects.map((subject) => subject.end()));
}
await memory();
targets.print();

async function rates(all: readonly Subject[]): Promise<void> {
  const rows = [["messages received a second", "ours", "mosquitto", "aedes"]];
  for (const { name, load, ours, target } of WORKS) {
    const running = all.filter(
      (each) => !each.name.startsWith("fieldgate") || each.name.endsWith(ours),
    );
    const results = await inTurns(running, rounds, ({ port }) => run(port, load));
    for (const [i, loads] of results.entries()) reportMissing(running[i] as Subject, name, loads);
    const rate = results.map((loads) => median(loads.map((each) => each.recv_s)));
    const [mine = 0, theirs = 0, aedes = 0] = rate;
    rows.push([name, ...[mine, theirs, aedes].map(figure)]);
    const ratio = mine / theirs;
    if (target === null) targets.tell(`${name}, to mosquitto's`, `${figure(ratio)} times`);
    else targets.atLeast(`${name}, to mosquitto's`, ratio, target, " times");
  }
  console.log(`\n${table(rows)}`);
}

async function latencies(all: readonly Subject[]): Promise<void> {
  const running = all.filter(({ name }) => name !== "fieldgate, local");
  const load = ["-m", "pair", "-P", 1, "-r", 1000];
  const results = await inTurns(running, rounds, ({ port }) => run(port, load));
  const rows = [["latency at 1,000 a second, µs", "ours", "mosquitto", "aedes"]];
  for (const [name, key, target] of [
    ["median", "p50_us", 1.25],
    ["p99", "p99_us", 3],
  ] as const) {
    const [mine = 0, theirs = 0, aedes = 0] = results.map((loads) =>
      median(loads.map((each) => each[key])),
    );
    rows.push([name, ...[mine, theirs, aedes].map(figure)]);
    targets.atMost(`latency, ${name}, to mosquitto's`, mine / theirs, target, " times");
  }
  console.log(`\n${table(rows)}`);
}

/** Each in a fresh process, because a heap that has grown once does not tell. */
async function memory(): Promise<void> {
  const rows = [[`with ${IDLE} idle connections`, "KiB each"]];
  for (const [start, isBroker, target] of [
    [() => startOurs("local", { connectRate: 10_000, connectRatePerAddress: 10_000 }), true, 28],
    [startTheirs, true, null],
    [startAedes, true, null],
    [startBareSockets, false, null],
  ] as const) {
    const [results = []] = await inTurns([start], rounds, async () => {
      const subject = await start();
      try {
        return { name: subject.name, kib: await idleKiB(subject, IDLE, isBroker) };
      } finally {
        await subject.end();
      }
    });
    const kib = median(results.map((result) => result.kib));
    rows.push([results[0]?.name ?? "", figure(kib)]);
    if (target !== null) targets.atMost("an idle connection", kib, target, " KiB");
  }
  console.log(`\n${table(rows)}`);
}

function run(port: number, load: readonly (string | number)[]): Promise<Load> {
  return mqload("-p", port, ...load, "-t", Number(values.seconds));
}

function reportMissing({ name }: Subject, work: string, loads: readonly Load[]): void {
  const missing = loads.reduce((sum, load) => sum + load.missing, 0);
  if (missing > 0) console.log(`${name}: ${missing} messages of "${work}" had not come 3 s later`);
}
