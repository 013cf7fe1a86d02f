import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { describe, it } from "node:test";
import packet from "mqtt-packet";
import { WebSocket } from "ws";
import type { BrokerOptions } from "../../src/broker/broker-options.ts";
import { WsFrameEnds } from "../../src/broker/ws-frame-ends.ts";
import { type TestSite, testListener, withBroker } from "../support/broker.ts";
import { payloads, publish, subscribe } from "../support/mqtt-words.ts";
import { seededRandom } from "../support/random.ts";
import { RawClient } from "../support/raw-client.ts";
import { until } from "../support/until.ts";
import { dial, dialTcp, dialTls, WIRES, type Wire, withCertificates } from "../support/wires.ts";

const CONNECT = { cmd: "connect", clientId: "c", clean: true, keepalive: 0 } as const;

describe("a client over", () => {
  for (const wire of WIRES) {
    it(`${wire} subscribes, publishes and gets messages of every size, whatever pieces they come in`, () =>
      withWire(wire, async ({ port, broker }) => {
        const client = await RawClient.connected(await dial(wire, port), { clientId: "c" });
        await subscribe(client, "a/#", 2);
        const big = "x".repeat(300_000);
        client.send(publish("a/0", "zero", 0), publish("a/1", big, 1, 1), publish("a/2", "", 2, 2));
        client.send({ cmd: "pubrel", messageId: 2 });
        for (let i = 0; i < 3; i++) await client.next("publish");
        assert.deepEqual(
          payloads(client).map(({ length }) => length),
          [4, big.length, 0],
        );
        const pieces = packet.generate(publish("a/3", "in pieces", 0));
        for (const byte of pieces) client.send([byte]);
        assert.equal((await client.next("publish")).payload.toString(), "in pieces");
        client.send({ cmd: "disconnect" });
        await client.ended();
        await until("it is gone", () => broker.status().connections === 0);
        assert.deepEqual(broker.status().closed, {});
      }));

    it(`${wire} is written to once in a turn of the loop`, () =>
      withWire(wire, async ({ port }) => {
        const stream = await dial(wire, port);
        const client = await RawClient.connected(stream, { clientId: "c" });
        await subscribe(client, "a", 1);
        let reads = 0;
        stream.on("data", () => reads++);
        const burst = Array.from({ length: 100 }, (_, i) => publish("a", `${i}`, 1, i + 1));
        client.send(...burst);
        for (let i = 0; i < 32; i++) await client.next("publish");
        await until("all acknowledged", () => acknowledged(client) === 100);
        // Messages leave when they are delivered, acknowledgements after the commit: a handful, not a hundred.
        assert.ok(reads <= 8, `${reads} reads`);
        client.drop();
      }));

    it(`${wire} that pauses reading costs others nothing and gets what is due when it reads on`, () =>
      withWire(wire, async ({ port }) => {
        const slow = await RawClient.connected(await dial(wire, port), { clientId: "slow" });
        const other = await RawClient.connected(await dial(wire, port), { clientId: "other" });
        await subscribe(slow, "a", 1);
        slow.pause();
        for (let i = 1; i <= 100; i++) {
          other.send(publish("a", `${i} ${"x".repeat(50_000)}`, 1, i));
          await other.next("puback");
        }
        slow.resume();
        for (let i = 1; i <= 100; i++) {
          const came = await slow.next("publish");
          assert.equal(came.payload.toString().split(" ")[0], `${i}`);
          slow.send({ cmd: "puback", messageId: came.messageId ?? 0 });
        }
        slow.drop();
        other.drop();
      }));
  }
});

