/**
 * A backlog drained to a real mosquitto: the uplink against a bare client of the package `mqtt` with the same window, in
 * turns, in the same run.
 *
 *   node --import tsx bench/uplink.ts [--messages 200000] [--rounds 3] [--window 256] [--journal memory|level]
 *
 * The bare client publishes the same topic and payload, under MQTT 5, without properties; the uplink adds its identity
 * to each message (about 150 bytes more on the wire), reads it from a journal and moves its cursor.
 */
import type { Socket } from "node:net";
import { parseArgs } from "node:util";
import { connectAsync } from "mqtt";
import { silentLog } from "../src/base/log.ts";
import { systemClock } from "../src/base/system-clock.ts";
import { mqttCloud } from "../src/uplink/mqtt-cloud.ts";
import { compileRules, cursorName } from "../src/uplink/rules.ts";
import { uplink } from "../src/uplink/uplink.ts";
import { levelKind, memoryKind } from "../test/support/journals.ts";
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
    journal: { type: "string", default: "memory" },
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
  const client = await connectAsync({ host: "127.0.0.1", port, protocolVersion: 5 });
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
  const kind = values.journal === "level" ? levelKind(1) : memoryKind(1);
  const journal = await kind.create();
  // Where no cursor waits for it, the journal keeps nothing.
  journal.cursor(cursorName("telemetry"));
  const message = {
    topic: TOPIC,
    payload: PAYLOAD,
    qos: 1,
    retain: false,
    properties: null,
  } as const;
  for (let count = 0; count < messages; count++) {
    journal.append(message, 2, Date.now(), []);
    if (count % 1000 === 999) await journal.committed();
  }
  await journal.committed();
  const options = uplinkOptions({
    endpoints: [`mqtt://127.0.0.1:${port}`],
    rules: [{ match: "#", lane: "telemetry", remoteTopic: "{topic}", qos: 1 }],
    windowMax,
    acknowledgeTimeoutMs: 15_000,
  });
  const service = uplink(options, {
    clock: systemClock,
    log: silentLog,
    random: Math.random,
    journal,
    cloud: mqttCloud(options, { clock: systemClock, identity: IDENTITY, journal }),
    route: compileRules(options.rules, IDENTITY),
    identity: IDENTITY,
  });
  globalThis.gc?.();
  const idleBytes = process.memoryUsage().rss;
  const beganMs = performance.now();
  await service.start(AbortSignal.timeout(10_000));
  await until("all delivered", () => service.status().delivered === messages, 600_000);
  const ms = performance.now() - beganMs;
  const grownMiB = (process.memoryUsage().rss - idleBytes) / 2 ** 20;
  await service.stop();
  await kind.end();
  return { ms, grownMiB };
}

await main();
