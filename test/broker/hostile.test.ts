import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it } from "node:test";
import packet from "mqtt-packet";
import WebSocket from "ws";
import { testListener, withBroker } from "../support/broker.ts";
import { memory } from "../support/memory.ts";
import { payloads, publish, retained, subscribe } from "../support/mqtt-words.ts";
import { RawClient } from "../support/raw-client.ts";
import { until } from "../support/until.ts";

const MIB = 2 ** 20;

/** What one client that is let in may take of the broker: each attack was written before its answer. */
describe("a hostile client", () => {
  it("that pings over WebSocket and never reads makes nobody hold its pongs", () =>
    withBroker(
      async ({ port, broker }) => {
        const ws = new WebSocket(`ws://127.0.0.1:${port}/mqtt`, "mqtt");
        await once(ws, "open");
        ws.send(packet.generate({ cmd: "connect", clientId: "c", clean: true, keepalive: 0 }));
        await until("it is in", () => broker.status().sessions === 1);
        ws.pause();
        const before = await memory();
        const said = Buffer.alloc(125, 1);
        for (let sent = 0; sent < 150_000; sent += 1000) {
          const written = new Promise((resolve) => ws.ping(said, true, resolve));
          for (let i = 1; i < 1000; i++) ws.ping(said, true);
          await written;
        }
        const after = await memory();
        assert.equal(broker.status().connections, 1, "it is still there");
        const more = after.buffers - before.buffers + (after.heap - before.heap);
        assert.ok(more < 16 * MIB, `${more} bytes more`);
        ws.terminate();
        const other = new WebSocket(`ws://127.0.0.1:${port}/mqtt`, "mqtt");
        await once(other, "open");
        other.ping("still there");
        const [pong] = await once(other, "pong");
        assert.equal(String(pong), "still there");
        other.terminate();
      },
      { listeners: [testListener({ type: "ws" })] },
    ));

  it("that subscribes to, or leaves, more filters in a packet than allowed is closed, and counted", () =>
    withBroker(
      async ({ port, broker }) => {
        const topics = Array.from({ length: 11 }, (_, i) => `t/${i}`);
        const subscriptions = topics.map((topic) => ({ topic, qos: 0 as const }));
        const one = await RawClient.connected(port, { clientId: "one" });
        one.send({ cmd: "subscribe", messageId: 1, subscriptions: subscriptions.slice(1) });
        assert.equal((await one.next("suback")).granted.length, 10);
        one.send({ cmd: "subscribe", messageId: 2, subscriptions });
        await one.ended();
        const two = await RawClient.connected(port, { clientId: "two" });
        two.send({ cmd: "unsubscribe", messageId: 1, unsubscriptions: topics });
        await two.ended();
        assert.equal(broker.status().closed["too many topic filters in a packet"], 2);
      },
      { packetFiltersMax: 10 },
    ));

  it("that asks for all retained messages twice over holds up nobody, and gets them all", () =>
    withBroker(
      async ({ port, broker }) => {
        const publisher = await RawClient.connected(port, { clientId: "p" });
        for (let i = 0; i < 5000; i++) publisher.send(retained(`r/${i % 100}/${i}`, "x", 0));
        publisher.send(retained("r/last", "x", 1, 1));
        await until("all are retained", () => broker.status().retained === 5001);
        const hostile = await RawClient.connected(port, { clientId: "h" });
        const subscriptions = ["#", "+/#"].map((topic) => ({ topic, qos: 0 as const }));
        hostile.send({ cmd: "subscribe", messageId: 1, subscriptions });
        hostile.send(publish("mark", "in order", 1, 7));
        const other = await RawClient.connected(port, { clientId: "other" });
        let answers = 0;
        while (!hostile.received.some(({ cmd }) => cmd === "puback")) {
          await other.settled();
          answers++;
        }
        const got = payloads(hostile).filter((each) => each === "x").length;
        assert.equal(got, 2 * 5001);
        assert.ok(answers > 3, `${answers} answers meanwhile`);
      },
      { retainedMax: 20_000, outputBytesMax: 65_536 },
    ));

  it("that fills the retained messages' memory is stopped at its bound; the last one of a topic is never an old one", () =>
    withBroker(
      async ({ port, broker }) => {
        const client = await RawClient.connected(port, { clientId: "c" });
        for (let i = 0; i < 4; i++) {
          client.send(retained(`t/${i}`, "x".repeat(3000), 1, i + 1));
          await client.next("puback");
        }
        assert.equal(broker.status().retained, 3);
        client.send(retained("t/0", "y".repeat(9000), 1, 9));
        await client.next("puback");
        assert.equal(broker.status().retained, 2);
        assert.equal(broker.status().dropped["retained-full"], 2);
        client.send(retained("t/3", "z".repeat(3000), 1, 10));
        await client.next("puback");
        await subscribe(client, "t/#", 0);
        await client.settled();
        assert.deepEqual(
          payloads(client)
            .map((each) => each[0])
            .sort(),
          ["x", "x", "z"],
        );
      },
      { retainedBytesMax: 10_000 },
    ));

  it("that sends a flood of PINGREQ and never reads is not read further than its bound", () =>
    withBroker(
      async ({ port, broker }) => {
        const flood = Buffer.alloc(65_536);
        for (let at = 0; at < flood.length; at += 2) flood[at] = 0xc0;
        const hostile = await RawClient.connected(port, { clientId: "h" });
        hostile.pause();
        const before = await memory();
        let stopped = false;
        void until("it is not read", () => broker.status().paused === 1).then(() => {
          stopped = true;
        });
        const other = await RawClient.connected(port, { clientId: "other" });
        while (!stopped) {
          hostile.send(flood);
          await other.settled();
        }
        const after = await memory();
        assert.ok(after.heap - before.heap < 16 * MIB, `${after.heap - before.heap} bytes of heap`);
        for (const client of [hostile, other]) client.drop();
      },
      { outputBytesMax: 65_536 },
    ));
});
