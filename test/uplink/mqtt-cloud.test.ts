import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, it } from "node:test";
import type { UplinkConfig } from "../../src/config/schema.ts";
import type { Uplink } from "../../src/uplink/uplink.ts";
import { authority } from "../support/certificates.ts";
import { MemorySource } from "../support/memory-source.ts";
import { accept, acknowledge, type Script, ScriptedBroker } from "../support/scripted-broker.ts";
import { until } from "../support/until.ts";
import { startUplink } from "../support/uplink-rig.ts";

const ends: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

describe("the version of the protocol", () => {
  it("is 5, and every message says who it is", async () => {
    const broker = await brokerWith();
    const { service, journal } = await uplinkTo([broker]);
    journal.append(2, "plant/oven", "21.5", { wallMs: 1_700_000_000_000 });
    journal.commit();
    await until("delivered", () => service.status().delivered === 1);
    const [packet] = broker.published;
    assert.equal(packet?.topic, "cloud/plant/oven");
    assert.deepEqual(
      { ...packet?.properties?.userProperties },
      {
        "fg-journal": journal.id,
        "fg-gateway": "gw-a",
        "fg-site": "plant-7",
        "fg-time": "2023-11-14T22:13:20.000Z",
        "fg-seq": "1",
      },
    );
    assert.equal(broker.visits[0]?.connect.clientId, "plant-7-gw-a");
    assert.equal(broker.visits[0]?.connect.clean, true);
  });

  it("is 3.1.1 where a server of 3.1.1 refuses 5, which is remembered", async () => {
    const broker = await brokerWith({
      connected(visit) {
        if (visit.version === 5) {
          visit.write(Buffer.from([0x20, 2, 0, 1]));
          visit.hangUp();
        } else accept(visit);
      },
    });
    await checkFallsBack(broker, [5, 4, 4]);
  });

  it("is 3.1.1 where a server of 5 refuses it by its reason code, which is remembered", async () => {
    const broker = await brokerWith({
      connected(visit) {
        if (visit.version === 5) {
          visit.send({ cmd: "connack", sessionPresent: false, reasonCode: 0x84 });
          visit.hangUp();
        } else accept(visit);
      },
    });
    await checkFallsBack(broker, [5, 4, 4]);
  });

  it("is 3.1.1 where the server hung up on 5 three times in a row, but 5 is tried first again", async () => {
    const broker = await brokerWith({
      connected(visit) {
        if (visit.version === 5) visit.hangUp();
        else accept(visit);
      },
    });
    await checkFallsBack(broker, [5, 5, 5, 4, 5, 4], 2);
  });

  it("stays 5 where a server that speaks it hangs up", async () => {
    let restarting = false;
    const broker = await brokerWith({
      connected: (visit) => (restarting ? visit.hangUp() : accept(visit)),
    });
    const { service } = await uplinkTo([broker]);
    await until("connected", () => service.status().state === "connected");
    restarting = true;
    broker.hangUpOnAll();
    await until("six attempts", () => broker.visits.length >= 6);
    restarting = false;
    await until("connected again", () => service.status().state === "connected");
    assert.deepEqual(new Set(broker.versions), new Set([5]));
  });

  it("stays 5 where the server refuses us for another reason", async () => {
    const broker = await brokerWith({
      connected: (visit) => visit.send({ cmd: "connack", sessionPresent: false, reasonCode: 0x86 }),
    });
    const { service } = await uplinkTo([broker]);
    await until("three attempts", () => broker.visits.length >= 3);
    assert.deepEqual(new Set(broker.versions), new Set([5]));
    assert.equal(service.status().lastError?.["code"], "ERR_UPLINK_REFUSED");
  });
});

