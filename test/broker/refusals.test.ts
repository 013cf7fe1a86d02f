import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { withBroker } from "../support/broker.ts";
import { connectBytes, field, packetBytes } from "../support/connect-bytes.ts";
import { kinds, publish, subscribe } from "../support/mqtt-words.ts";
import { RawClient } from "../support/raw-client.ts";

/**
 * Every normative statement of MQTT 3.1.1 about what a server must refuse. Those about WebSocket (MQTT-6.0.0-1 and -3) are in
 * listeners.test.ts, those about time (MQTT-3.1.2-24) in patience.test.ts.
 */
const NUL = 0;
const SURROGATE = [0xed, 0xa0, 0x80];
const OVERLONG = [0xc0, 0xaf];
const FLAG = {
  clean: 2,
  will: 4,
  willQoS1: 8,
  willQoS2: 16,
  willRetain: 32,
  password: 64,
  user: 128,
};

type Row = readonly [name: string, bytes: readonly number[], reason: string];

/** What a CONNECT may not be: closed without CONNACK [MQTT-3.1.4-1, MQTT-3.2.2-6]. */
const CONNECTS: readonly Row[] = [
  [
    "[MQTT-3.1.2-1] a protocol name that is none",
    connectBytes({ name: "MQTTX" }),
    "CONNECT of another protocol",
  ],
  [
    "[MQTT-3.1.2-1] a protocol name that every object has",
    connectBytes({ name: "__proto__" }),
    "CONNECT of another protocol",
  ],
  [
    "[MQTT-3.1.2-3] the reserved flag",
    connectBytes({ flags: FLAG.clean | 1 }),
    "CONNECT with its reserved flag",
  ],
  [
    "[MQTT-3.1.2-11] [MQTT-3.1.2-13] a will QoS without a will",
    connectBytes({ flags: FLAG.clean | FLAG.willQoS1 }),
    "will QoS or will retain without a will",
  ],
  [
    "[MQTT-3.1.2-11] [MQTT-3.1.2-15] a will retain without a will",
    connectBytes({ flags: FLAG.clean | FLAG.willRetain }),
    "will QoS or will retain without a will",
  ],
  [
    "[MQTT-3.1.2-14] a will of QoS 3",
    connectBytes({
      flags: FLAG.clean | FLAG.will | FLAG.willQoS1 | FLAG.willQoS2,
      fields: ["will", "x"],
    }),
    "will with QoS 3",
  ],
  [
    "[MQTT-3.1.2-9] a will flag without a will",
    connectBytes({ flags: FLAG.clean | FLAG.will }),
    "CONNECT shorter than its fields",
  ],
  [
    "[MQTT-3.1.2-12] a will without the will flag",
    connectBytes({ fields: ["will", "x"] }),
    "CONNECT longer than its fields",
  ],
  [
    "[MQTT-3.1.2-18] a user name without its flag",
    connectBytes({ fields: ["user"] }),
    "CONNECT longer than its fields",
  ],
  [
    "[MQTT-3.1.2-19] the flag of a user name without one",
    connectBytes({ flags: FLAG.clean | FLAG.user }),
    "CONNECT shorter than its fields",
  ],
  [
    "[MQTT-3.1.2-20] a password without its flag",
    connectBytes({ flags: FLAG.clean | FLAG.user, fields: ["user", "password"] }),
    "CONNECT longer than its fields",
  ],
  [
    "[MQTT-3.1.2-21] the flag of a password without one",
    connectBytes({ flags: FLAG.clean | FLAG.user | FLAG.password, fields: ["user"] }),
    "CONNECT shorter than its fields",
  ],
  [
    "[MQTT-3.1.2-22] a password without a user name",
    connectBytes({ flags: FLAG.clean | FLAG.password, fields: ["password"] }),
    "password without a user name",
  ],
  [
    "[MQTT-3.1.3-1] [MQTT-3.1.3-3] no client id",
    packetBytes(0x10, ...field("MQTT"), 4, 2, 0, 0),
    "CONNECT shorter than its fields",
  ],
  [
    "[MQTT-3.1.3-3] a client id longer than the packet",
    packetBytes(0x10, ...field("MQTT"), 4, 2, 0, 0, 0, 9, 97),
    "CONNECT shorter than its fields",
  ],
  [
    "[MQTT-3.1.3-4] [MQTT-1.5.3-1] a client id with a surrogate",
    connectBytes({ clientId: SURROGATE }),
    "client id is not well-formed UTF-8",
  ],
  [
    "[MQTT-1.5.3-1] a client id with an overlong character",
    connectBytes({ clientId: OVERLONG }),
    "client id is not well-formed UTF-8",
  ],
  [
    "[MQTT-1.5.3-2] a client id with U+0000",
    connectBytes({ clientId: [97, NUL] }),
    "client id contains U+0000",
  ],
  [
    "[MQTT-3.1.3-10] a will topic with a surrogate",
    connectBytes({ flags: FLAG.clean | FLAG.will, fields: [SURROGATE, "x"] }),
    "will topic is not well-formed UTF-8",
  ],
  [
    "[MQTT-1.5.3-2] a will topic with U+0000",
    connectBytes({ flags: FLAG.clean | FLAG.will, fields: [[97, NUL], "x"] }),
    "will topic contains U+0000",
  ],
  [
    "[MQTT-4.7.3-1] a will topic that is empty",
    connectBytes({ flags: FLAG.clean | FLAG.will, fields: ["", "x"] }),
    "will topic is empty",
  ],
  [
    "[MQTT-4.7.1-1] a will topic with a wildcard",
    connectBytes({ flags: FLAG.clean | FLAG.will, fields: ["a/#", "x"] }),
    "will topic a topic name has no wildcards",
  ],
  [
    "[MQTT-3.1.3-11] a user name with a surrogate",
    connectBytes({ flags: FLAG.clean | FLAG.user, fields: [SURROGATE] }),
    "user name is not well-formed UTF-8",
  ],
  [
    "[MQTT-1.5.3-2] a user name with U+0000",
    connectBytes({ flags: FLAG.clean | FLAG.user, fields: [[97, NUL]] }),
    "user name contains U+0000",
  ],
  [
    "[MQTT-3.1.4-1] nothing behind the protocol name",
    packetBytes(0x10, ...field("MQTT")),
    "CONNECT shorter than its fields",
  ],
  ["[MQTT-3.1.4-1] nothing at all", packetBytes(0x10), "CONNECT shorter than its fields"],
  [
    "[MQTT-3.1.4-1] something behind its last field",
    connectBytes({ tail: [0] }),
    "CONNECT longer than its fields",
  ],
  [
    "[MQTT-2.2.2-2] its reserved flags",
    [0x11, ...connectBytes().slice(1)],
    "first packet is not CONNECT",
  ],
  ["[MQTT-3.1.0-1] PINGREQ as the first packet", [0xc0, 0], "first packet is not CONNECT"],
  [
    "[MQTT-3.1.0-1] PUBLISH as the first packet",
    packetBytes(0x30, ...field("a"), 120),
    "first packet is not CONNECT",
  ],
];

