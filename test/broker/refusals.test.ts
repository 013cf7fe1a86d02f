import assert from "node:assert/strict";
import { describe, it } from "node:test";
import packet from "mqtt-packet";
import { withBroker } from "../support/broker.ts";
import { RawClient } from "../support/raw-client.ts";

/** Bytes that a client may not send once it is connected, and the reason that is counted. */
const REFUSED: readonly (readonly [name: string, bytes: readonly number[], reason: string])[] = [
  ["a second CONNECT [MQTT-3.1.0-2]", connect(), "packet not allowed, or with reserved flags"],
  ["CONNACK from a client", [0x20, 2, 0, 0], "packet not allowed, or with reserved flags"],
  ["packet type 0", [0x00, 0], "packet not allowed, or with reserved flags"],
  ["packet type 15", [0xf0, 0], "packet not allowed, or with reserved flags"],
  [
    "PUBACK with reserved flags [MQTT-2.2.2-2]",
    [0x41, 2, 0, 1],
    "packet not allowed, or with reserved flags",
  ],
  [
    "PUBREL without its flags [MQTT-3.6.1-1]",
    [0x60, 2, 0, 1],
    "packet not allowed, or with reserved flags",
  ],
  [
    "SUBSCRIBE without its flags [MQTT-3.8.1-1]",
    [0x80, 6, 0, 1, 0, 1, 97, 0],
    "packet not allowed, or with reserved flags",
  ],
  [
    "UNSUBSCRIBE without its flags [MQTT-3.10.1-1]",
    [0xa0, 5, 0, 1, 0, 1, 97],
    "packet not allowed, or with reserved flags",
  ],
  [
    "DISCONNECT with flags [MQTT-3.14.1-1]",
    [0xe1, 0],
    "packet not allowed, or with reserved flags",
  ],
  ["SUBSCRIBE without a filter [MQTT-3.8.3-3]", [0x82, 2, 0, 1], "no topic filter"],
  ["UNSUBSCRIBE without a filter [MQTT-3.10.3-2]", [0xa2, 2, 0, 1], "no topic filter"],
  [
    "SUBSCRIBE with identifier 0 [MQTT-2.3.1-1]",
    [0x82, 6, 0, 0, 0, 1, 97, 0],
    "packet identifier 0",
  ],
  ["PUBLISH with QoS 3 [MQTT-3.3.1-4]", [0x36, 5, 0, 1, 97, 0, 1], "QoS 3"],
  ["PUBLISH with DUP and QoS 0 [MQTT-3.3.1-2]", [0x38, 3, 0, 1, 97], "DUP with QoS 0"],
  [
    "PUBLISH with packet identifier 0 [MQTT-2.3.1-1]",
    [0x32, 5, 0, 1, 97, 0, 0],
    "packet identifier 0",
  ],
  [
    "PUBLISH with a wildcard in its topic [MQTT-3.3.2-2]",
    [0x30, 3, 0, 1, 35],
    "topic a topic name has no wildcards",
  ],
  ["PUBLISH with an empty topic [MQTT-4.7.3-1]", [0x30, 2, 0, 0], "topic is empty"],
  ["PUBLISH with U+0000 in its topic [MQTT-1.5.3-2]", [0x30, 3, 0, 1, 0], "topic contains U+0000"],
  [
    "PUBLISH with a surrogate in its topic [MQTT-1.5.3-1]",
    [0x30, 5, 0, 3, 0xed, 0xa0, 0x80],
    "topic is not well-formed UTF-8",
  ],
  ["PUBLISH shorter than its topic", [0x30, 3, 0, 9, 97], "PUBLISH shorter than its topic"],
  ["PUBACK that is too long", [0x40, 3, 0, 1, 0], "acknowledgement of a wrong length"],
  ["PUBACK of packet identifier 0", [0x40, 2, 0, 0], "packet identifier 0"],
  ["a length of five bytes [MQTT-2.2.3]", [0x30, 0x80, 0x80, 0x80, 0x80, 1], "malformed length"],
  ["a packet over the bound, from its header", [0x30, 0xff, 0xff, 0xff, 0x7f], "packet too long"],
];

