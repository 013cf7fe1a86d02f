import type { Socket } from "node:net";
import { connectAsync } from "mqtt";
import { startMosquitto } from "../../test/support/mosquitto.ts";
import { until } from "../../test/support/until.ts";

interface Message {
  readonly topic: string;
  readonly payload: Uint8Array;
}

/** Messages a second that a bare client of the package `mqtt` gets acknowledged by a mosquitto. */
export async function drainBare(
  messages: number,
  message: Message,
  windowMax: number,
): Promise<number> {
  const broker = await startMosquitto({ config: ["log_type error"] });
  try {
    const beganMs = performance.now();
    await publishAll(broker.port, messages, message, windowMax);
    return (messages / (performance.now() - beganMs)) * 1000;
  } finally {
    await broker.end();
  }
}

/**
 * Messages a second that mosquitto's own bridge drains from its memory to another mosquitto, which counts them: between its first
 * and its last second, so that the time to connect is not counted.
 */
export async function drainBridge(
  messages: number,
  message: Message,
  windowMax: number,
): Promise<number> {
  const cloud = await startMosquitto({ config: ["log_type error", "sys_interval 1"] });
  await cloud.kill();
  const edge = await startMosquitto({
    config: [
      "log_type error",
      `max_inflight_messages ${windowMax}`,
      "connection cloud",
      `address 127.0.0.1:${cloud.port}`,
      "topic # out 1",
      "cleansession false",
      "restart_timeout 1",
      "bridge_protocol_version mqttv50",
      "try_private false",
      "notifications false",
    ],
  });
  try {
    await publishAll(edge.port, messages, message, windowMax);
    await cloud.start();
    const samples: Array<{ readonly ms: number; readonly count: number }> = [];
    const watcher = await connectAsync({ host: "127.0.0.1", port: cloud.port });
    watcher.on("message", (_topic, payload) =>
      samples.push({ ms: performance.now(), count: Number(payload.toString()) }),
    );
    await watcher.subscribeAsync("$SYS/broker/publish/messages/received");
    await until("the bridge drained", () => (samples.at(-1)?.count ?? 0) >= messages, 900_000);
    await watcher.endAsync(true);
    const moving = samples.filter(({ count }) => count > 0 && count < messages);
    const [first, last] = [moving[0], moving.at(-1)];
    if (first === undefined || last === undefined || first === last) return Number.NaN;
    return ((last.count - first.count) / (last.ms - first.ms)) * 1000;
  } finally {
    await edge.end();
    await cloud.end();
  }
}

async function publishAll(
  port: number,
  messages: number,
  { topic, payload }: Message,
  windowMax: number,
): Promise<void> {
  const client = await connectAsync({ host: "127.0.0.1", port, protocolVersion: 5 });
  // As the uplink does: otherwise Nagle's algorithm would be part of what is compared.
  (client.stream as Socket).setNoDelay(true);
  await new Promise<void>((resolve) => {
    let sent = 0;
    let acknowledged = 0;
    const next = () => {
      if (sent === messages) return;
      sent++;
      client.publish(topic, Buffer.from(payload), { qos: 1 }, () => {
        if (++acknowledged === messages) resolve();
        else next();
      });
    };
    for (let slot = 0; slot < windowMax; slot++) next();
  });
  await client.endAsync(true);
}