describe("WebSocket", () => {
  it("packets may straddle messages, and messages hold several packets [MQTT-6.0.0-2]", () =>
    withWire("ws", async ({ port }) => {
      const webSocket = await opened(port);
      const bytes = Buffer.concat([
        packet.generate(CONNECT),
        packet.generate({
          cmd: "subscribe",
          messageId: 1,
          subscriptions: [{ topic: "a", qos: 0 }],
        }),
        packet.generate(publish("a", "x".repeat(500), 0)),
        packet.generate({ cmd: "pingreq" }),
      ]);
      const came: number[] = [];
      webSocket.on("message", (data: Buffer, isBinary) => {
        assert.equal(isBinary, true, "[MQTT-6.0.0-1]");
        came.push(...data);
      });
      for (const [from, to] of [
        [0, 3],
        [3, 20],
        [20, 400],
        [400, bytes.length],
      ] as const) {
        webSocket.send(bytes.subarray(from, to));
      }
      await until("all is answered", () => came.slice(-2).join() === "208,0");
      webSocket.terminate();
    }));

  it("fragments and pings are understood", () =>
    withWire("ws", async ({ port }) => {
      const webSocket = await opened(port);
      const bytes = packet.generate(CONNECT);
      webSocket.send(bytes.subarray(0, 5), { fin: false });
      webSocket.ping("still there?");
      webSocket.send(bytes.subarray(5), { fin: true });
      const [[pong], [connack]] = await Promise.all([
        once(webSocket, "pong"),
        once(webSocket, "message"),
      ]);
      assert.equal(String(pong), "still there?");
      assert.deepEqual([...(connack as Buffer)], [0x20, 2, 0, 0]);
      webSocket.terminate();
    }));

  it("closes who begins a message and does not end it, in whatever pieces, and nobody who only pings", () =>
    withBroker(
      async ({ port, broker }) => {
        const quiet = await opened(port);
        quiet.send(packet.generate({ ...CONNECT, clientId: "quiet" }));
        await once(quiet, "message");
        quiet.send(Buffer.alloc(0)); // a message, though an empty one
        for (const [index, start] of [
          Buffer.from([0x82, 0xfe, 1, 0, 0, 0, 0, 0, 0x30]), // one of the frame's 256 bytes
          Buffer.from([0x02, 0x81, 0, 0, 0, 0, 0x30]), // the first piece, whole
          Buffer.from([0x82]),
        ].entries()) {
          const client = await opened(port);
          client.on("error", () => {}).send(packet.generate(CONNECT));
          await once(client, "message");
          const { _socket: socket } = client as unknown as { _socket: Socket };
          socket.write(Buffer.concat([Buffer.from([0x82, 0x82, 0, 0, 0, 0, 0xc0, 0]), start]));
          const closed = once(client, "close");
          quiet.ping("still there?");
          await Promise.all([closed, once(quiet, "pong")]);
          assert.deepEqual(broker.status().closed, { "packet not finished in time": index + 1 });
        }
        quiet.terminate();
      },
      { listeners: [testListener({ type: "ws" })], packetTimeoutMs: 400 },
    ));

  it("tells the end of a message from its middle, however frames are cut", () => {
    const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
    const random = seededRandom(seed);
    const below = (max: number) => Math.floor(random() * max);
    for (let round = 0; round < 100; round++) {
      const frames = new WsFrameEnds();
      const bytes = messageOf(below);
      for (let at = 0; at < bytes.length; ) {
        const end = Math.min(bytes.length, at + 1 + below(below(2) === 0 ? 3 : 70_000));
        frames.take(bytes.subarray(at, end));
        at = end;
        assert.equal(frames.isOpen, at < bytes.length, `SEED=${seed}, round ${round}, at ${at}`);
      }
    }
  });

  it("gives nobody the rights of loopback whom a proxy has brought", () =>
    withBroker(
      async ({ port }) => {
        for (const [headers, code] of [
          [{}, 0],
          [{ "X-Forwarded-For": "203.0.113.7" }, 5],
          [{ Forwarded: "for=203.0.113.7" }, 5],
        ] as const) {
          const webSocket = new WebSocket(`ws://127.0.0.1:${port}/mqtt`, "mqtt", { headers });
          await once(webSocket, "open");
          webSocket.send(packet.generate(CONNECT));
          const [connack] = await once(webSocket, "message");
          assert.equal((connack as Buffer)[3], code, JSON.stringify(headers));
          webSocket.terminate();
        }
      },
      { listeners: [testListener({ type: "ws" })] },
    ));

  it("selects mqtt among the subprotocols, and compresses nothing [MQTT-6.0.0-4]", () =>
    withWire("ws", async ({ port }) => {
      const webSocket = new WebSocket(`ws://127.0.0.1:${port}/mqtt?x=1`, ["mqttv3.1", "mqtt"], {
        perMessageDeflate: true,
      });
      await once(webSocket, "open");
      assert.deepEqual([webSocket.protocol, webSocket.extensions], ["mqtt", ""]);
      webSocket.terminate();
    }));

  it("is closed with 1000 after DISCONNECT, and when the client closes it is over", () =>
    withWire("ws", async ({ port, broker }) => {
      const polite = await opened(port);
      polite.send(packet.generate(CONNECT));
      await once(polite, "message");
      polite.send(packet.generate({ cmd: "disconnect" }));
      assert.equal((await once(polite, "close"))[0], 1000);
      const leaving = await opened(port);
      leaving.send(packet.generate(CONNECT));
      await once(leaving, "message");
      leaving.close(1001);
      await once(leaving, "close");
      await until("both are gone", () => broker.status().connections === 0);
    }));

  const REFUSED: readonly (readonly [
    name: string,
    send: (webSocket: WebSocket, socket: Socket) => void,
    code: number,
    reason: string,
  ])[] = [
    [
      "a text message [MQTT-6.0.0-1]",
      (webSocket) => webSocket.send("CONNECT"),
      1003,
      "WebSocket text message",
    ],
    [
      "a message longer than any packet",
      (_, socket) => socket.write(Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1, 0, 0, 0, 0])),
      1009,
      "WebSocket message too long",
    ],
    [
      "200 KiB before CONNECT, in a message that has not ended",
      (_, socket) => {
        socket.write(Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 0x0f, 0, 0, 0, 0, 0, 0]));
        socket.write(Buffer.alloc(200_000));
      },
      1009,
      "WebSocket message too long",
    ],
    [
      "a frame without a mask",
      (_, socket) => socket.write(Buffer.from([0x82, 2, 0xc0, 0])),
      1002,
      "malformed WebSocket frame",
    ],
    [
      "a compressed frame",
      (_, socket) => socket.write(Buffer.from([0xc2, 0x80, 0, 0, 0, 0])),
      1002,
      "malformed WebSocket frame",
    ],
    [
      "a message in 1,025 pieces",
      (_, socket) => {
        const piece = Buffer.from([0, 0x81, 0, 0, 0, 0, 0]);
        socket.write(Buffer.from([0x02, 0x81, 0, 0, 0, 0, 0x10]));
        for (let i = 0; i < 1100; i++) socket.write(piece);
      },
      1008,
      "WebSocket message too long",
    ],
    [
      "a piece of a message that has not begun",
      (_, socket) => socket.write(Buffer.from([0x80, 0x81, 0, 0, 0, 0, 0])),
      1002,
      "malformed WebSocket frame",
    ],
    [
      "a ping of 126 bytes",
      (_, socket) => socket.write(Buffer.from([0x89, 0xfe, 0, 126, 0, 0, 0, 0])),
      1002,
      "malformed WebSocket frame",
    ],
    [
      "bytes that are not MQTT",
      (webSocket) => webSocket.send(Buffer.from([0xff, 0xff])),
      1000,
      "malformed length",
    ],
  ];
  for (const [name, send, code, reason] of REFUSED) {
    it(`is closed with ${code} and a counted reason for ${name}`, () =>
      withWire("ws", async ({ port, broker }) => {
        const other = await RawClient.connected(await dial("ws", port), { clientId: "other" });
        const webSocket = await opened(port);
        webSocket.on("error", () => {});
        const { _socket: socket } = webSocket as unknown as { _socket: Socket };
        if (reason === "malformed length") webSocket.send(Buffer.from([0x10, 0xff, 0xff, 0xff]));
        send(webSocket, socket);
        assert.equal((await once(webSocket, "close"))[0], code);
        assert.equal(broker.status().closed[reason], 1, JSON.stringify(broker.status().closed));
        await other.settled();
        other.drop();
      }));
  }
});

