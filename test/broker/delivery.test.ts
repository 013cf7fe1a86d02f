import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { withBroker } from "../support/broker.ts";
import { ack, kinds, publish, subscribe } from "../support/mqtt-words.ts";
import { RawClient } from "../support/raw-client.ts";

describe("delivery", () => {
  it("gives each message at the lower of its QoS and that of the subscription [MQTT-3.8.4-6]", () =>
    withBroker(async ({ port }) => {
      for (const granted of [0, 1, 2] as const) {
        const subscriber = await RawClient.connected(port, { clientId: "s" });
        await subscribe(subscriber, "plant/+/t", granted);
        const publisher = await RawClient.connected(port, { clientId: "p" });
        for (const qos of [0, 1, 2] as const) await exchange(publisher, subscriber, qos, granted);
        subscriber.drop();
        publisher.drop();
      }
    }));

  it("acknowledges QoS 1 and 2 only when the journal has committed, and delivers only then", () =>
    withBroker(async (site) => {
      const { port } = site;
      const subscriber = await RawClient.connected(port, { clientId: "s" });
      await subscribe(subscriber, "#", 2);
      const publisher = await RawClient.connected(port, { clientId: "p" });
      const release = site.hold();
      publisher.send(publish("a", "1", 1, 1), publish("a", "2", 2, 2), publish("a", "3", 0));
      await publisher.settled();
      await subscriber.settled();
      assert.deepEqual(kinds(publisher), ["connack", "pingresp"]);
      assert.deepEqual(kinds(subscriber), ["connack", "suback", "pingresp"]);
      release();
      assert.equal((await publisher.next("puback")).messageId, 1);
      assert.equal((await publisher.next("pubrec")).messageId, 2);
      assert.equal((await subscriber.next("publish")).payload.toString(), "1");
      assert.equal((await subscriber.next("publish")).payload.toString(), "2");
      assert.equal((await subscriber.next("publish")).payload.toString(), "3");
    }));

  it("sends a message once to a client whose subscriptions overlap, at the highest QoS [MQTT-3.3.5-1]", () =>
    withBroker(async ({ port }) => {
      const subscriber = await RawClient.connected(port, { clientId: "s" });
      await subscribe(subscriber, "a/#", 0);
      await subscribe(subscriber, "a/+", 1);
      await subscribe(subscriber, "a/b", 0);
      const publisher = await RawClient.connected(port, { clientId: "p" });
      publisher.send(publish("a/b", "x", 2, 1));
      assert.equal((await subscriber.next("publish")).qos, 1);
      await subscriber.settled();
      assert.equal(kinds(subscriber).filter((kind) => kind === "publish").length, 1);
    }));

  it("takes a repeated subscription in place of the earlier one [MQTT-3.8.4-3]", () =>
    withBroker(async ({ port }) => {
      const client = await RawClient.connected(port, { clientId: "s" });
      await subscribe(client, "a", 2);
      await subscribe(client, "a", 0);
      client.send(publish("a", "x", 1, 9));
      assert.equal((await client.next("publish")).qos, 0);
    }));

  it("routes a message to its own publisher when the SUBSCRIBE came before it, in one segment", () =>
    withBroker(async ({ port }) => {
      const client = await RawClient.connected(port, { clientId: "s" });
      const subscriptions = [{ topic: "a", qos: 0 as const }];
      client.send({ cmd: "subscribe", messageId: 1, subscriptions }, publish("a", "x", 0));
      await client.next("suback");
      assert.equal((await client.next("publish")).payload.toString(), "x");
    }));

  it("takes CONNECT, PUBLISH and DISCONNECT in one segment, and the end of the line with them", () =>
    withBroker(async ({ port, broker }) => {
      const subscriber = await RawClient.connected(port, { clientId: "s" });
      await subscribe(subscriber, "#", 0);
      const hasty = await RawClient.open(port);
      const will = { topic: "will", payload: Buffer.from("w"), qos: 0 as const, retain: false };
      hasty.send(
        { cmd: "connect", clientId: "hasty", clean: true, keepalive: 0, will },
        publish("a", "x", 0),
        { cmd: "disconnect" },
      );
      hasty.drop();
      assert.equal((await subscriber.next("publish")).payload.toString(), "x");
      await subscriber.settled();
      assert.equal(kinds(subscriber).filter((kind) => kind === "publish").length, 1, "no will");
      assert.equal(broker.status().connections, 1);
    }));

  it("keeps no more than the window in flight, and goes on in order as acknowledgements come", () =>
    withBroker(async ({ port }) => {
      const subscriber = await RawClient.connected(port, { clientId: "s" });
      await subscribe(subscriber, "a", 1);
      const publisher = await RawClient.connected(port, { clientId: "p" });
      for (let i = 1; i <= 100; i++) publisher.send(publish("a", `${i}`, 1, i));
      for (let i = 1; i <= 100; i++) await publisher.next("puback");
      await subscriber.settled();
      assert.equal(kinds(subscriber).filter((kind) => kind === "publish").length, 32);
      const ids = new Set<number>();
      let index = 0;
      for (const came of subscriber.received) {
        if (came.cmd !== "publish") continue;
        assert.equal(came.payload.toString(), `${++index}`);
        ids.add(came.messageId ?? 0);
        subscriber.send(ack("puback", came.messageId));
        if (index === 100) break;
        await subscriber.settled();
      }
      assert.equal(index, 100);
      assert.equal(ids.size, 100);
    }));

  it("acknowledges what it has taken before it stops", () =>
    withBroker(async (site) => {
      const publisher = await RawClient.connected(site.port, { clientId: "p" });
      const release = site.hold();
      publisher.send(publish("a", "1", 1, 1), publish("a", "2", 2, 2));
      await publisher.settled();
      const stopping = site.broker.stop();
      release();
      await stopping;
      await publisher.ended();
      assert.deepEqual(kinds(publisher), ["connack", "pingresp", "puback", "pubrec"]);
    }));

  it("delays nobody for a subscriber that never reads", () =>
    withBroker(async ({ port, broker }) => {
      const stalled = await RawClient.connected(port, { clientId: "stalled" });
      await subscribe(stalled, "#", 0);
      const reader = await RawClient.connected(port, { clientId: "reader" });
      await subscribe(reader, "#", 1);
      stalled.pause();
      const publisher = await RawClient.connected(port, { clientId: "p" });
      const payload = "x".repeat(60_000);
      for (let i = 1; i <= 300; i++) {
        publisher.send(publish("a", payload, 1, i));
        await publisher.next("puback");
        reader.send(ack("puback", (await reader.next("publish")).messageId));
      }
      assert.ok(
        (broker.status().dropped["output-full"] ?? 0) > 0,
        "the bound was reached and counted",
      );
    }));
});

