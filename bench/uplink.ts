/**
 * A backlog drained to a real mosquitto, in turns in the same run: the real program from its store; a bare client of the package
 * `mqtt` with the same window; mosquitto's own bridge from its memory with the same limit in flight.
 *
 *   npm run bench -- uplink [--messages 1000000] [--rounds 1] [--window 256] [--no-bridge] [--node-options=--cpu-prof]
 *
 * The gateway runs in the environment of its unit (systemd/fieldgate.service). Rates are what the receiving mosquitto counts, from
 * its first second to its last, of the gateway over the first half of the backlog; over the second half alarms are
 * published at it. Memory is what the kernel counts as resident, all of it and without mapped files (RssAnon), looked at every 50 ms
 * over the whole drain.
 *
 * The bare client and the bridge send topic and payload from memory; the gateway adds its identity to each message (about 150 bytes
 * and five user properties more on the wire), reads it from LevelDB, and moves its cursor on the disk.
 */
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { type DrainedGateway, drainGateway } from "./support/drain-gateway.ts";
import { type Drained, drainBare, drainBridge } from "./support/drain-peers.ts";
import { figure, median, table } from "./support/figures.ts";
import { Targets } from "./support/targets.ts";

const { values } = parseArgs({
  options: {
    messages: { type: "string", default: "1000000" },
    rounds: { type: "string", default: "1" },
    window: { type: "string", default: "256" },
    "no-bridge": { type: "boolean", default: false },
    "node-options": { type: "string", multiple: true, default: [] },
  },
});

const BARE_MIN = 0.9;
const MEMORY_MIB_MAX = 30;
const ALARM_MS_MAX = 250;

interface Round {
  readonly ours: DrainedGateway;
  readonly bare: Drained;
  readonly bridge: Drained | null;
}

const message = { topic: "plant/line-1/oven/temperature", payload: Buffer.alloc(100, "x") };
const messages = Number(values.messages);
const windowMax = Number(values.window);
const rounds: Round[] = [];
for (let round = 1; round <= Number(values.rounds); round++) {
  const bare = await drainBare(messages, message, windowMax);
  const ours = await drainGateway(messages, message, windowMax, values["node-options"]);
  const bridge = values["no-bridge"] ? null : await drainBridge(messages, message, windowMax);
  rounds.push({ ours, bare, bridge });
  console.log(`\nround ${round}, load ${figure(loadavg()[0] ?? 0)}`);
  const rows = [
    ["drains a second", "", "µs of CPU a message: sender", "receiver"],
    ...Object.entries({ gateway: ours, "bare client": bare, "mosquitto's bridge": bridge }).flatMap(
      ([name, it]) =>
        it === null
          ? []
          : [[name, figure(it.perSecond), figure(it.senderUs), figure(it.receiverUs)]],
    ),
  ];
  console.log(table(rows));
}
report();

function report(): void {
  const each = (of: (round: Round) => number) => median(rounds.map(of));
  const alarms = rounds.flatMap(({ ours }) => ours.alarmMs).toSorted((a, b) => a - b);
  const at = (share: number) =>
    alarms[Math.min(alarms.length - 1, Math.floor(alarms.length * share))] ?? Number.NaN;
  const bare = each(({ ours, bare }) => ours.perSecond / bare.perSecond);
  const bridge = each(({ ours, bridge }) => ours.perSecond / (bridge?.perSecond ?? Number.NaN));
  const grown = each(({ ours }) => ours.grownMiB);
  const own = each(({ ours }) => ours.grownOwnMiB);
  console.log(`\n${messages.toLocaleString("en-US")} messages, medians of ${rounds.length}`);
  const targets = new Targets();
  targets.atLeast("rate, to the bare client's", bare, BARE_MIN);
  if (!values["no-bridge"]) targets.above("rate, to the bridge's", bridge, 1);
  targets.atMost("memory above idle", grown, MEMORY_MIB_MAX, " MiB");
  targets.tell("  of it its own", `${figure(own)} MiB`);
  targets.below(`p99 of ${alarms.length} alarms`, at(0.99), ALARM_MS_MAX, " ms");
  targets.tell("  median", `${figure(at(0.5))} ms`);
  targets.tell("  longest", `${figure(at(1))} ms`);
  targets.print();
}
