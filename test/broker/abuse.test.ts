import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, it } from "node:test";
import packet from "mqtt-packet";
import { withBroker } from "../support/broker.ts";
import { ack, kinds, payloads, publish, subscribe } from "../support/mqtt-words.ts";
import { RawClient } from "../support/raw-client.ts";
import { until } from "../support/until.ts";

/** Names that objects have of themselves: harmless where maps are maps. */
const INHERITED = ["__proto__", "constructor", "toString", "hasOwnProperty", "prototype"];

describe("acknowledgements of the wrong kind", () => {
  it("change nothing and are counted: PUBREC for QoS 1, PUBACK and PUBCOMP for QoS 2 that was not received", () =>
    withBroker(async ({ port, broker }) => {
      for (const clean of [true, false]) {
        const subscriber = await RawClient.connected(port, { clientId: `s${clean}`, clean });
        await subscribe(subscriber, "a", 2);
        const publisher = await RawClient.connected(port, { clientId: "p" });
        publisher.send(publish("a", "one", 1, 1), publish("a", "two", 2, 2));
        const one = await subscriber.next("publish");
        const two = await subscriber.next("publish");
        const before = broker.status().dropped["acknowledgement of nothing"] ?? 0;
        subscriber.send(
          ack("pubrec", one.messageId),
          ack("puback", two.messageId),
          ack("pubcomp", two.messageId),
          ack("puback", 12_345),
        );
        await subscriber.settled();
        assert.equal(broker.status().dropped["acknowledgement of nothing"], before + 4);
        assert.equal(kinds(subscriber).includes("pubrel"), false);
        subscriber.drop();
        if (clean) continue;
        const again = await RawClient.connected(port, { clientId: `s${clean}`, clean });
        await again.next("publish");
        await again.next("publish");
        assert.deepEqual(payloads(again), ["one", "two"], "both are still owed");
      }
    }));
});

describe("one client id", () => {
  it("from 200 connections at once leaves one open, and one session", () =>
    withBroker(async ({ port, broker }) => {
      for (const clean of [true, false]) {
        const clients = await Promise.all(Array.from({ length: 200 }, () => RawClient.open(port)));
        for (const client of clients) {
          client.send({ cmd: "connect", clientId: "one", clean, keepalive: 0 });
        }
        const open = () => clients.filter(({ closed }) => !closed);
        await until("one is open", () => open().length === 1);
        const [last] = open();
        assert.ok(last !== undefined);
        await last.settled();
        assert.deepEqual([open().length, broker.status().connections], [1, 1]);
        assert.equal(broker.status().sessions, 1);
        await subscribe(last, "a", 1);
        last.send(publish("a", "x", 0));
        assert.equal((await last.next("publish")).payload.toString(), "x");
        last.drop();
        await until("it is gone", () => broker.status().connections === 0);
      }
    }));
});

describe("names that every object has", () => {
  it("are client ids, topics and filters like others", () =>
    withBroker(async ({ port, broker }) => {
      for (const name of INHERITED) {
        const keep = { clientId: name, clean: false };
        const first = await RawClient.connected(port, keep);
        await subscribe(first, name, 1);
        await subscribe(first, `${name}/${name}/#`, 1);
        first.send({ ...publish(name, "kept", 1, 1), retain: true });
        first.send(ack("puback", (await first.next("publish")).messageId));
        first.send({ cmd: "disconnect" });
        await first.ended();
        const publisher = await RawClient.connected(port, { clientId: "p" });
        publisher.send(publish(`${name}/${name}`, "queued", 1, 1));
        await publisher.next("puback");
        const again = await RawClient.connected(port, keep);
        const queued = await again.next("publish");
        assert.deepEqual([queued.topic, queued.payload.toString()], [`${name}/${name}`, "queued"]);
        const reader = await RawClient.connected(port, { clientId: "reader" });
        await subscribe(reader, name, 0);
        assert.equal((await reader.next("publish")).payload.toString(), "kept");
        for (const client of [again, publisher, reader]) client.drop();
      }
      await until("all are gone", () => broker.status().connections === 0);
      assert.equal(broker.status().sessions, INHERITED.length);
      assert.equal(broker.status().retained, INHERITED.length);
      assert.equal(({} as Record<string, unknown>)["kept"], undefined);
    }));
});