/** One message, with all the acknowledgements of both sides. */
async function exchange(
  publisher: RawClient,
  subscriber: RawClient,
  qos: 0 | 1 | 2,
  granted: 0 | 1 | 2,
): Promise<void> {
  publisher.send(publish("plant/1/t", `${qos}`, qos, 5));
  const came = await subscriber.next("publish");
  assert.equal(came.payload.toString(), `${qos}`);
  assert.deepEqual([came.qos, came.dup, came.retain], [Math.min(qos, granted), false, false]);
  if (came.qos === 1) subscriber.send(ack("puback", came.messageId));
  if (came.qos === 2) await receiveTwice(subscriber, came.messageId);
  if (qos === 1) await publisher.next("puback");
  if (qos === 2) await completeTwice(publisher, 5);
}

async function receiveTwice(client: RawClient, messageId: number | undefined): Promise<void> {
  client.send(ack("pubrec", messageId));
  assert.equal((await client.next("pubrel")).messageId, messageId);
  client.send(ack("pubcomp", messageId));
}

async function completeTwice(client: RawClient, messageId: number): Promise<void> {
  assert.equal((await client.next("pubrec")).messageId, messageId);
  client.send(ack("pubrel", messageId));
  assert.equal((await client.next("pubcomp")).messageId, messageId);
}