describe("a connected client is closed, with a counted reason, for", () => {
  for (const [name, bytes, reason] of REFUSED) {
    it(name, () =>
      withBroker(async ({ port, broker }) => {
        const other = await RawClient.connected(port, { clientId: "other" });
        const client = await RawClient.connected(port, { clientId: "raw" });
        client.send(bytes);
        await client.ended();
        assert.equal(broker.status().closed[reason], 1, JSON.stringify(broker.status().closed));
        await other.settled();
      }),
    );
  }

  const malformed: readonly (readonly [string, readonly number[]])[] = [
    ["SUBSCRIBE with QoS 3 [MQTT-3.8.3-4]", [0x82, 6, 0, 1, 0, 1, 97, 3]],
    ["SUBSCRIBE with an empty filter [MQTT-4.7.3-1]", [0x82, 6, 0, 1, 0, 0, 0, 0]],
  ];
  for (const [name, bytes] of malformed) {
    it(name, () =>
      withBroker(async ({ port }) => {
        const client = await RawClient.connected(port, { clientId: "raw" });
        client.send(bytes);
        await client.ended();
        assert.equal(
          client.received.some(({ cmd }) => cmd === "suback" || cmd === "unsuback"),
          false,
        );
      }),
    );
  }
});

describe("before CONNECT", () => {
  it("anything but CONNECT closes the connection [MQTT-3.1.0-1]", () =>
    withBroker(async ({ port, broker }) => {
      const client = await RawClient.open(port);
      client.send([0xc0, 0]);
      await client.ended();
      assert.equal(broker.status().closed["first packet is not CONNECT"], 1);
    }));

  it("a CONNECT over its bound is refused from its header, whatever follows", () =>
    withBroker(async ({ port, broker }) => {
      const client = await RawClient.open(port);
      client.send([0x10, 0xff, 0xff, 0x7f]);
      await client.ended();
      assert.equal(broker.status().closed["packet too long"], 1);
    }));

  it("who does not finish CONNECT in time is closed, however busily it sends", () =>
    withBroker(
      async ({ port, broker }) => {
        const client = await RawClient.open(port);
        const bytes = Buffer.from(connect());
        for (let i = 0; i < bytes.length - 1 && !client.closed; i++) {
          client.send(bytes.subarray(i, i + 1));
          await new Promise((resolve) => setTimeout(resolve, 150));
        }
        await client.ended();
        assert.equal(broker.status().closed["no CONNECT in time"], 1);
      },
      { connectTimeoutMs: 300 },
    ));

  it("an empty client id with a session to keep is refused with 2 [MQTT-3.1.3-8]", () =>
    withBroker(async ({ port }) => {
      const client = await RawClient.open(port);
      client.send([0x10, 12, 0, 4, ...Buffer.from("MQTT"), 4, 0, 0, 0, 0, 0]);
      assert.equal((await client.next("connack")).returnCode, 2);
      await client.ended();
    }));

  it("an empty client id with a clean session is given one [MQTT-3.1.3-6]", () =>
    withBroker(async ({ port }) => {
      const first = await RawClient.connected(port, { clientId: "" });
      const second = await RawClient.connected(port, { clientId: "" });
      await first.settled();
      await second.settled();
    }));

  it("version 5 is refused with 1 and closed [MQTT-3.1.2-2]", () =>
    withBroker(async ({ port }) => {
      const client = await RawClient.open(port);
      client.send({
        cmd: "connect",
        clientId: "v5",
        clean: true,
        keepalive: 0,
        protocolVersion: 5,
        protocolId: "MQTT",
      });
      assert.equal((await client.next("connack")).returnCode, 1);
      await client.ended();
    }));

  it("a will with wildcards in its topic, or of QoS 3, closes the connection", () =>
    withBroker(async ({ port }) => {
      for (const [topic, qos] of [
        ["a/#", 0],
        ["a", 3],
      ] as const) {
        const client = await RawClient.open(port);
        const will = { topic, payload: Buffer.from("x"), qos: 0 as const, retain: false };
        const bytes = packet.generate({
          cmd: "connect",
          clientId: "w",
          clean: true,
          keepalive: 0,
          will,
        });
        bytes[9] = (bytes[9] as number) | (qos << 3);
        client.send(bytes);
        await client.ended();
        assert.equal(
          client.received.some((came) => came.cmd === "connack" && came.returnCode === 0),
          false,
        );
      }
    }));

  it("no more than connectionsMax are taken, and those there are served on", () =>
    withBroker(
      async ({ port, broker }) => {
        const first = await RawClient.connected(port, { clientId: "1" });
        const second = await RawClient.open(port);
        await second.ended();
        await first.settled();
        assert.equal(broker.status().closed["too many connections"], 1);
      },
      { connectionsMax: 1 },
    ));
});

function connect(): readonly number[] {
  return [...packet.generate({ cmd: "connect", clientId: "raw", clean: true, keepalive: 0 })];
}
