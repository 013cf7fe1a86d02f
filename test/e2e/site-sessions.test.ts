import assert from "node:assert/strict";
import { it } from "node:test";
import type { IPublishPacket, Packet } from "mqtt-packet";
import { RawClient } from "../support/raw-client.ts";
import { inSync, type SiteGateway, withTwoGateways } from "../support/site-gateway.ts";
import { until } from "../support/until.ts";

/** Its etcd misses a gateway soon. */
const withSite = (use: Parameters<typeof withTwoGateways>[0]) =>
  withTwoGateways(use, { registrationTtlSeconds: 3 });

it("a client whose gateway was killed finds its session at another one: subscriptions, every message once and in order", () =>
  withSite(async (a, b) => {
    const first = await subscriber(a);
    await publish(a, "a", 1, 5);
    await took(first, ["a 1", "a 2", "a 3", "a 4", "a 5"]);
    await until("what it acknowledged is known", async () => (await a.waiting("mover")) === 0);
    await settle();
    first.drop();
    await publish(a, "a", 6, 40);
    await publish(b, "b", 1, 40);
    await a.program.kill();
    await publish(b, "b", 41, 60);

    const { client, connack } = await comes(b);
    assert.equal(connack.sessionPresent, true);
    await took(client, numbered("a", 6, 40), numbered("b", 1, 60));
    await publish(b, "b", 61, 65);
    await took(client, numbered("b", 61, 65));
    client.drop();

    // It comes back with its disk, where the session still was.
    await publish(b, "b", 66, 70);
    await a.start();
    await publish(a, "a", 41, 45);
    const back = await comes(a);
    assert.equal(back.connack.sessionPresent, true);
    await took(back.client, numbered("a", 41, 45), numbered("b", 66, 70));
    const { replication } = await b.status();
    assert.equal(replication?.counters.sessionsMoved, 1);
  }));

it("a client that goes from one gateway to another is let go by the first one, and goes on with what was in flight, under the same identifiers", () =>
  withSite(async (a, b) => {
    const first = await subscriber(a);
    await publish(a, "a", 1, 30);
    await until("some are in flight", () => publishes(first).length >= 10);
    const [one, two, three] = publishes(first) as [IPublishPacket, IPublishPacket, IPublishPacket];
    for (const { messageId = 0 } of [one, two, three]) first.send({ cmd: "pubrec", messageId });
    for (const { messageId = 0 } of [one, two, three]) {
      assert.equal((await first.next("pubrel")).messageId, messageId);
    }
    first.send({ cmd: "pubcomp", messageId: one.messageId ?? 0 });
    await first.settled();
    const sent = publishes(first).map(({ messageId, payload }) => [messageId, String(payload)]);

    const { client, connack } = await comes(b);
    assert.equal(connack.sessionPresent, true);
    await first.ended();
    await until("the window is sent again", () => publishes(client).length >= sent.length - 3);
    const again = publishes(client).map(({ messageId, payload }) => [messageId, String(payload)]);
    assert.deepEqual(
      again.slice(0, sent.length - 3),
      sent.slice(3),
      "the same, and not what it has",
    );
    const released = client.received.filter(({ cmd }) => cmd === "pubrel");
    assert.deepEqual(
      released.map(({ messageId }) => messageId).filter((id) => id !== one.messageId),
      [two.messageId, three.messageId],
    );
    for (const packet of released)
      client.send({ cmd: "pubcomp", messageId: packet.messageId ?? 0 });
    await publish(a, "a", 31, 35);
    await took(client, numbered("a", 4, 35));
    assert.equal(await a.waiting("mover"), null, "it is not there any more");

    // Forgotten where it is, it is at no gateway.
    client.drop();
    await publish(b, "b", 1, 3);
    const forget = ["clients", "forget", "mover", "--confirm"];
    assert.match((await a.command(...forget)).err, /ERR_NOT_THERE/);
    await until("forgotten", async () => (await b.command(...forget)).code === 0);
    const anew = await comes(a);
    assert.equal(anew.connack.sessionPresent, false);
    await publish(b, "b", 4, 6);
    await settle();
    assert.deepEqual(publishes(anew.client), []);
    anew.client.drop();
    const moved = await comes(b);
    assert.equal(moved.connack.sessionPresent, true, "the one that began at the other gateway");
  }));

it("a message of QoS 2 that a client began to publish at a gateway that was lost is taken once", () =>
  withSite(async (a, b) => {
    const watcher = await subscriber(b, "watcher");
    const publisher = (await comes(a, "publisher")).client;
    publisher.send(message("x", 1, 7));
    await publisher.next("pubrec");
    await a.program.kill();
    const { client, connack } = await comes(b, "publisher");
    assert.equal(connack.sessionPresent, true);
    client.send({ ...message("x", 1, 7), dup: true });
    await client.next("pubrec");
    client.send({ cmd: "pubrel", messageId: 7 });
    await client.next("pubcomp");
    client.send(message("x", 2, 7));
    await client.next("pubrec");
    await took(watcher, ["x 1", "x 2"]);
  }));

