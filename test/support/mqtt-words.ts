import assert from "node:assert/strict";
import type { RawClient } from "./raw-client.ts";

/** Packets as tests write them. */
export function publish(topic: string, payload: string, qos: 0 | 1 | 2, messageId?: number) {
  const id = messageId === undefined ? {} : { messageId };
  return { cmd: "publish", topic, payload, qos, dup: false, retain: false, ...id } as const;
}

export function retained(topic: string, payload: string, qos: 0 | 1 | 2, messageId?: number) {
  return { ...publish(topic, payload, qos, messageId), retain: true };
}

export function ack(
  cmd: "puback" | "pubrec" | "pubrel" | "pubcomp",
  messageId: number | undefined,
) {
  return { cmd, messageId: messageId ?? 0 } as const;
}

/** Subscribes, and asserts that the QoS asked for was granted. */
export async function subscribe(client: RawClient, topic: string, qos: 0 | 1 | 2): Promise<void> {
  client.send({ cmd: "subscribe", messageId: 77, subscriptions: [{ topic, qos }] });
  assert.deepEqual((await client.next("suback")).granted, [qos]);
}

/** The kinds of all packets that came, in order. */
export function kinds(client: RawClient): string[] {
  return client.received.map(({ cmd }) => cmd);
}

/** The payloads of all messages that came, in order. */
export function payloads(client: RawClient): string[] {
  return client.received.flatMap((came) =>
    came.cmd === "publish" ? [came.payload.toString()] : [],
  );
}

/** Has a subscription lowered, or ended; resolves when that is acknowledged. */
export async function changed(
  client: RawClient,
  change: "lowered to 0" | "lowered to 1" | "gone",
  filter = "a",
): Promise<void> {
  if (change !== "gone") await subscribe(client, filter, change === "lowered to 0" ? 0 : 1);
  else {
    client.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: [filter] });
    await client.next("unsuback");
  }
}
