import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { describe, it } from "node:test";
import mqtt from "mqtt";
import { type IPublishPacket, type Packet, parser, writeToStream } from "mqtt-packet";
import { startField } from "../../firmware-sim/field.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { FaultyProxy } from "../support/proxy.ts";
import { seededRandom } from "../support/random.ts";
import { until } from "../support/until.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));

describe(`the MQTT sensor, seed ${SEED}`, { timeout: 120_000 }, () => {
  it("loses nothing to a real broker over connections that are cut, and keeps its order", async (test) => {
    const broker = await startMosquitto();
    test.after(() => broker.end());
    const proxy = await FaultyProxy.start(() => broker.port);
    test.after(() => proxy.stop());
    const heard: number[] = [];
    const subscriber = await mqtt.connectAsync(`mqtt://127.0.0.1:${broker.port}`);
    test.after(() => subscriber.endAsync(true));
    subscriber.on("message", (_topic, payload) => {
      const { id, n } = JSON.parse(payload.toString());
      if (id === "mq-1") heard.push(n);
    });
    await subscriber.subscribeAsync("sensors/#", { qos: 1 });
    const field = await startField({
      seed: SEED,
      sensors: [
        {
          kind: "mqtt",
          name: "mq-1",
          port: proxy.port,
          intervalMs: 1,
          count: 500,
          backoffFirstMs: 5,
        },
      ],
    });
    test.after(() => field.stop());
    const counts = () => field.counts()["mq-1"] ?? assert.fail("no counts");
    const random = seededRandom(SEED);
    while (counts().acknowledged < 450) {
      const next = counts().acknowledged + 20 + Math.floor(random() * 40);
      await until(
        `${next} acknowledged, seed ${SEED}`,
        () => counts().acknowledged >= Math.min(next, 500),
      );
      if (random() < 0.5) proxy.way = "blackhole";
      await new Promise((resolve) => setImmediate(resolve));
      proxy.cut();
      proxy.way = "clear";
    }
    await until(`all acknowledged, seed ${SEED}`, () => counts().acknowledged === 500);
    await until(`all heard, seed ${SEED}`, () => new Set(heard).size === 500);
    check(heard, 500);
    assert.ok(counts().reconnects >= 5, `seed ${SEED}: ${counts().reconnects} reconnects`);
  });

  it("keeps its window, and repeats what was not acknowledged, in order and with DUP", async (test) => {
    const seen: string[] = [];
    const sockets: Socket[] = [];
    const server = createServer((socket) => {
      sockets.push(socket);
      const connection = sockets.length;
      const packets = parser();
      packets.on("packet", (packet: Packet) => {
        if (packet.cmd === "connect") {
          seen.push(`${connection}:connect clean=${packet.clean} v${packet.protocolVersion}`);
          writeToStream({ cmd: "connack", returnCode: 0, sessionPresent: connection > 1 }, socket);
        } else if (packet.cmd === "publish") {
          seen.push(`${connection}:${described(packet)}`);
          const acknowledged = connection > 1 || numberOf(packet) === 1;
          if (acknowledged && packet.messageId !== undefined) {
            writeToStream({ cmd: "puback", messageId: packet.messageId }, socket);
          }
        }
      });
      socket.on("data", (chunk) => packets.parse(chunk));
    }).listen(0, "127.0.0.1");
    test.after(() => server.close());
    await once(server, "listening");
    const address = server.address();
    assert.ok(address !== null && typeof address === "object");
    const { port } = address;
    const field = await startField({
      seed: SEED,
      sensors: [
        { kind: "mqtt", name: "m", port, intervalMs: 1, count: 6, windowMax: 3, backoffFirstMs: 5 },
      ],
    });
    test.after(() => field.stop());
    const sampled = () => field.counts()["m"]?.sampled ?? 0;
    await until("a full window", () => seen.length === 5 && sampled() === 6);
    sockets[0]?.destroy();
    await until("all acknowledged", () => field.counts()["m"]?.acknowledged === 6);
    assert.deepEqual(seen, [
      "1:connect clean=false v4",
      "1:n=1 id=1 qos=1",
      "1:n=2 id=2 qos=1",
      "1:n=3 id=3 qos=1",
      "1:n=4 id=4 qos=1",
      "2:connect clean=false v4",
      "2:n=2 id=2 qos=1 dup",
      "2:n=3 id=3 qos=1 dup",
      "2:n=4 id=4 qos=1 dup",
      "2:n=5 id=5 qos=1",
      "2:n=6 id=6 qos=1",
    ]);
    assert.equal(field.counts()["m"]?.repeated, 3);
  });

  it("does not sample beyond its outbox while the broker is away", async (test) => {
    const field = await startField({
      seed: SEED,
      sensors: [
        { kind: "mqtt", name: "m", port: 1, intervalMs: 1, outboxMax: 5 },
        { kind: "mqtt", name: "at its side", port: 1, intervalMs: 1 },
      ],
    });
    test.after(() => field.stop());
    await until("a full outbox", () => field.counts()["m"]?.sampled === 5);
    await until("time for more", () => (field.counts()["at its side"]?.sampled ?? 0) >= 50);
    assert.equal(field.counts()["m"]?.sampled, 5);
  });
});

/** Every number up to `count` was heard, for the first time in order. */
function check(heard: readonly number[], count: number): void {
  const first = heard.filter((n, i) => heard.indexOf(n) === i);
  assert.deepEqual(
    first,
    Array.from({ length: count }, (_, i) => i + 1),
    `seed ${SEED}`,
  );
}

function described(packet: IPublishPacket): string {
  const dup = packet.dup ? " dup" : "";
  return `n=${numberOf(packet)} id=${packet.messageId} qos=${packet.qos}${dup}`;
}

function numberOf(packet: IPublishPacket): number {
  return JSON.parse(packet.payload.toString()).n;
}
