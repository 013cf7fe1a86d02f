/**
 * A backlog drained to a real mosquitto: the uplink against a bare client of the package `mqtt` with the same window, in
 * turns, in the same run.
 *
 *   node --import tsx bench/uplink.ts [--messages 200000] [--rounds 3] [--window 256] [--protocol 5|3.1.1]
 *
 * The bare client publishes the same topic and payload without properties; the uplink adds its identity to each message
 * under MQTT 5 (about 180 bytes more on the wire) and reads from a journal in memory.
 */
import type { Socket } from "node:net";
import { parseArgs } from "node:util";
import { connectAsync } from "mqtt";
import { silentLog } from "../src/base/log.ts";
import { systemClock } from "../src/base/system-clock.ts";
import { mqttCloud } from "../src/uplink/mqtt-cloud.ts";
import { compileRules } from "../src/uplink/rules.ts";
import { uplink } from "../src/uplink/uplink.ts";
import { MemorySource } from "../test/support/memory-source.ts";
import { startMosquitto } from "../test/support/mosquitto.ts";
import { until } from "../test/support/until.ts";
import { uplinkOptions } from "../test/support/uplink-options.ts";

const TOPIC = "plant/line-1/oven/temperature";
const PAYLOAD = Buffer.alloc(100, "x");
const IDENTITY = { gateway: "gw-a", site: "plant-7" };

const { values } = parseArgs({
  options: {
    messages: { type: "string", default: "200000" },
    rounds: { type: "string", default: "3" },
    window: { type: "string", default: "256" },
    protocol: { type: "string", default: "5" },
  },
});

async function main(): Promise<void> {
  const messages = Number(values.messages);
  const windowMax = Number(values.window);
  const ratios: number[] = [];
  for (let round = 1; round <= Number(values.rounds); round++) {
    const bare = await measured((port) => drainBare(port, messages, windowMax));
    const ours = await measured((port) => drainUplink(port, messages, windowMax));
    ratios.push(ours.rate / bare.rate);
    console.log(
      `round ${round}: bare ${bare.rate.toFixed(0)}/s, uplink ${ours.rate.toFixed(0)}/s, ratio ${(ours.rate / bare.rate).toFixed(2)}, memory grown by ${ours.grownMiB.toFixed(1)} MiB while draining`,
    );
  }
  const sorted = ratios.toSorted((a, b) => a - b);
  console.log(`ratio, median of ${sorted.length}: ${sorted[sorted.length >> 1]?.toFixed(2)}`);
}

async function measured(drain: (port: number) => Promise<{ ms: number; grownMiB: number }>) {
  const broker = await startMosquitto({ config: ["log_type error"] });
  try {
    const { ms, grownMiB } = await drain(broker.port);
    return { rate: (Number(values.messages) / ms) * 1000, grownMiB };
  } finally {
    await broker.end();
  }
}

async function drainBare(port: number, messages: number, windowMax: number) {
  const protocolVersion = values.protocol === "5" ? 5 : 4;
  const client = await connectAsync({ host: "127.0.0.1", port, protocolVersion });
  // As the uplink does: otherwise Nagle's algorithm would be part of what is compared.
  (client.stream as Socket).setNoDelay(true);
  const beganMs = performance.now();
  await new Promise<void>((resolve) => {
    let sent = 0;
    let acknowledged = 0;
    const next = () => {
      if (sent === messages) return;
      sent++;
      client.publish(TOPIC, PAYLOAD, { qos: 1 }, () => {
        if (++acknowledged === messages) resolve();
        else next();
      });
    };
    for (let slot = 0; slot < windowMax; slot++) next();
  });
  const ms = performance.now() - beganMs;
  await client.endAsync(true);
  return { ms, grownMiB: 0 };
}

async function drainUplink(port: number, messages: number, windowMax: number) {
  const journal = new MemorySource();
  for (let count = 0; count < messages; count++) journal.append(2, TOPIC, PAYLOAD);
  journal.commit();
  const options = uplinkOptions({
    endpoints: [`mqtt://127.0.0.1:${port}`],
    rules: [{ match: "#", lane: "telemetry", remoteTopic: "{topic}", qos: 1 }],
    windowMax,
    acknowledgeTimeoutMs: 15_000,
  });
  const tools = { clock: systemClock, identity: IDENTITY, journal };
  const service = uplink(options, {
    clock: systemClock,
    log: silentLog,
    random: Math.random,
    journal,
    cloud: mqttCloud(options, tools),
    route: compileRules(options.rules, IDENTITY),
  });
  globalThis.gc?.();
  const idleBytes = process.memoryUsage().rss;
  const beganMs = performance.now();
  await service.start(AbortSignal.timeout(10_000));
  await until("all delivered", () => service.status().delivered === messages, 600_000);
  const ms = performance.now() - beganMs;
  const grownMiB = (process.memoryUsage().rss - idleBytes) / 2 ** 20;
  await service.stop();
  return { ms, grownMiB };
}

await main();
