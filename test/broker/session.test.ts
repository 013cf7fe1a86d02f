import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { withBroker } from "../support/broker.ts";
import {
  ack,
  changed,
  kinds,
  payloads,
  publish,
  retained,
  subscribe,
} from "../support/mqtt-words.ts";
import { RawClient } from "../support/raw-client.ts";

const KEEP = { clientId: "keeper", clean: false };

describe("a persistent session", () => {
  it("gets what came while its client was away, in order, QoS 1 and 2 alike, and nothing of QoS 0", () =>
    withBroker(async ({ port }) => {
      await leaveSubscribed(port, 2);
      const publisher = await RawClient.connected(port);
      for (let i = 1; i <= 9; i++) publisher.send(publish("a", `${i}`, (i % 3) as 0 | 1 | 2, i));
      await publisher.settled();
      const keeper = await RawClient.connected(port, KEEP);
      for (let i = 0; i < 6; i++) await keeper.next("publish");
      assert.deepEqual(payloads(keeper), ["1", "2", "4", "5", "7", "8"]);
      assert.deepEqual(connack(keeper), { returnCode: 0, sessionPresent: true });
    }));

  it("is present though it has no subscription, and absent after a clean one [MQTT-3.2.2-2]", () =>
    withBroker(async ({ port }) => {
      for (const [clean, present] of [
        [false, false],
        [false, true],
        [true, false],
        [false, false],
      ] as const) {
        const client = await RawClient.connected(port, { ...KEEP, clean });
        assert.equal(connack(client).sessionPresent, present);
        client.send({ cmd: "disconnect" });
        await client.ended();
      }
    }));

  it("repeats what was not acknowledged with DUP and the same packet identifier [MQTT-4.4.0-1]", () =>
    withBroker(async ({ port }) => {
      const keeper = await RawClient.connected(port, KEEP);
      await subscribe(keeper, "a", 1);
      const publisher = await RawClient.connected(port);
      for (let i = 1; i <= 3; i++) publisher.send(publish("a", `${i}`, 1, i));
      const ids: (number | undefined)[] = [];
      for (let i = 0; i < 3; i++) ids.push((await keeper.next("publish")).messageId);
      keeper.send(ack("puback", ids[1])); // out of order: the first stays the oldest
      await keeper.settled();
      keeper.drop();
      const again = await RawClient.connected(port, KEEP);
      for (const [payload, id] of [
        ["1", ids[0]],
        ["3", ids[2]],
      ] as const) {
        const came = await again.next("publish");
        assert.deepEqual([came.payload.toString(), came.messageId, came.dup], [payload, id, true]);
      }
      await again.settled();
      assert.deepEqual(payloads(again), ["1", "3"]);
    }));

  it("repeats PUBREL, not the message, once the client has said PUBREC [MQTT-4.3.3-1]", () =>
    withBroker(async ({ port }) => {
      const keeper = await RawClient.connected(port, KEEP);
      await subscribe(keeper, "a", 2);
      const publisher = await RawClient.connected(port);
      publisher.send(publish("a", "x", 2, 1));
      const { messageId } = await keeper.next("publish");
      keeper.send(ack("pubrec", messageId));
      await keeper.next("pubrel");
      keeper.drop();
      const again = await RawClient.connected(port, KEEP);
      assert.equal((await again.next("pubrel")).messageId, messageId);
      again.send(ack("pubcomp", messageId));
      await again.settled();
      assert.deepEqual(payloads(again), []);
    }));

  it("completes a QoS 2 message that its client has, though the subscription is lower or gone by then", () =>
    withBroker(async ({ port }) => {
      for (const change of ["lowered to 0", "lowered to 1", "gone"] as const) {
        const keeper = await RawClient.connected(port, KEEP);
        await subscribe(keeper, "a", 2);
        const publisher = await RawClient.connected(port);
        publisher.send(publish("a", "x", 2, 1));
        const { messageId } = await keeper.next("publish");
        keeper.send(ack("pubrec", messageId));
        await keeper.next("pubrel");
        await changed(keeper, change);
        keeper.drop();
        const again = await RawClient.connected(port, KEEP);
        assert.equal((await again.next("pubrel")).messageId, messageId, change);
        again.send(ack("pubcomp", messageId));
        await again.settled();
        assert.deepEqual(payloads(again), [], change);
        again.drop();
        const third = await RawClient.connected(port, KEEP);
        await third.settled();
        assert.deepEqual(kinds(third), ["connack", "pingresp"], change);
        third.drop();
        publisher.drop();
      }
    }));

  it("takes a QoS 2 message once, though the client repeats it after a reconnection [MQTT-4.3.3-2]", () =>
    withBroker(async ({ port }) => {
      const reader = await RawClient.connected(port, { clientId: "reader" });
      await subscribe(reader, "a", 1);
      const first = await RawClient.connected(port, KEEP);
      first.send(publish("a", "x", 2, 7));
      await first.next("pubrec");
      first.drop();
      const again = await RawClient.connected(port, KEEP);
      again.send({ ...publish("a", "x", 2, 7), dup: true });
      await again.next("pubrec");
      again.send(ack("pubrel", 7));
      await again.next("pubcomp");
      again.send(publish("a", "y", 2, 7));
      await again.next("pubrec");
      await reader.settled();
      assert.deepEqual(payloads(reader), ["x", "y"]);
    }));

  it("drops the oldest when its queue is full, counted, and can drop the new instead", async () => {
    for (const [queueWhenFull, expected] of [
      ["drop-oldest", ["4", "5", "6"]],
      ["drop-new", ["1", "2", "3"]],
    ] as const) {
      await withBroker(
        async ({ port, broker }) => {
          await leaveSubscribed(port, 1);
          const publisher = await RawClient.connected(port);
          for (let i = 1; i <= 6; i++) publisher.send(publish("a", `${i}`, 1, i));
          for (let i = 1; i <= 6; i++) await publisher.next("puback");
          const keeper = await RawClient.connected(port, KEEP);
          for (let i = 0; i < 3; i++) await keeper.next("publish");
          await keeper.settled();
          assert.deepEqual(payloads(keeper), expected, queueWhenFull);
          assert.equal(broker.status().dropped["queue-full"], 3);
        },
        { queueMessagesMax: 3, queueWhenFull },
      );
    }
  });

  it("survives a restart of the gateway: subscriptions, queue, identifiers, what was released", () =>
    withBroker(async (site) => {
      const keeper = await RawClient.connected(site.port, KEEP);
      await subscribe(keeper, "a/+", 2);
      const publisher = await RawClient.connected(site.port);
      publisher.send(publish("a/1", "1", 2, 1), publish("a/1", "2", 1, 2));
      const first = await keeper.next("publish");
      const second = await keeper.next("publish");
      keeper.send(ack("pubrec", first.messageId));
      await keeper.next("pubrel");
      await site.restart();
      const other = await RawClient.connected(site.port);
      other.send(publish("a/2", "3", 1, 1));
      await other.next("puback");
      const again = await RawClient.connected(site.port, KEEP);
      assert.equal(connack(again).sessionPresent, true);
      assert.equal((await again.next("pubrel")).messageId, first.messageId);
      const repeated = await again.next("publish");
      assert.deepEqual([repeated.messageId, repeated.dup], [second.messageId, true]);
      assert.equal((await again.next("publish")).payload.toString(), "3");
    }));

  it("is taken over by a second connection of its client, which gets what the first left [MQTT-3.1.4-2]", () =>
    withBroker(async ({ port }) => {
      const first = await RawClient.connected(port, KEEP);
      await subscribe(first, "a", 1);
      const publisher = await RawClient.connected(port);
      publisher.send(publish("a", "x", 1, 1));
      await first.next("publish");
      const second = await RawClient.connected(port, KEEP);
      await first.ended();
      assert.equal((await second.next("publish")).dup, true);
    }));
});