describe("bounds", () => {
  it("on what waits for a subscriber that never acknowledges: others get all, and it the newest", () =>
    withBroker(
      async ({ port, broker }) => {
        const deaf = await RawClient.connected(port, { clientId: "deaf", clean: true });
        const keeper = await RawClient.connected(port, { clientId: "keeper", clean: false });
        const good = await RawClient.connected(port, { clientId: "good" });
        for (const client of [deaf, keeper, good]) await subscribe(client, "a", 1);
        const publisher = await RawClient.connected(port, { clientId: "p" });
        for (let i = 1; i <= 500; i++) {
          publisher.send(publish("a", `${i}`, 1, i));
          await publisher.next("puback");
          good.send(ack("puback", (await good.next("publish")).messageId));
        }
        await good.settled();
        assert.equal(payloads(good).length, 500);
        for (const client of [deaf, keeper]) {
          await client.settled();
          assert.equal(payloads(client).length, 32, "no more than the window is in flight");
        }
        const dropped = broker.status().dropped["queue-full"] ?? 0;
        // deaf has 32 in flight and 50 waiting, keeper's queue has 50 with those in flight.
        assert.equal(dropped, 500 - 82 + (500 - 50));
        keeper.drop();
        const again = await RawClient.connected(port, { clientId: "keeper", clean: false });
        for (let i = 451; i <= 482; i++) {
          assert.equal((await again.next("publish")).payload.toString(), `${i}`);
        }
      },
      { queueMessagesMax: 50 },
    ));

  it("on what waits for a subscriber that never reads, at QoS 1 and with a full queue: its window", () =>
    withBroker(
      async ({ port }) => {
        const deaf = await RawClient.connected(port, { clientId: "deaf", clean: false });
        await subscribe(deaf, "a", 1);
        deaf.pause();
        const publisher = await RawClient.connected(port, { clientId: "p" });
        const payload = "x".repeat(60_000);
        for (let i = 1; i <= 500; i++) {
          publisher.send(publish("a", payload, 1, i));
          await publisher.next("puback");
        }
        deaf.resume();
        await deaf.settled();
        assert.equal(payloads(deaf).length, 32);
      },
      { queueMessagesMax: 50 },
    ));

  it("on what waits for a client that sends and never reads: it is not read any further", () =>
    withBroker(
      async ({ port, broker }) => {
        const other = await RawClient.connected(port, { clientId: "other" });
        const socket = connect({ port, host: "127.0.0.1" });
        socket.pause();
        socket.write(
          packet.generate({ cmd: "connect", clientId: "mute", clean: true, keepalive: 0 }),
        );
        const released = packet.generate({ cmd: "pubrel", messageId: 1 });
        const count = 4_000_000;
        socket.write(Buffer.alloc(count * released.length, released));
        await until("it is not read", () => broker.status().paused === 1);
        await other.settled();
        let answered = 0;
        socket.on("data", (chunk) => {
          answered += chunk.length;
        });
        socket.resume();
        await until("all is answered", () => answered === 4 + count * released.length);
        assert.equal(broker.status().paused, 0);
        socket.destroy();
      },
      { outputBytesMax: 65_536 },
    ));

  it("on sessions: a client too many is refused with 3, and those there are served on", () =>
    withBroker(
      async ({ port, broker }) => {
        for (const clientId of ["1", "2"]) {
          const client = await RawClient.connected(port, { clientId, clean: false });
          client.send({ cmd: "disconnect" });
          await client.ended();
        }
        const third = await RawClient.open(port);
        third.send({ cmd: "connect", clientId: "3", clean: false, keepalive: 0 });
        assert.equal((await third.next("connack")).returnCode, 3);
        await third.ended();
        const first = await RawClient.connected(port, { clientId: "1", clean: false });
        await first.settled();
        assert.equal(broker.status().sessions, 2);
      },
      { sessionsMax: 2 },
    ));

  it("on QoS 2 messages that a client leaves half sent: the connection is closed", () =>
    withBroker(
      async ({ port, broker }) => {
        const client = await RawClient.connected(port, { clientId: "half" });
        for (let i = 1; i <= 4; i++) client.send(publish("a", "x", 2, i));
        await client.ended();
        const closed = broker.status().closed["too many QoS 2 messages wait for PUBREL"];
        assert.equal(closed, 1);
      },
      { inboundInflightMax: 3 },
    ));

  it("on the levels of topics and filters: a filter too deep is not granted, a topic too deep closes", () =>
    withBroker(
      async ({ port, broker }) => {
        const client = await RawClient.connected(port, { clientId: "deep" });
        const subscriptions = ["a/b/c/d", "a/b/c", "$share/g/a/b/c", "$share/g/a/b/c/d"].map(
          (topic) => ({ topic, qos: 0 as const }),
        );
        client.send({ cmd: "subscribe", messageId: 1, subscriptions });
        assert.deepEqual((await client.next("suback")).granted, [128, 0, 0, 128]);
        client.send(publish("a/b/c/d", "x", 0));
        await client.ended();
        assert.deepEqual(broker.status().closed, { "topic has too many levels": 1 });
      },
      { topicLevelsMax: 3 },
    ));
});
