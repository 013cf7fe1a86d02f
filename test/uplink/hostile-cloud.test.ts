import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { afterEach, describe, it } from "node:test";
import type { UplinkConfig } from "../../src/config/schema.ts";
import type { Uplink } from "../../src/uplink/uplink.ts";
import { MemorySource } from "../support/memory-source.ts";
import { accept, acknowledge, type Script, ScriptedBroker } from "../support/scripted-broker.ts";
import { until } from "../support/until.ts";
import { startUplink } from "../support/uplink-rig.ts";

/**
 * What a cloud can do to us on the way up. Each of these ends the same way: memory and disk stay bounded, what happened is
 * counted or said in the status, and as soon as the cloud behaves every message arrives.
 */

const ends: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

describe("a cloud that sends what is no answer", () => {
  it("is left when it announces a packet longer than answerBytesMax, before that packet has come", async () => {
    const header = Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f]);
    await checkLeft({
      misdeed: (socket) => socket.write(header),
      code: "ERR_UPLINK_PROTOCOL",
      says: /longer than uplink\.answerBytesMax/,
    });
  });

  it("is left when a length has five bytes", async () => {
    await checkLeft({
      misdeed: (socket) => socket.write(Buffer.from([0x40, 0xff, 0xff, 0xff, 0xff, 0x01])),
      code: "ERR_UPLINK_PROTOCOL",
      says: /no MQTT/,
    });
  });

  it("is left when it answers in another language", async () => {
    const http = await brokerWith({
      connected: (visit) => visit.write(Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")),
    });
    const { service, journal } = await uplinkTo(http, { connectTimeoutMs: 200 });
    journal.append(2, "plant/a", "x");
    journal.commit();
    await until("refused", () => service.status().failures >= 2);
    assert.match(
      String(service.status().lastError?.["code"]),
      /ERR_UPLINK_(PROTOCOL|REFUSED|CLOSED)/,
    );
    http.script = {};
    await until("delivered", () => service.status().delivered === 1);
  });

  it("moves nothing by acknowledgements of packets that nobody sent; they are counted", async () => {
    const forged = 10_000;
    const broker = await brokerWith({
      published(visit, packet) {
        if (packet.payload.toString() !== "first") acknowledge(visit, packet);
        else if (!isForged) {
          isForged = true;
          visit.write(acknowledgements(0x40, packet.messageId ?? 0, forged));
        }
      },
    });
    let isForged = false;
    const { service, journal } = await uplinkTo(broker);
    journal.append(2, "plant/a", "first");
    journal.commit();
    await until("all counted", () => service.status().unexpected === forged);
    const { delivered, inflight, lanes } = service.status();
    assert.deepEqual([delivered, inflight, lanes.telemetry.cursor], [0, 1, 0]);
    broker.script = {};
    await until("delivered after the stall", () => service.status().delivered === 1);
  });

  it("is not answered when it publishes to who has subscribed to nothing; that is counted", async () => {
    const told: string[] = [];
    const broker = await brokerWith({
      connected(visit) {
        accept(visit);
        for (let count = 1; count <= 1000; count++) {
          const messageId = count;
          visit.send({
            cmd: "publish",
            topic: "a",
            payload: "x",
            qos: 1,
            messageId,
            dup: false,
            retain: false,
          });
        }
        visit.send({ cmd: "pubrel", messageId: 9 });
      },
      received: (_, packet) => told.push(packet.cmd),
    });
    const { service, journal } = await uplinkTo(broker);
    journal.append(2, "plant/a", "x");
    journal.commit();
    await until("counted", () => service.status().unexpected === 1001);
    await until("delivered", () => service.status().delivered === 1);
    assert.deepEqual(told, []);
  });
});