describe("retained messages", () => {
  it("reach a new subscription with RETAIN, the last of each topic, and not those deleted [MQTT-3.3.1-8]", () =>
    withBroker(async (site) => {
      const publisher = await RawClient.connected(site.port);
      publisher.send(
        retained("r/1", "old", 1, 1),
        retained("r/1", "new", 1, 2),
        retained("r/2", "gone", 1, 3),
        retained("r/2", "", 1, 4),
        retained("r/3", "zero", 0),
      );
      for (let i = 0; i < 4; i++) await publisher.next("puback");
      for (const round of ["at once", "after a restart"]) {
        const reader = await RawClient.connected(site.port, { clientId: "reader" });
        await subscribe(reader, "r/+", 1);
        await reader.next("publish");
        await reader.next("publish");
        await reader.settled();
        assert.deepEqual(payloads(reader).sort(), ["new", "zero"], round);
        assert.equal(
          reader.received.every((came) => came.cmd !== "publish" || came.retain),
          true,
        );
        if (round === "at once") await site.restart();
      }
    }));

  it("that a persistent session has not acknowledged come again, in their order, and then the others", () =>
    withBroker(async ({ port }) => {
      const publisher = await RawClient.connected(port);
      for (let i = 1; i <= 40; i++) publisher.send(retained(`r/${i}`, `${i}`, 1, i));
      for (let i = 1; i <= 40; i++) await publisher.next("puback");
      const keeper = await RawClient.connected(port, KEEP);
      await subscribe(keeper, "r/+", 1);
      await keeper.settled();
      const first = payloads(keeper);
      assert.equal(first.length, 32, "the window");
      keeper.drop();
      const again = await RawClient.connected(port, KEEP);
      await again.settled();
      assert.deepEqual(payloads(again), first);
      for (const came of [...again.received]) {
        if (came.cmd !== "publish") continue;
        assert.equal(came.dup, true);
        again.send(ack("puback", came.messageId));
      }
      await again.settled();
      assert.equal(payloads(again).length, 40);
    }));

  it("reach those subscribed already without RETAIN [MQTT-3.3.1-9]", () =>
    withBroker(async ({ port }) => {
      const reader = await RawClient.connected(port, { clientId: "reader" });
      await subscribe(reader, "r", 1);
      const publisher = await RawClient.connected(port);
      publisher.send(retained("r", "x", 1, 1), retained("r", "y", 0));
      assert.equal((await reader.next("publish")).retain, false);
      assert.equal((await reader.next("publish")).retain, false);
    }));

  it("are bounded, and the one too many is counted", () =>
    withBroker(
      async ({ port, broker }) => {
        const publisher = await RawClient.connected(port);
        publisher.send(
          retained("1", "x", 1, 1),
          retained("2", "x", 1, 2),
          retained("1", "y", 1, 3),
        );
        for (let i = 0; i < 3; i++) await publisher.next("puback");
        assert.equal(broker.status().retained, 1);
        assert.equal(broker.status().dropped["retained-full"], 1);
      },
      { retainedMax: 1 },
    ));
});