describe("a message that the cloud refuses", () => {
  it("is given up when it always would be: counted, and the cursor moves on", async () => {
    for (const [reasonCode, reason] of [
      [0x87, "not-authorized"],
      [0x90, "topic-invalid"],
      [0x99, "payload-invalid"],
    ] as const) {
      const broker = await brokerWith({
        published: (visit, packet) =>
          acknowledge(visit, packet, packet.topic.endsWith("bad") ? reasonCode : 0),
      });
      const { service, journal } = await uplinkTo([broker]);
      for (const name of ["a", "bad", "b"]) journal.append(2, `plant/${name}`, "x");
      journal.commit();
      await until("two, and the record of the third", () => service.status().delivered === 3);
      assert.equal(service.status().dropped[reason], 1);
      assert.equal(service.status().failures, 0);
    }
  });

  it("is sent again on a new connection when the cloud has no room today", async () => {
    let refusals = 3;
    const broker = await brokerWith({
      published: (visit, packet) => acknowledge(visit, packet, refusals-- > 0 ? 0x97 : 0),
    });
    const { service, journal } = await uplinkTo([broker], { windowMax: 1 });
    for (const name of ["a", "b"]) journal.append(2, `plant/${name}`, "x");
    journal.commit();
    await until("both delivered", () => service.status().delivered === 2);
    const { failures, dropped, lanes } = service.status();
    assert.deepEqual([failures, lanes.telemetry.cursor], [3, 2]);
    assert.equal(
      Object.values(dropped).reduce((sum, count) => sum + count),
      0,
    );
    assert.deepEqual(
      broker.published.map((packet) => packet.topic.at(-1)),
      ["a", "a", "a", "a", "b"],
    );
  });

  it("is not even sent when it is longer than the cloud takes", async () => {
    const broker = await brokerWith({
      connected: (visit) => accept(visit, { maximumPacketSize: 500 }),
    });
    const { service, journal } = await uplinkTo([broker]);
    journal.append(2, "plant/a", "x".repeat(500));
    journal.append(2, "plant/b", "x");
    journal.commit();
    await until("the record of the loss", () => broker.published.length === 2);
    assert.deepEqual(
      broker.published.map((packet) => packet.topic),
      ["cloud/plant/b", "cloud/gap"],
    );
    assert.equal(service.status().dropped["packet-too-large"], 1);
  });

  it("is given up here when it has expired, or no rule lets it leave any more", async () => {
    const broker = await brokerWith();
    const { service, journal } = await uplinkTo([broker]);
    const expiry = Buffer.from([0x02, 0, 0, 0, 1]);
    journal.append(2, "plant/a", "x", { wallMs: Date.now() - 5000, properties: expiry });
    journal.append(2, "elsewhere", "x");
    journal.append(2, "plant/c", "x", {
      wallMs: Date.now(),
      properties: Buffer.from([0x02, 0, 0, 1, 0]),
    });
    journal.commit();
    await until("one, and the record of the others", () => service.status().delivered === 2);
    const { dropped } = service.status();
    assert.deepEqual([dropped.expired, dropped.unrouted], [1, 1]);
    const left = broker.published[0]?.properties?.messageExpiryInterval ?? 0;
    assert.ok(left > 250 && left <= 256, `${left}`);
  });
});

describe("what the cloud grants", () => {
  it("is kept: never more in flight than its Receive Maximum", async () => {
    let inflight = 0;
    let most = 0;
    const broker = await brokerWith({
      connected: (visit) => accept(visit, { receiveMaximum: 3 }),
      published(visit, packet) {
        most = Math.max(most, ++inflight);
        setImmediate(() => {
          inflight--;
          acknowledge(visit, packet);
        });
      },
    });
    const { service, journal } = await uplinkTo([broker]);
    for (let count = 0; count < 200; count++)
      journal.append(1 + (count % 3), LANE_TOPICS[count % 3] ?? "", "x");
    journal.commit();
    await until("all delivered", () => service.status().delivered === 200);
    assert.equal(most, 3);
  });

  it("is kept: no QoS 2 and no retained message where it has none", async () => {
    const broker = await brokerWith({
      connected: (visit) => accept(visit, { maximumQoS: 1, retainAvailable: false }),
    });
    const { service, journal } = await uplinkTo([broker]);
    journal.append(2, "twice/a", "x", { retain: true });
    journal.commit();
    await until("delivered", () => service.status().delivered === 1);
    assert.deepEqual([broker.published[0]?.qos, broker.published[0]?.retain], [1, false]);
  });

  it("carries QoS 2 through all four packets", async () => {
    const seen: string[] = [];
    const broker = await brokerWith({
      published(visit, packet) {
        seen.push(`publish ${packet.qos} ${packet.retain}`);
        visit.send({ cmd: "pubrec", messageId: packet.messageId ?? 0, reasonCode: 0 });
      },
      received(visit, packet) {
        seen.push(packet.cmd);
        if (packet.cmd === "pubrel")
          visit.send({ cmd: "pubcomp", messageId: packet.messageId ?? 0 });
      },
    });
    const { service, journal } = await uplinkTo([broker]);
    journal.append(2, "twice/a", "x", { retain: true });
    journal.commit();
    await until("delivered", () => service.status().delivered === 1);
    assert.deepEqual(seen, ["publish 2 true", "pubrel"]);
  });
});