describe("a cloud that acknowledges wrongly", () => {
  for (const [what, reasonCode] of [
    ["that no standard knows", 0xff],
    ["of an identifier that it does not know", 0x92],
    ["of a quota", 0x97],
  ] as const) {
    it(`keeps nothing by a PUBACK with the code ${what}: the message is sent again`, async () => {
      let refusals = 2;
      const broker = await brokerWith({
        published: (visit, packet) => acknowledge(visit, packet, refusals-- > 0 ? reasonCode : 0),
      });
      const { service, journal } = await uplinkTo(broker, { windowMax: 1 });
      await delivers({ service, journal }, 1);
      const { failures, lastError } = service.status();
      assert.equal(failures, 2);
      assert.equal(lastError?.["reasonCode"], reasonCode);
      assert.equal(broker.published.length, 3);
    });
  }

  it("has not taken QoS 2 by a PUBCOMP without a PUBREC", async () => {
    const broker = await brokerWith({
      published: (visit, packet) =>
        visit.send({ cmd: "pubcomp", messageId: packet.messageId ?? 0 }),
    });
    const { service, journal } = await uplinkTo(broker, { acknowledgeTimeoutMs: 200 });
    journal.append(2, "twice/a", "x");
    journal.commit();
    await until("counted", () => service.status().unexpected > 0);
    await until("given up", () => service.status().failures > 0);
    assert.equal(service.status().lastError?.["code"], "ERR_UPLINK_STALLED");
    assert.equal(service.status().delivered, 0);
  });

  it("gets one PUBREL however often it sends PUBREC", async () => {
    let released = 0;
    const broker = await brokerWith({
      published: (visit, packet) =>
        visit.write(Buffer.concat(Array(500).fill(packetOf(0x50, packet.messageId ?? 0)))),
      received(visit, packet) {
        if (packet.cmd !== "pubrel") return;
        released++;
        setTimeout(() => visit.send({ cmd: "pubcomp", messageId: packet.messageId ?? 0 }), 50);
      },
    });
    const { service, journal } = await uplinkTo(broker);
    journal.append(2, "twice/a", "x");
    journal.commit();
    await until("delivered", () => service.status().delivered === 1);
    assert.deepEqual([released, service.status().unexpected], [1, 499]);
  });

  it("may drip its acknowledgements byte by byte, and split them anywhere", async () => {
    const owed: number[] = [];
    const broker = await brokerWith({
      published(visit, packet) {
        const drip = owed.length === 0;
        owed.push(...packetOf(0x40, packet.messageId ?? 0));
        if (!drip) return;
        const timer = setInterval(() => {
          const byte = owed.shift();
          if (byte === undefined) clearInterval(timer);
          else visit.write(Buffer.from([byte]));
        }, 1);
      },
    });
    const { service, journal } = await uplinkTo(broker, { windowMax: 10 });
    await delivers({ service, journal }, 30);
    assert.equal(service.status().unexpected, 0);
  });
});

describe("a cloud that grants what is of no use", () => {
  for (const [what, properties, says] of [
    ["a Receive Maximum of 0", { receiveMaximum: 0 }, /Receive Maximum/],
    ["a Maximum Packet Size of 0", { maximumPacketSize: 0 }, /Maximum Packet Size/],
    ["QoS 0 only", { maximumQoS: 0 }, /QoS 0 only/],
  ] as const) {
    it(`is not counted as connected with ${what}, and the reason is said`, async () => {
      const broker = await brokerWith({ connected: (visit) => accept(visit, properties) });
      const { service, journal } = await uplinkTo(broker);
      journal.append(2, "plant/a", "x");
      journal.commit();
      await until("two attempts", () => service.status().failures >= 2);
      const { lastError, delivered, state } = service.status();
      assert.notEqual(state, "connected");
      assert.match(JSON.stringify(lastError), says);
      assert.equal(delivered, 0);
      broker.script = {};
      await until("delivered", () => service.status().delivered === 1);
    });
  }

  it("is left when it claims to have kept a session: identifiers of QoS 2 would mean something else there", async () => {
    let lies = 2;
    const broker = await brokerWith({
      connected: (visit) =>
        lies-- > 0
          ? visit.send({ cmd: "connack", sessionPresent: true, reasonCode: 0 })
          : accept(visit),
    });
    const { service, journal } = await uplinkTo(broker);
    await delivers({ service, journal }, 1);
    assert.equal(service.status().failures, 2);
    assert.match(JSON.stringify(service.status().lastError), /kept a session/);
  });

  it("is served one by one with a Receive Maximum of 1", async () => {
    let inflight = 0;
    const broker = await brokerWith({
      connected: (visit) => accept(visit, { receiveMaximum: 1 }),
      published(visit, packet) {
        assert.equal(++inflight, 1);
        setImmediate(() => {
          inflight--;
          acknowledge(visit, packet);
        });
      },
    });
    const { service, journal } = await uplinkTo(broker);
    await delivers({ service, journal }, 50);
  });

  it("may offer topic aliases: none is used", async () => {
    const broker = await brokerWith({
      connected: (visit) => accept(visit, { topicAliasMaximum: 100 }),
    });
    const { service, journal } = await uplinkTo(broker);
    await delivers({ service, journal }, 3);
    for (const packet of broker.published) {
      assert.equal(packet.topic, "cloud/plant/a");
      assert.equal(packet.properties?.topicAlias, undefined);
    }
  });

  it("is left when it accepts twice", async () => {
    let isRude = true;
    const broker = await brokerWith({
      connected(visit) {
        accept(visit, { receiveMaximum: 2 });
        if (isRude) accept(visit, { receiveMaximum: 50 });
        isRude = false;
      },
    });
    const { service, journal } = await uplinkTo(broker);
    await delivers({ service, journal }, 20);
    assert.equal(service.status().failures, 1);
  });
});