describe("wills", () => {
  const will = { topic: "will", payload: Buffer.from("gone"), qos: 1 as const, retain: false };

  it("are published when a connection ends without DISCONNECT, and not after it [MQTT-3.1.2-8, MQTT-3.1.2-10]", () =>
    withBroker(async ({ port }) => {
      const reader = await RawClient.connected(port, { clientId: "reader" });
      await subscribe(reader, "will", 1);
      const polite = await RawClient.connected(port, { clientId: "polite", will });
      polite.send({ cmd: "disconnect" });
      await polite.ended();
      const rude = await RawClient.connected(port, { clientId: "rude", will });
      rude.drop();
      await reader.next("publish");
      await reader.settled();
      assert.deepEqual(payloads(reader), ["gone"]);
    }));

  it("are published when keep-alive has run out one and a half times [MQTT-3.1.2-24]", () =>
    withBroker(async ({ port, broker }) => {
      const reader = await RawClient.connected(port, { clientId: "reader" });
      await subscribe(reader, "will", 1);
      const silent = await RawClient.connected(port, { clientId: "silent", keepalive: 1, will });
      await reader.next("publish");
      await silent.ended();
      assert.equal(broker.status().closed["keep-alive"], 1);
    }));

  it("of clients that were connected when the gateway died are published at its next start", () =>
    withBroker(async (site) => {
      const keeper = await RawClient.connected(site.port, KEEP);
      await subscribe(keeper, "will", 1);
      keeper.send({ cmd: "disconnect" });
      await RawClient.connected(site.port, { clientId: "rude", will });
      await site.restart("crash");
      const again = await RawClient.connected(site.port, KEEP);
      assert.equal((await again.next("publish")).payload.toString(), "gone");
    }));
});

