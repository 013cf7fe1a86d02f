import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it } from "node:test";
import packet from "mqtt-packet";
import { testListener, withBroker } from "../support/broker.ts";
import { publish, subscribe } from "../support/mqtt-words.ts";
import { RawClient } from "../support/raw-client.ts";
import { until } from "../support/until.ts";
import { dial, dialTcp, WIRES, withCertificates } from "../support/wires.ts";

/** Each is answered with as many bytes; 250 times this is more than sockets hold. */
const MANY_RELEASED = Buffer.alloc(65_536, packet.generate({ cmd: "pubrel", messageId: 1 }));

describe("a client that takes none of its output", () => {
  for (const wire of WIRES) {
    it(`over ${wire} is closed after one and a half times its keep-alive, though it is not read [MQTT-3.1.2-24]`, () =>
      withCertificates(({ server }) => {
        const secure = wire === "tls" || wire === "wss";
        const files = { certFile: server.cert, keyFile: server.key };
        return withBroker(
          async ({ port, broker }) => {
            const stream = await dial(wire, port);
            const mute = await RawClient.connected(stream, { clientId: "mute", keepalive: 1 });
            mute.pause();
            for (let i = 0; i < 250; i++) stream.write(MANY_RELEASED);
            await until("it is not read", () => broker.status().paused === 1);
            await until("it is closed", () => broker.status().connections === 0);
            assert.deepEqual(broker.status().closed, { "keep-alive": 1 });
            mute.drop();
          },
          {
            outputBytesMax: 65_536,
            listeners: [testListener({ type: wire, ...(secure && files) })],
          },
        );
      }));
  }

  it("and has no keep-alive is kept, within its bound", () =>
    withBroker(
      async ({ port, broker }) => {
        const mute = await RawClient.connected(port, { clientId: "mute", keepalive: 0 });
        const timed = await RawClient.connected(port, { clientId: "timed", keepalive: 1 });
        mute.pause();
        for (let i = 0; i < 250; i++) mute.send(MANY_RELEASED);
        await until("it is not read", () => broker.status().paused === 1);
        await timed.ended();
        assert.equal(broker.status().connections, 1);
        mute.drop();
      },
      { outputBytesMax: 65_536 },
    ));
});

describe("a client that we do not read ourselves", () => {
  it("is not silent: it lives through any time that the disk takes, and is timed again afterwards", () =>
    withBroker(
      async (site) => {
        const { port, broker } = site;
        const client = await RawClient.connected(port, { clientId: "c", keepalive: 1 });
        const witness = await RawClient.connected(port, { clientId: "w", keepalive: 1 });
        const release = site.hold();
        client.send(publish("a", "x".repeat(40_000), 1, 1), publish("a", "x".repeat(40_000), 1, 2));
        try {
          await until("it is not read", () => {
            client.send({ cmd: "pingreq" });
            return broker.status().paused === 1;
          });
          await witness.ended(); // the clock of those who are read went on
          assert.deepEqual(broker.status().closed, { "keep-alive": 1 });
        } finally {
          release();
        }
        await client.next("puback");
        await client.settled();
        await client.ended();
        assert.deepEqual(broker.status().closed, { "keep-alive": 2 });
      },
      { pendingBytesMax: 65_536 },
    ));
});

describe("a packet that does not end", () => {
  it("closes the connection in time, however busily its bytes drip", () =>
    withBroker(
      async ({ port, broker }) => {
        const slow = await RawClient.connected(port, { clientId: "slow", keepalive: 60 });
        const other = await RawClient.connected(port, { clientId: "other" });
        slow.send([0x30, 0xff, 0x7f, 0, 1, 97]);
        const drip = setInterval(() => slow.closed || slow.send([120]), 50);
        await slow.ended();
        clearInterval(drip);
        assert.deepEqual(broker.status().closed, { "packet not finished in time": 1 });
        await other.settled();
        other.drop();
      },
      { packetTimeoutMs: 1000 },
    ));

  it("is another one than the next: many short ones may take longer together", () =>
    withBroker(
      async ({ port, broker }) => {
        const client = await RawClient.connected(port, { clientId: "c" });
        await subscribe(client, "a", 0);
        const bytes = packet.generate(publish("a", "x".repeat(20), 0));
        const half = bytes.length / 2;
        const end = performance.now() + 2500;
        client.send(bytes.subarray(0, half));
        while (performance.now() < end) {
          // Never without a packet that has begun, and each ends soon.
          client.send(bytes.subarray(half), bytes.subarray(0, half));
          await client.next("publish");
        }
        assert.deepEqual(broker.status().closed, {});
        client.drop();
      },
      { packetTimeoutMs: 1000 },
    ));
});

describe("a flood of connections", () => {
  it("of 2,000 at once is bounded and counted, and those who are in are served on", () =>
    withBroker(
      async ({ port, broker }) => {
        const inside = await RawClient.connected(port, { clientId: "inside" });
        const sockets = await Promise.all(Array.from({ length: 2000 }, () => dialTcp(port)));
        await inside.settled();
        await until("all were answered", () => {
          return broker.status().connections + count(broker.status().closed) === 2001;
        });
        assert.equal(broker.status().connections, 100);
        assert.deepEqual(broker.status().closed, { "too many connections": 1901 });
        for (const socket of sockets) socket.destroy();
        await until("they are gone", () => broker.status().connections === 1);
        const late = await RawClient.connected(port, { clientId: "late" });
        await late.settled();
        for (const client of [inside, late]) client.drop();
      },
      { connectionsMax: 100 },
    ));

  it("of one address is bounded and counted", () =>
    withBroker(
      async ({ port, broker }) => {
        const first = await RawClient.connected(port, { clientId: "first" });
        const second = await dialTcp(port);
        await once(second.resume(), "close");
        assert.deepEqual(broker.status().closed, { "too many connections of one address": 1 });
        first.drop();
        await until("it is gone", () => broker.status().listeners[0]?.sockets === 0);
        const third = await RawClient.connected(port, { clientId: "third" });
        third.drop();
      },
      { connectionsPerAddressMax: 1 },
    ));
});

function count(reasons: Readonly<Record<string, number>>): number {
  return Object.values(reasons).reduce((sum, each) => sum + each, 0);
}