/** What a CONNECT may not ask for: CONNACK with a code and no session, then closed [MQTT-3.2.2-4, MQTT-3.2.2-5]. */
const ANSWERED: readonly (readonly [...Row, returnCode: number])[] = [
  [
    "[MQTT-3.1.2-2] version 5",
    packetBytes(0x10, ...field("MQTT"), 5, 2, 0, 0, 0, ...field("v5")),
    "protocol level not supported",
    1,
  ],
  [
    "[MQTT-3.1.2-2] the level of a mosquitto bridge, which means no-local by it",
    connectBytes({ level: 0x84 }),
    "protocol level not supported",
    1,
  ],
  [
    "[MQTT-3.1.2-2] the level of 3.1 under the name of 3.1.1",
    connectBytes({ level: 3 }),
    "protocol level not supported",
    1,
  ],
  [
    "[MQTT-3.1.3-7] [MQTT-3.1.3-8] an empty client id with a session to keep",
    connectBytes({ clientId: "", flags: 0 }),
    "empty client id with a session to keep",
    2,
  ],
  [
    "[MQTT-3.1.3-9] a client id of 24 characters under MQTT 3.1",
    connectBytes({ name: "MQIsdp", level: 3, clientId: "x".repeat(24) }),
    "client id too long for MQTT 3.1",
    2,
  ],
];