describe("subscriptions", () => {
  it("beyond the bound of a session are refused with 128", () =>
    withBroker(
      async ({ port }) => {
        const client = await RawClient.connected(port);
        await subscribe(client, "1", 0);
        client.send({ cmd: "subscribe", messageId: 2, subscriptions: [{ topic: "2", qos: 0 }] });
        assert.deepEqual((await client.next("suback")).granted, [128]);
      },
      { subscriptionsMax: 1 },
    ));

  it("with a filter twice in one SUBSCRIBE are answered twice, and the last QoS holds [MQTT-3.8.4-5]", () =>
    withBroker(async ({ port }) => {
      for (const clean of [true, false]) {
        const client = await RawClient.connected(port, { clientId: `${clean}`, clean });
        const subscriptions = [
          { topic: "a", qos: 2 as const },
          { topic: "b", qos: 0 as const },
          { topic: "$share/g", qos: 1 as const },
          { topic: "a", qos: 1 as const },
        ];
        client.send({ cmd: "subscribe", messageId: 9, subscriptions }, publish("a", "x", 2, 1));
        const { messageId, granted } = await client.next("suback");
        assert.deepEqual([messageId, granted], [9, [2, 0, 128, 1]]);
        assert.equal((await client.next("publish")).qos, 1);
        client.send({ cmd: "subscribe", messageId: 10, subscriptions: subscriptions.slice(1, 2) });
        assert.deepEqual((await client.next("suback")).granted, [0], "others are answered as ever");
        client.drop();
      }
    }));

  it("end with UNSUBSCRIBE, which is answered whether there was one or not [MQTT-3.10.4-5]", () =>
    withBroker(async ({ port }) => {
      const client = await RawClient.connected(port);
      await subscribe(client, "a", 0);
      client.send({ cmd: "unsubscribe", messageId: 3, unsubscriptions: ["a", "never"] });
      assert.equal((await client.next("unsuback")).messageId, 3);
      client.send(publish("a", "x", 0));
      await client.settled();
      assert.equal(kinds(client).includes("publish"), false);
    }));

  it("to $SYS are open, publishing there is not: it is acknowledged and goes nowhere [MQTT-3.3.5-2]", () =>
    withBroker(async ({ port }) => {
      const client = await RawClient.connected(port);
      await subscribe(client, "$SYS/#", 1);
      client.send(publish("$SYS/x", "x", 1, 5));
      await client.next("puback");
      await client.settled();
      assert.equal(kinds(client).includes("publish"), false);
    }));
});

async function leaveSubscribed(port: number, qos: 0 | 1 | 2): Promise<void> {
  const keeper = await RawClient.connected(port, KEEP);
  await subscribe(keeper, "a", qos);
  keeper.send({ cmd: "disconnect" });
  await keeper.ended();
}

function connack(client: RawClient): { returnCode: number | undefined; sessionPresent: boolean } {
  const came = client.received.find(({ cmd }) => cmd === "connack");
  assert.ok(came?.cmd === "connack");
  return { returnCode: came.returnCode, sessionPresent: came.sessionPresent };
}