describe("a cloud that ends it", () => {
  for (const [what, reasonCode, properties] of [
    ["goes down", 0x8b, {}],
    ["finds too many messages", 0x96, {}],
    ["has another connection of ours", 0x8e, {}],
    ["sends us elsewhere", 0x9c, { serverReference: "other.example:8883" }],
  ] as const) {
    it(`is left at once when it ${what}, although it keeps the line open, and its reason is said`, async () => {
      let isRude = true;
      const broker = await brokerWith({
        published(visit, packet) {
          if (!isRude) return acknowledge(visit, packet);
          isRude = false;
          visit.send({ cmd: "disconnect", reasonCode, properties });
        },
      });
      const { service, journal } = await uplinkTo(broker, { acknowledgeTimeoutMs: 60_000 });
      await delivers({ service, journal }, 1);
      const { failures, lastError } = service.status();
      assert.equal(failures, 1);
      assert.match(String(lastError?.["error"]), /ended the connection/);
      assert.equal(lastError?.["reasonCode"], reasonCode);
      assert.equal(
        lastError?.["serverReference"],
        "serverReference" in properties ? properties.serverReference : undefined,
      );
    });
  }

  it("is left when it closes its half of the line only", async () => {
    let isRude = true;
    const broker = await brokerWith({
      published(visit, packet) {
        if (!isRude) return acknowledge(visit, packet);
        isRude = false;
        visit.hangUp();
      },
    });
    const { service, journal } = await uplinkTo(broker, { acknowledgeTimeoutMs: 60_000 });
    await delivers({ service, journal }, 1);
    assert.equal(service.status().failures, 1);
  });

  it("is left when it never ends the TLS handshake", async () => {
    const sockets = new Set<Socket>();
    const silent = createServer((socket) =>
      sockets.add(socket.on("error", () => undefined).resume()),
    );
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    const address = silent.address();
    assert.ok(address !== null && typeof address === "object");
    ends.push(async () => {
      for (const socket of sockets) socket.destroy();
      silent.close();
    });
    const journal = new MemorySource();
    const endpoints = [`mqtts://127.0.0.1:${address.port}`];
    const service = await startUplink(journal, { endpoints, connectTimeoutMs: 100 });
    ends.push(() => service.stop());
    await until("two attempts", () => service.status().failures >= 2);
    assert.match(String(service.status().lastError?.["error"]), /did not answer in time/);
    await until("what was given up is closed", () =>
      [...sockets].slice(0, 2).every((socket) => socket.closed),
    );
  });
});

it("a cloud that reads nothing is sent no more than the window, and left at the deadline", async () => {
  let isDeaf = true;
  const broker = await brokerWith({
    connected(visit) {
      accept(visit);
      if (isDeaf) visit.pause();
    },
  });
  const inflightBytesMax = 2 ** 20;
  const { service, journal } = await uplinkTo(broker, { inflightBytesMax });
  const payload = "x".repeat(50_000);
  for (let count = 0; count < 100; count++) journal.append(2, "plant/a", payload);
  journal.commit();
  await until("in flight", () => service.status().inflight > 0);
  let most = 0;
  await until("left", () => {
    most = Math.max(most, service.status().inflight);
    return service.status().failures > 0;
  });
  assert.equal(service.status().lastError?.["code"], "ERR_UPLINK_STALLED");
  assert.ok(most <= inflightBytesMax / payload.length + 1, `${most} in flight`);
  isDeaf = false;
  await until("all delivered", () => service.status().delivered === 100);
});

interface Misdeed {
  readonly misdeed: (socket: { write(bytes: Uint8Array): void }) => void;
  readonly code: string;
  readonly says: RegExp;
}

/** The cloud does it instead of its first acknowledgement, and behaves from then on. */
async function checkLeft({ misdeed, code, says }: Misdeed): Promise<void> {
  let isRude = true;
  const broker = await brokerWith({
    published(visit, packet) {
      if (!isRude) return acknowledge(visit, packet);
      isRude = false;
      misdeed(visit);
    },
  });
  const { service, journal } = await uplinkTo(broker, { acknowledgeTimeoutMs: 60_000 });
  await delivers({ service, journal }, 1);
  const { failures, lastError } = service.status();
  assert.equal(failures, 1);
  assert.match(JSON.stringify(lastError), says);
  assert.match(JSON.stringify(lastError), new RegExp(code));
}

/** Acknowledgements of the identifiers behind `after`, without `after`. */
function acknowledgements(header: number, after: number, count: number): Buffer {
  return Buffer.concat(
    Array.from({ length: count }, (_, index) => packetOf(header, after + 1 + index)),
  );
}

function packetOf(header: number, packetId: number): Buffer {
  return Buffer.from([header, 2, packetId >> 8, packetId & 0xff]);
}

async function brokerWith(script: Script): Promise<ScriptedBroker> {
  const broker = await ScriptedBroker.start(script);
  ends.push(() => broker.stop());
  return broker;
}

async function uplinkTo(
  broker: ScriptedBroker,
  changes: Partial<UplinkConfig> = {},
): Promise<{ readonly service: Uplink; readonly journal: MemorySource }> {
  const journal = new MemorySource();
  const service = await startUplink(journal, {
    endpoints: [broker.endpoint],
    // The first connection loads the package, which takes a while on a busy machine.
    connectTimeoutMs: 15_000,
    ...changes,
  });
  ends.push(() => service.stop());
  return { service, journal };
}

/** Takes so many messages in, and waits until the cloud has acknowledged them all. */
async function delivers(
  { service, journal }: Awaited<ReturnType<typeof uplinkTo>>,
  messages: number,
): Promise<void> {
  for (let count = 0; count < messages; count++) journal.append(2, "plant/a", "x");
  journal.commit();
  await until("all delivered", () => service.status().delivered === messages);
}
