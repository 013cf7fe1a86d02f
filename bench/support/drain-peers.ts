import type { Socket } from "node:net";
import { connectAsync } from "mqtt";
import { startMosquitto } from "../../test/support/mosquitto.ts";
import { until } from "../../test/support/until.ts";
import { cpuMs } from "./cpu.ts";
import { DrainReceiver } from "./drain-receiver.ts";

interface Message {
  readonly topic: string;
  readonly payload: Uint8Array;
}

export interface Drained {
  readonly perSecond: number;
  /** Microseconds of the processor for a message: of who sends, all its threads, and of the mosquitto that receives. */
  readonly senderUs: number;
  readonly receiverUs: number;
}

/** A bare client of the package `mqtt` in this process. */
export async function drainBare(
  messages: number,
  message: Message,
  windowMax: number,
): Promise<Drained> {
  const receiver = await DrainReceiver.make();
  try {
    await receiver.begin();
    const used = await cpuOf(process.pid, receiver.broker.pid());
    await publishAll(receiver.broker.port, messages, message, windowMax);
    const [senderUs, receiverUs] = await used(messages);
    return { perSecond: receiver.perSecond(messages), senderUs, receiverUs };
  } finally {
    await receiver.end();
  }
}

/** mosquitto's own bridge, from its memory. */
export async function drainBridge(
  messages: number,
  message: Message,
  windowMax: number,
): Promise<Drained> {
  const receiver = await DrainReceiver.make();
  const edge = await startMosquitto({
    config: [
      "log_type error",
      `max_inflight_messages ${windowMax}`,
      "connection cloud",
      `address 127.0.0.1:${receiver.broker.port}`,
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
    await receiver.begin();
    const used = await cpuOf(edge.pid(), receiver.broker.pid());
    await until("the bridge drained", () => receiver.received >= messages, 900_000);
    const [senderUs, receiverUs] = await used(messages);
    return { perSecond: receiver.perSecond(messages), senderUs, receiverUs };
  } finally {
    await edge.end();
    await receiver.end();
  }
}

/** Of two processes: what they use from now until the returned function is called, for each of so many messages. */
export async function cpuOf(
  sender: number,
  receiver: number,
): Promise<(messages: number) => Promise<readonly [number, number]>> {
  const [sent, received] = await Promise.all([cpuMs(sender), cpuMs(receiver)]);
  return async (messages) => {
    const [sentMs, receivedMs] = await Promise.all([cpuMs(sender), cpuMs(receiver)]);
    const each = (ms: number) => (ms * 1000) / messages;
    return [each(sentMs - sent), each(receivedMs - received)];
  };
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