/** What a client that is in may not send [MQTT-4.8.0-1]. */
const PACKETS: readonly Row[] = [
  ["[MQTT-3.1.0-2] a second CONNECT", connectBytes(), "packet not allowed, or with reserved flags"],
  ...[0x20, 0x90, 0xb0, 0xd0, 0x00, 0xf0].map(
    (header): Row => [
      `[MQTT-4.8.0-1] packet type ${header >> 4}, which no client sends`,
      [header, 2, 0, 1],
      "packet not allowed, or with reserved flags",
    ],
  ),
  ...[0x41, 0x51, 0x71, 0xc1].map(
    (header): Row => [
      `[MQTT-2.2.2-1] [MQTT-2.2.2-2] packet type ${header >> 4} with reserved flags`,
      [header, 2, 0, 1],
      "packet not allowed, or with reserved flags",
    ],
  ),
  [
    "[MQTT-3.6.1-1] PUBREL without its flags",
    [0x60, 2, 0, 1],
    "packet not allowed, or with reserved flags",
  ],
  [
    "[MQTT-3.8.1-1] SUBSCRIBE without its flags",
    packetBytes(0x80, 0, 1, ...field("a"), 0),
    "packet not allowed, or with reserved flags",
  ],
  [
    "[MQTT-3.10.1-1] UNSUBSCRIBE without its flags",
    packetBytes(0xa0, 0, 1, ...field("a")),
    "packet not allowed, or with reserved flags",
  ],
  [
    "[MQTT-3.14.1-1] DISCONNECT with flags",
    [0xe1, 0],
    "packet not allowed, or with reserved flags",
  ],
  ["[MQTT-4.8.0-1] DISCONNECT with a body", [0xe0, 1, 0], "packet of a wrong length"],
  ["[MQTT-4.8.0-1] PINGREQ with a body", [0xc0, 1, 0], "packet of a wrong length"],
  ["[MQTT-2.3.1-1] PUBLISH with identifier 0", publishBytes(0x32, "a", 0), "packet identifier 0"],
  [
    "[MQTT-2.3.1-1] SUBSCRIBE with identifier 0",
    packetBytes(0x82, 0, 0, ...field("a"), 0),
    "packet identifier 0",
  ],
  [
    "[MQTT-2.3.1-1] UNSUBSCRIBE with identifier 0",
    packetBytes(0xa2, 0, 0, ...field("a")),
    "packet identifier 0",
  ],
  ["[MQTT-2.3.1-1] PUBACK of identifier 0", [0x40, 2, 0, 0], "packet identifier 0"],
  ["[MQTT-2.3.1-1] PUBREL of identifier 0", [0x62, 2, 0, 0], "packet identifier 0"],
  ...[0x40, 0x50, 0x62, 0x70].flatMap((header): Row[] => [
    [
      `[MQTT-4.8.0-1] packet type ${header >> 4} that is too long`,
      [header, 3, 0, 1, 0],
      "acknowledgement of a wrong length",
    ],
    [
      `[MQTT-4.8.0-1] packet type ${header >> 4} that is too short`,
      [header, 1, 1],
      "acknowledgement of a wrong length",
    ],
  ]),
  ["[MQTT-3.3.1-2] PUBLISH with DUP and QoS 0", publishBytes(0x38, "a"), "DUP with QoS 0"],
  ["[MQTT-3.3.1-4] PUBLISH with QoS 3", publishBytes(0x36, "a", 1), "QoS 3"],
  [
    "[MQTT-3.3.2-1] [MQTT-1.5.3-1] PUBLISH with a surrogate in its topic",
    publishBytes(0x30, SURROGATE),
    "topic is not well-formed UTF-8",
  ],
  [
    "[MQTT-1.5.3-2] [MQTT-4.7.3-2] PUBLISH with U+0000 in its topic",
    publishBytes(0x30, [97, NUL]),
    "topic contains U+0000",
  ],
  [
    "[MQTT-3.3.2-2] [MQTT-4.7.1-1] PUBLISH with # in its topic",
    publishBytes(0x30, "a/#"),
    "topic a topic name has no wildcards",
  ],
  [
    "[MQTT-3.3.2-2] [MQTT-4.7.1-1] PUBLISH with + in its topic",
    publishBytes(0x30, "+/a"),
    "topic a topic name has no wildcards",
  ],
  ["[MQTT-4.7.3-1] PUBLISH with an empty topic", publishBytes(0x30, ""), "topic is empty"],
  [
    "[MQTT-4.8.0-1] PUBLISH shorter than its topic",
    packetBytes(0x30, 0, 9, 97),
    "PUBLISH shorter than its topic",
  ],
  [
    "[MQTT-4.8.0-1] PUBLISH without room for its identifier",
    packetBytes(0x32, ...field("a"), 1),
    "PUBLISH shorter than its topic",
  ],
  ["[MQTT-3.8.3-3] SUBSCRIBE without a filter", [0x82, 2, 0, 1], "no topic filter"],
  ["[MQTT-3.10.3-2] UNSUBSCRIBE without a filter", [0xa2, 2, 0, 1], "no topic filter"],
  ["[MQTT-4.8.0-1] SUBSCRIBE without an identifier", [0x82, 1, 1], "no topic filter"],
  [
    "[MQTT-3-8.3-4] SUBSCRIBE with QoS 3",
    packetBytes(0x82, 0, 1, ...field("a"), 3),
    "subscription with a QoS above 2",
  ],
  [
    "[MQTT-3-8.3-4] SUBSCRIBE with reserved bits beside its QoS",
    packetBytes(0x82, 0, 1, ...field("a"), 0x41),
    "subscription with a QoS above 2",
  ],
  [
    "[MQTT-4.8.0-1] SUBSCRIBE without a QoS",
    packetBytes(0x82, 0, 1, ...field("a")),
    "packet shorter than its topic filters",
  ],
  ...filters().flatMap(([name, filter, reason]): Row[] => [
    [
      `${name}, in SUBSCRIBE, behind one that is in order`,
      packetBytes(0x82, 0, 1, ...field("b"), 0, ...field(filter), 0),
      reason,
    ],
    [`${name}, in UNSUBSCRIBE`, packetBytes(0xa2, 0, 1, ...field("b"), ...field(filter)), reason],
  ]),
  ["[MQTT-4.8.0-1] a length of five bytes", [0x30, 0x80, 0x80, 0x80, 0x80, 1], "malformed length"],
  ["a packet over the bound, from its header", [0x30, 0xff, 0xff, 0xff, 0x7f], "packet too long"],
];