describe("the WebSocket handshake refuses, with a status and a counted reason,", () => {
  const key = randomBytes(16).toString("base64");
  const upgrade = `Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n`;
  const REFUSED: readonly (readonly [string, string | Buffer, string, string])[] = [
    [
      "an HTTP request",
      "GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n",
      "426",
      "HTTP request without WebSocket",
    ],
    [
      "an HTTP request with a body",
      "POST /mqtt HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
      "426",
      "HTTP request without WebSocket",
    ],
    [
      "another path",
      `GET //other HTTP/1.1\r\n${upgrade}Sec-WebSocket-Key: ${key}\r\n\r\n`,
      "404",
      "WebSocket of another path",
    ],
    [
      "no subprotocol [MQTT-6.0.0-3]",
      `GET /mqtt HTTP/1.1\r\n${upgrade.replace("mqtt", "chat")}Sec-WebSocket-Key: ${key}\r\n\r\n`,
      "400",
      "WebSocket without the subprotocol mqtt",
    ],
    [
      "a handshake without its key",
      `GET /mqtt HTTP/1.1\r\n${upgrade}\r\n`,
      "400",
      "malformed WebSocket handshake",
    ],
    ...[
      ["a page of another host", "Origin: https://evil.example"],
      ["a page whose name leads here", "Origin: http://x"],
      ["a page that says not whence it is", "Origin: null"],
      ["a page of two origins", "Origin: http://127.0.0.1\r\nOrigin: https://evil.example"],
    ].map(
      ([name = "", origin]) =>
        [
          name,
          `GET /mqtt HTTP/1.1\r\n${upgrade}Sec-WebSocket-Key: ${key}\r\n${origin}\r\n\r\n`,
          "403",
          "WebSocket of another origin",
        ] as const,
    ),
    ["plain MQTT", packet.generate(CONNECT), "400", "not HTTP"],
    [
      "endless headers",
      `GET /mqtt HTTP/1.1\r\nX: ${"x".repeat(20_000)}`,
      "431",
      "HTTP header too long",
    ],
  ];
  for (const [name, bytes, status, reason] of REFUSED) {
    it(name, () =>
      withWire("ws", async ({ port, broker }) => {
        const other = await RawClient.connected(await dial("ws", port), { clientId: "other" });
        const socket = await dialTcp(port);
        let answer = "";
        socket.on("data", (chunk) => {
          answer += chunk;
        });
        socket.write(bytes);
        await once(socket, "close");
        assert.match(answer, new RegExp(`^HTTP/1.1 ${status} `));
        assert.equal(broker.status().closed[reason], 1, JSON.stringify(broker.status().closed));
        await other.settled();
        other.drop();
      }),
    );
  }

  it("no page of the same host, on whatever port, nor one that is listed, nor who is no browser", () =>
    withBroker(
      async ({ port }) => {
        for (const origin of [
          "http://127.0.0.1:3000",
          "https://127.0.0.1",
          "https://HMI.plant",
          "null",
          undefined,
        ]) {
          const url = `ws://127.0.0.1:${port}/mqtt`;
          const webSocket = new WebSocket(url, "mqtt", origin === undefined ? {} : { origin });
          await once(webSocket, "open");
          webSocket.terminate();
        }
      },
      { listeners: [testListener({ type: "ws", origins: ["https://hmi.plant", "null"] })] },
    ));

  it("who does not finish it in time", () =>
    withBroker(
      async ({ port, broker }) => {
        const [silent, slow] = [await dialTcp(port), await dialTcp(port)];
        slow.write("GET /mqtt HTTP/1.1\r\n");
        await Promise.all([once(silent.resume(), "close"), once(slow.resume(), "close")]);
        assert.equal(broker.status().closed["WebSocket handshake not finished in time"], 2);
      },
      { listeners: [testListener({ type: "ws", handshakeTimeoutMs: 200 })] },
    ));
});