describe("endpoints", () => {
  it("are tried one after the other, round and round", async () => {
    const refuses = await brokerWith({
      connected: (visit) => visit.send({ cmd: "connack", sessionPresent: false, reasonCode: 0x88 }),
    });
    const accepts = await brokerWith();
    const { service } = await uplinkTo([refuses, accepts]);
    await until("connected", () => service.status().state === "connected");
    assert.equal(service.status().endpoint, accepts.endpoint);
    accepts.hangUpOnAll();
    await until("connected again", () => accepts.visits.length === 2);
    assert.equal(refuses.visits.length, 2);
  });

  it("are given up when they do not answer in time", async () => {
    const silent = await brokerWith({ connected: () => undefined });
    const accepts = await brokerWith();
    const { service } = await uplinkTo([silent, accepts], { connectTimeoutMs: 100 });
    await until("connected", () => service.status().state === "connected");
    assert.equal(service.status().failures, 1);
    assert.match(String(service.status().lastError?.["error"]), /did not answer in time/);
  });

  it("may become known meanwhile; what is no address, or has no TLS among those that have, is passed over", async () => {
    const [one, two] = [await brokerWith(), await brokerWith()];
    let more: string[] = [];
    const moreEndpoints = () => more;
    const service = await startUplink(
      new MemorySource(),
      { endpoints: [one.endpoint] },
      { moreEndpoints },
    );
    ends.push(() => service.stop());
    await until("connected", () => service.status().state === "connected");
    more = ["http://no", one.endpoint, two.endpoint, two.endpoint];
    one.hangUpOnAll();
    await until("moved", () => two.visits.length === 1 && service.status().state === "connected");
    assert.equal(service.status().endpoints.length, 2);
    const tls = await startUplink(
      new MemorySource(),
      { endpoints: ["mqtts://127.0.0.1:1"] },
      { moreEndpoints },
    );
    ends.push(() => tls.stop());
    await until("failed", () => tls.status().failures >= 2);
    assert.equal(tls.status().endpoints.length, 1);
  });

  it("may be refusing connections, or no hosts at all", async () => {
    const accepts = await brokerWith();
    const gone = await brokerWith();
    const endpoint = gone.endpoint;
    await gone.stop();
    ends.splice(ends.length - 1, 1);
    const { service } = await uplinkTo([accepts], {
      endpoints: [endpoint, "mqtt://no-such-host.invalid", accepts.endpoint],
    });
    await until("connected", () => service.status().state === "connected");
    assert.ok(service.status().failures >= 2);
  });
});

describe("who we are", () => {
  it("is the user and the password in the file, read for each connection", async () => {
    const directory = await mkdtemp(join(tmpdir(), "fieldgate-uplink-"));
    ends.push(() => rm(directory, { recursive: true }));
    const passwordFile = join(directory, "password");
    const broker = await brokerWith();
    const { service } = await uplinkTo([broker], { username: "gw", passwordFile, clientId: "me" });
    await until("failed", () => service.status().failures > 0);
    assert.equal(service.status().lastError?.["code"], "ERR_CONFIG_UNREADABLE");
    assert.equal(service.status().lastError?.["key"], "uplink.passwordFile");
    await writeFile(passwordFile, "s3cret\n");
    await until("connected", () => service.status().state === "connected");
    const connect = broker.visits[0]?.connect;
    assert.deepEqual(
      [connect?.username, connect?.password?.toString(), connect?.clientId],
      ["gw", "s3cret", "me"],
    );
  });
});