function filters(): readonly (readonly [string, string | readonly number[], string])[] {
  return [
    [
      "[MQTT-3.8.3-1] [MQTT-3.10.3-1] a filter with a surrogate",
      SURROGATE,
      "topic filter is not well-formed UTF-8",
    ],
    ["[MQTT-4.7.3-2] a filter with U+0000", [97, NUL], "topic filter contains U+0000"],
    ["[MQTT-4.7.3-1] an empty filter", "", "topic filter is empty"],
    ["[MQTT-4.7.1-2] the filter a#", "a#", "topic filter # stands alone in its level"],
    ["[MQTT-4.7.1-2] the filter a/#/b", "a/#/b", "topic filter # stands only at the end"],
    ["[MQTT-4.7.1-3] the filter a+/b", "a+/b", "topic filter + stands alone in its level"],
  ];
}

describe("a CONNECT is closed without an answer [MQTT-3.2.2-6], with a counted reason, for", () => {
  for (const [name, bytes, reason] of CONNECTS) {
    it(name, () => checkConnect(bytes, reason, null));
  }
});

describe("a CONNECT is answered with a code and no session, and closed, [MQTT-3.2.2-4] [MQTT-3.2.2-5] for", () => {
  for (const [name, bytes, reason, returnCode] of ANSWERED) {
    it(name, () => checkConnect(bytes, reason, returnCode));
  }

  it("[MQTT-3.1.4-5] what it asks, and nothing that it has sent behind it is looked at", () =>
    withBroker(async ({ port, broker }) => {
      const client = await RawClient.open(port);
      const refused = connectBytes({ clientId: "", flags: 0 });
      client.send([...refused, ...publishBytes(0x30, "a"), ...[0x32, 0]]);
      assert.equal((await client.next("connack")).returnCode, 2);
      await client.ended();
      assert.equal(broker.status().accepted, 0);
      assert.deepEqual(Object.keys(broker.status().closed), [
        "empty client id with a session to keep",
      ]);
    }));
});

