/**
 * A backlog drained to a real mosquitto, in turns in the same run: the real program from its store, with a thousand alarms
 * published meanwhile; a bare client of the package `mqtt` with the same window; mosquitto's own bridge from its memory with the
 * same limit in flight.
 *
 *   npm run bench -- uplink [--messages 1000000] [--rounds 1] [--window 256] [--no-bridge]
 *
 * The gateway runs in the environment of its unit (systemd/fieldgate.service). Memory is what the kernel counts as resident, all of it
 * and without mapped files (RssAnon), looked at every 50 ms.
 *
 * The bare client and the bridge send topic and payload; the gateway adds its identity to each message (about 150 bytes more on
 * the wire), reads it from LevelDB, and moves its cursor.
 */
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { drainGateway } from "./support/drain-gateway.ts";
import { drainBare, drainBridge } from "./support/drain-peers.ts";
import { figure, median } from "./support/figures.ts";

const { values } = parseArgs({
  options: {
    messages: { type: "string", default: "1000000" },
    rounds: { type: "string", default: "1" },
    window: { type: "string", default: "256" },
    "no-bridge": { type: "boolean", default: false },
  },
});

const message = { topic: "plant/line-1/oven/temperature", payload: Buffer.alloc(100, "x") };
const messages = Number(values.messages);
const windowMax = Number(values.window);
const ratios: number[] = [];
const bridgeRatios: number[] = [];

for (let round = 1; round <= Number(values.rounds); round++) {
  const bare = await drainBare(messages, message, windowMax);
  const ours = await drainGateway(messages, message, windowMax);
  const bridge = values["no-bridge"] ? null : await drainBridge(messages, message, windowMax);
  ratios.push(ours.perSecond / bare);
  if (bridge !== null) bridgeRatios.push(ours.perSecond / bridge);
  const alarms = ours.alarmMs.toSorted((a, b) => a - b);
  const at = (share: number) => figure(alarms[Math.floor(alarms.length * share)] ?? Number.NaN);
  console.log(
    `round ${round}, load ${figure(loadavg()[0] ?? 0)}: bare client ${figure(bare)}/s, gateway ${figure(ours.perSecond)}/s, mosquitto's bridge ${bridge === null ? "-" : figure(bridge)}/s`,
  );
  console.log(
    `  memory above idle: ${figure(ours.grownMiB)} MiB, of it the gateway's own ${figure(ours.grownOwnMiB)} MiB`,
  );
  console.log(
    `  ${alarms.length} alarms meanwhile: median ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${figure(alarms.at(-1) ?? Number.NaN)} ms`,
  );
}
console.log(`gateway to bare client, median of ${ratios.length}: ${figure(median(ratios))}`);
if (bridgeRatios.length > 0) {
  console.log(`gateway to mosquitto's bridge, median: ${figure(median(bridgeRatios))}`);
}