it("the will of a client whose gateway is lost is published by the site, once, and not again when the gateway returns", () =>
  withSite(async (a, b) => {
    const watcher = await subscriber(b, "watcher");
    const will = { topic: "plant/will", payload: Buffer.from("will 1"), qos: 1 as const };
    await RawClient.connected(a.port, { clientId: "mortal", will: { ...will, retain: false } });
    const other = { ...will, payload: Buffer.from("will 2") };
    await RawClient.connected(a.port, { clientId: "wanderer", will: { ...other, retain: false } });
    await settle();
    await a.program.kill();
    // One who goes on at another gateway: its will comes before it does.
    await comes(b, "wanderer", true);
    await took(watcher, ["will 2"]);
    await took(watcher, ["will 1"]);
    await a.start();
    await inSync(a, b);
    await publish(a, "after", 1, 1);
    await took(watcher, ["after 1"]);
    assert.equal((await b.status()).replication?.counters.willsPublished, 2);
  }));

async function subscriber(gateway: SiteGateway, clientId = "mover"): Promise<RawClient> {
  const { client, connack } = await comes(gateway, clientId);
  assert.equal(connack.sessionPresent, false);
  const subscriptions = [{ topic: "plant/#", qos: 2 as const }];
  client.send({ cmd: "subscribe", messageId: 1, subscriptions });
  await client.next("suback");
  return client;
}

/** Tries again when it is refused, as clients do: a gateway that is slow may not have the session yet. */
async function comes(gateway: SiteGateway, clientId = "mover", clean = false) {
  for (let attempt = 1; ; attempt++) {
    const client = await RawClient.open(gateway.port);
    client.send({ cmd: "connect", clientId, clean, keepalive: 0 });
    try {
      const connack = await client.next("connack");
      if (connack.returnCode !== 3) {
        assert.equal(connack.returnCode, 0);
        return { client, connack };
      }
    } catch (error) {
      if (attempt >= 10) throw error;
    }
    assert.ok(attempt < 10, "let in");
    client.drop();
  }
}

/** Of QoS 2, and acknowledged. */
async function publish(gateway: SiteGateway, name: string, from: number, to: number) {
  const client = await RawClient.connected(gateway.port, { clientId: `to-${gateway.id}-${name}` });
  for (let n = from; n <= to; n++) {
    client.send(message(name, n, n));
    await client.next("pubrec");
    client.send({ cmd: "pubrel", messageId: n });
    await client.next("pubcomp");
  }
  client.drop();
}

function message(name: string, n: number, messageId: number): IPublishPacket {
  const payload = `${name} ${n}`;
  const packet = { cmd: "publish" as const, topic: `plant/${name}`, payload, qos: 2 as const };
  return { ...packet, messageId, retain: false, dup: false };
}

function numbered(name: string, from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, place) => `${name} ${from + place}`);
}

function publishes(client: RawClient): IPublishPacket[] {
  return client.received.filter((packet): packet is IPublishPacket => packet.cmd === "publish");
}

/** Exactly these came since it was asked last, of each name in this order; what comes is acknowledged. */
async function took(client: RawClient, ...wanted: readonly (readonly string[])[]): Promise<void> {
  const count = wanted.flat().length;
  const seen = new Map<string, string[]>();
  let total = 0;
  const take = (packet: Packet) => {
    const messageId = packet.messageId ?? 0;
    if (packet.cmd === "pubrel") client.send({ cmd: "pubcomp", messageId });
    if (packet.cmd !== "publish") return;
    if (packet.qos === 1) client.send({ cmd: "puback", messageId });
    if (packet.qos === 2) client.send({ cmd: "pubrec", messageId });
    const text = packet.payload.toString();
    const name = text.split(" ")[0] ?? "";
    seen.set(name, [...(seen.get(name) ?? []), text]);
    total++;
  };
  const look = () => {
    const from = dealt.get(client) ?? 0;
    dealt.set(client, client.received.length);
    for (const packet of client.received.slice(from)) take(packet);
  };
  await until(`${wanted.map((one) => one.at(-1)).join(", ")} came`, () => {
    look();
    return total >= count;
  }).catch((error: Error) => {
    throw new Error(`${error.message}; there came ${JSON.stringify([...seen.values()])}`);
  });
  await until("nothing is in flight any more", () => {
    look();
    return open(client) === 0;
  });
  await client.settled();
  look();
  for (const one of wanted) assert.deepEqual(seen.get(one[0]?.split(" ")[0] ?? ""), one);
  assert.equal(total, count, JSON.stringify([...seen.values()]));
}

/** Messages of QoS 2 that came and were not released. */
function open(client: RawClient): number {
  const released = client.received.filter(({ cmd }) => cmd === "pubrel");
  const ended = new Set(released.map(({ messageId }) => messageId));
  return publishes(client).filter(({ qos, messageId }) => qos === 2 && !ended.has(messageId))
    .length;
}

const dealt = new WeakMap<RawClient, number>();

/** What clients acknowledge is told to the other gateways some times a second. */
async function settle(): Promise<void> {
  await new Promise((done) => setTimeout(done, 1000));
}