describe("behind DISCONNECT", () => {
  for (const [name, bytes] of [
    ["a message", publishBytes(0x30, "a")],
    ["a packet that is none", [0xf0, 0xff, 0xff, 0xff, 0xff, 1]],
  ] as const) {
    it(`${name} is not looked at, and the will is not published [MQTT-3.14.4-2] [MQTT-3.14.4-3]`, () =>
      withBroker(async ({ port, broker }) => {
        const other = await RawClient.connected(port, { clientId: "other" });
        await subscribe(other, "#", 0);
        const will = { topic: "will", payload: Buffer.from("w"), qos: 0 as const, retain: false };
        const client = await RawClient.connected(port, { will });
        client.send([0xe0, 0, ...bytes]);
        await client.ended();
        await other.settled();
        assert.deepEqual(kinds(other), ["connack", "suback", "pingresp"]);
        assert.deepEqual(broker.status().closed, {});
      }));
  }
});

describe("a connected client is closed, with a counted reason, for", () => {
  for (const [name, bytes, reason] of PACKETS) {
    it(name, () =>
      withBroker(async ({ port, broker }) => {
        const other = await RawClient.connected(port, { clientId: "other" });
        const client = await RawClient.connected(port, { clientId: "raw" });
        client.send(bytes);
        await client.ended();
        assert.deepEqual(broker.status().closed, { [reason]: 1 });
        assert.equal(client.received.length, 1, "nothing but CONNACK was answered");
        await other.settled();
      }),
    );
  }
});

describe("a CONNECT is accepted", () => {
  for (const [name, bytes] of [
    ["with an empty client id and a clean session [MQTT-3.1.3-6]", connectBytes({ clientId: "" })],
    [
      "with a client id of 65 characters of any kind",
      connectBytes({ clientId: `${"ü".repeat(64)}/` }),
    ],
    ["of MQTT 3.1", connectBytes({ name: "MQIsdp", level: 3 })],
    [
      "of MQTT 3.1 with a client id of 23 characters, more bytes though they are",
      connectBytes({ name: "MQIsdp", level: 3, clientId: "ü".repeat(23) }),
    ],
    [
      "with the longest client id that every server must take [MQTT-3.1.3-5]",
      connectBytes({ clientId: "0123456789abcdefghijklm" }),
    ],
    [
      "with all fields, the password any bytes",
      connectBytes({
        flags: 0xf6,
        fields: ["will", [0, 0xff], "user", [0, 0xff]],
      }),
    ],
  ] as const) {
    it(name, () =>
      withBroker(async ({ port }) => {
        const client = await RawClient.open(port);
        client.send(bytes);
        assert.equal((await client.next("connack")).returnCode, 0);
        await client.settled();
      }),
    );
  }

  it("and U+FEFF is a character like others, never taken off [MQTT-1.5.3-3]", () =>
    withBroker(async ({ port }) => {
      const client = await RawClient.connected(port);
      client.send(packetBytes(0x82, 0, 1, ...field("\ufeffa"), 0));
      await client.next("suback");
      client.send(publish("a", "without", 0), publish("\ufeffa", "with", 0));
      const { topic, payload } = await client.next("publish");
      assert.deepEqual([topic, payload.toString()], ["\ufeffa", "with"]);
    }));
});

describe("before CONNECT", () => {
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
        const bytes = Buffer.from(connectBytes());
        for (let i = 0; i < bytes.length - 1 && !client.closed; i++) {
          client.send(bytes.subarray(i, i + 1));
          await new Promise((resolve) => setTimeout(resolve, 150));
        }
        await client.ended();
        assert.equal(broker.status().closed["no CONNECT in time"], 1);
      },
      { connectTimeoutMs: 300 },
    ));

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

/** @param returnCode of the CONNACK, or null when none is to come */
async function checkConnect(
  bytes: readonly number[],
  reason: string,
  returnCode: number | null,
): Promise<void> {
  await withBroker(async ({ port, broker }) => {
    const other = await RawClient.connected(port, { clientId: "other" });
    const client = await RawClient.open(port);
    client.send(bytes);
    await client.ended();
    const answers = client.received.map((came) =>
      came.cmd === "connack" ? [came.returnCode, came.sessionPresent] : came.cmd,
    );
    assert.deepEqual(answers, returnCode === null ? [] : [[returnCode, false]]);
    assert.deepEqual(broker.status().closed, { [reason]: 1 });
    assert.equal(broker.status().connections, 1);
    await other.settled();
  });
}

function publishBytes(
  header: number,
  topic: string | readonly number[],
  packetId?: number,
): number[] {
  const id = packetId === undefined ? [] : [packetId >> 8, packetId & 255];
  return packetBytes(header, ...field(topic), ...id, 120);
}