describe("a wrong wire", () => {
  it("to a TLS listener: plain MQTT and HTTP are refused and counted, others are served on", () =>
    withWire("tls", async ({ port, broker }) => {
      const other = await RawClient.connected(await dial("tls", port), { clientId: "other" });
      for (const bytes of [packet.generate(CONNECT), "GET / HTTP/1.1\r\n\r\n", randomBytes(100)]) {
        const socket = await dialTcp(port);
        socket.write(bytes);
        await once(socket.resume(), "close");
      }
      await until("all are counted", () => sum(broker.status().closed) === 3);
      assert.ok((broker.status().closed["not TLS"] ?? 0) >= 2);
      await other.settled();
      other.drop();
    }));

  it("to a plain listener: TLS is not CONNECT", () =>
    withWire("tcp", async ({ port, broker }) => {
      await assert.rejects(dialTls(port));
      await until("it is counted", () => sum(broker.status().closed) === 1);
    }));

  it("who hangs up in the middle of a TLS handshake, or does not finish it, is counted", () =>
    withCertificates(({ server }) =>
      withBroker(
        async ({ port, broker }) => {
          const gone = await dialTcp(port);
          gone.write(Buffer.from([0x16, 3, 1, 2, 0, 1]));
          gone.end();
          const silent = await dialTcp(port);
          await once(silent.resume(), "close");
          await until("both are counted", () => sum(broker.status().closed) === 2);
          assert.deepEqual(broker.status().closed, {
            "TLS handshake given up by the client": 1,
            "TLS handshake not finished in time": 1,
          });
        },
        {
          listeners: [
            testListener({
              type: "tls",
              handshakeTimeoutMs: 200,
              certFile: server.cert,
              keyFile: server.key,
            }),
          ],
        },
      ),
    ));
});