describe("a certificate that cannot be used", () => {
  it("is a failure like any other: half of a renewal, or no PEM at all", async () => {
    const directory = await mkdtemp(join(tmpdir(), "fieldgate-uplink-"));
    ends.push(() => rm(directory, { recursive: true }));
    const one = authority(directory, "one");
    const other = authority(directory, "other");
    const noPem = join(directory, "no.pem");
    await writeFile(noPem, "no certificate");
    for (const files of [
      { certFile: one.cert, keyFile: other.key },
      { certFile: noPem, keyFile: one.key },
      { certFile: one.cert, keyFile: noPem },
    ]) {
      const { service } = await uplinkTo([], { endpoints: ["mqtts://127.0.0.1:1"], ...files });
      await until("failed, and tried again", () => service.status().failures >= 2);
      assert.equal(service.status().lastError?.["code"], "ERR_CONFIG_UNREADABLE");
      assert.match(String(service.status().lastError?.["error"]), /certificate or key/);
    }
  });
});

describe("stopping", () => {
  it("waits for what is in flight, says goodbye, and leaves nothing behind", async () => {
    const goodbyes: string[] = [];
    const waiting: Array<() => void> = [];
    const broker = await brokerWith({
      published: (visit, packet) => waiting.push(() => acknowledge(visit, packet)),
      received: (_, packet) => goodbyes.push(packet.cmd),
    });
    const { service, journal } = await uplinkTo([broker], { windowMax: 2 });
    for (let count = 0; count < 5; count++) journal.append(2, "plant/a", "x");
    journal.commit();
    await until("two in flight", () => waiting.length === 2);
    const stopped = service.stop();
    for (const answer of waiting.splice(0)) answer();
    await stopped;
    assert.equal(service.status().lanes.telemetry.cursor, 2);
    assert.equal(broker.published.length, 2, "nothing new was sent");
    await until("goodbye", () => goodbyes.includes("disconnect"));
    assert.equal(service.status().state, "paused");
  });

  it("does not wait for ever, in no state", async () => {
    const silent = await brokerWith({ connected: () => undefined });
    const mute = await brokerWith({ published: () => undefined });
    for (const broker of [silent, mute]) {
      const { service, journal } = await uplinkTo([broker], {}, { drainMsMax: 50 });
      journal.append(2, "plant/a", "x");
      journal.commit();
      await until("met", () => broker.visits.length > 0);
      const beganMs = performance.now();
      await service.stop();
      assert.ok(performance.now() - beganMs < 2000);
      assert.equal(service.status().lanes.telemetry.cursor, 0);
    }
  });
});

const LANE_TOPICS = ["alarm/a", "plant/a", "bulk/a"];

async function brokerWith(script: Script = {}) {
  const broker = await ScriptedBroker.start(script);
  ends.push(() => broker.stop());
  return broker;
}

async function uplinkTo(
  brokers: readonly ScriptedBroker[],
  changes: Partial<UplinkConfig> = {},
  limits: { readonly drainMsMax?: number } = {},
): Promise<{ readonly service: Uplink; readonly journal: MemorySource }> {
  const journal = new MemorySource();
  const endpoints = brokers.map((broker) => broker.endpoint);
  const service = await startUplink(journal, { endpoints, ...changes }, { limits });
  ends.push(() => service.stop());
  return { service, journal };
}

/** Connects, delivers a bare payload under 3.1.1, is hung up on, and connects again. */
async function checkFallsBack(
  broker: ScriptedBroker,
  versions: readonly number[],
  failures = 0,
): Promise<void> {
  const { service, journal } = await uplinkTo([broker]);
  journal.append(2, "plant/a", "bare");
  journal.commit();
  await until("delivered", () => service.status().delivered === 1);
  assert.equal(service.status().protocol, "3.1.1");
  assert.equal(service.status().failures, failures);
  assert.equal(broker.published[0]?.payload.toString(), "bare");
  broker.hangUpOnAll();
  await until("connected again", () => broker.visits.length === versions.length);
  assert.deepEqual(broker.versions, versions);
}