async function opened(port: number): Promise<WebSocket> {
  const webSocket = new WebSocket(`ws://127.0.0.1:${port}/mqtt`, "mqtt");
  await once(webSocket, "open");
  return webSocket;
}

/** A message in up to three pieces, pings between them. @param below a number from 0 on, by chance */
function messageOf(below: (max: number) => number): Buffer {
  const frames: Buffer[] = [];
  const pieces = below(3);
  for (let piece = 0; piece <= pieces; piece++) {
    if (piece > 0 && below(2) === 0) frames.push(frameOf(0x89, below(126), below(2) === 0));
    const head = (piece === 0 ? 2 : 0) | (piece === pieces ? 0x80 : 0);
    frames.push(frameOf(head, [0, 1, 125, 126, 65_535, 65_536][below(6)] ?? 0, below(2) === 0));
  }
  return Buffer.concat(frames);
}

/** A frame of zeros. */
function frameOf(head: number, length: number, isMasked: boolean): Buffer {
  const mask = isMasked ? 0x80 : 0;
  const long = Buffer.alloc(8);
  long.writeBigUInt64BE(BigInt(length));
  const own =
    length < 126 ? [length] : length < 65_536 ? [126, ...long.subarray(6)] : [127, ...long];
  own[0] = (own[0] as number) | mask;
  return Buffer.concat([Buffer.from([head, ...own]), Buffer.alloc(length + (isMasked ? 4 : 0))]);
}

function withWire(wire: Wire, test: (site: TestSite) => Promise<void>): Promise<void> {
  return withCertificates(({ server }) => {
    const files = { certFile: server.cert, keyFile: server.key };
    const secure = wire === "tls" || wire === "wss";
    const listeners: BrokerOptions["listeners"] = [
      testListener({ type: wire, ...(secure ? files : {}) }),
    ];
    return withBroker(test, { listeners });
  });
}

function acknowledged(client: RawClient): number {
  return client.received.filter(({ cmd }) => cmd === "puback").length;
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}
