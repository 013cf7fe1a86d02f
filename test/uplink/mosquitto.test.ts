import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, it } from "node:test";
import type { Uplink } from "../../src/uplink/uplink.ts";
import { authority, certificate } from "../support/certificates.ts";
import { CloudReceiver } from "../support/cloud-receiver.ts";
import { MemorySource } from "../support/memory-source.ts";
import { type Mosquitto, startMosquitto } from "../support/mosquitto.ts";
import { FaultyProxy } from "../support/proxy.ts";
import { seededRandom } from "../support/random.ts";
import { until } from "../support/until.ts";
import { startUplink } from "../support/uplink-rig.ts";

const ends: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

describe("the uplink to a real mosquitto", () => {
  it("delivers 20,000 messages once and in order, and then its cursor stands at the last", async () => {
    const { receiver, journal, service } = await field({ patient: true });
    backlog(journal, 20_000);
    await until("all arrived", () => receiver.first.length === 20_000, 60_000);
    checkOrder(receiver, journal, new Set());
    assert.equal(receiver.duplicates, 0);
    await until("the cursors follow", () => queued(service) === 0);
    assert.equal(service.status().delivered, 20_000);
  });

  it("delivers what is published while it is connected, at once", async () => {
    const { receiver, journal, service } = await field();
    await until("connected", () => service.status().state === "connected");
    for (let count = 1; count <= 20; count++) {
      journal.append(2, "plant/live", `${count}`);
      journal.commit();
      await until("arrived", () => receiver.first.length === count, 5000);
    }
  });

  it("carries QoS 2, retained messages and MQTT 5 properties", async () => {
    const { receiver, journal, broker } = await field();
    const contentType = Buffer.from([0x03, 0, 4, ...Buffer.from("text")]);
    journal.append(2, "twice/a", "exactly", { qos: 2, retain: true, properties: contentType });
    journal.commit();
    await until("arrived", () => receiver.first.length === 1);
    assert.equal(receiver.first[0]?.payload, "exactly");
    const late = await CloudReceiver.start({ port: broker.port, clientId: "late" });
    ends.push(() => late.stop());
    await until("kept for those who come later", () => late.first.length === 1);
    assert.deepEqual([late.first[0]?.topic, late.first[0]?.retain], ["cloud/twice/a", true]);
  });

  it("resumes where the one before it stopped, and repeats nothing", async () => {
    const { receiver, journal, service, endpoint } = await field({ patient: true });
    backlog(journal, 20_000);
    await until("a part arrived", () => receiver.first.length > 2000);
    await service.stop();
    const part = service.status().delivered;
    assert.ok(part < 20_000, "it was stopped in the middle");
    assert.equal(queued(service), 20_000 - part);
    const patient = { acknowledgeTimeoutMs: PATIENCE_MS };
    const next = await startUplink(journal, { endpoints: [endpoint], ...patient });
    ends.push(() => next.stop());
    await until("the rest arrived", () => receiver.first.length === 20_000, 60_000);
    checkOrder(receiver, journal, new Set());
    assert.equal(receiver.duplicates, 0);
  });

  it("loses nothing that mosquitto had not taken over, when mosquitto is killed and started again", async () => {
    const { receiver, journal, service, broker } = await field({ persistent: true });
    backlog(journal, 20_000);
    await until("a part arrived", () => receiver.first.length > 5000, 60_000);
    const atKill = await killed(broker, service);
    await broker.start();
    await until("all sent", () => queued(service) === 0, 60_000);
    journal.append(1, "alarm/last", "the end");
    journal.commit();
    await until("the last one arrived", () => receiver.of("cloud/alarm/last").length === 1);
    // mosquitto acknowledges before it stores: what it had taken over and not passed on died with it.
    const missing = journal.seqs.filter((seq) => !receiver.ids.has(`${journal.id}/${seq}`));
    for (const seq of missing) assert.ok(seq <= atKill, `${seq} was never acknowledged`);
    checkOrder(receiver, journal, new Set(missing));
    assert.ok(service.status().failures >= 1);
    console.log(`# repeated ${receiver.duplicates}, lost by mosquitto ${missing.length}`);
  });
});

describe("the uplink over a bad line", () => {
  for (const seed of [Math.floor(Math.random() * 2 ** 32), 1, 2]) {
    it(`loses nothing and keeps the order, whatever the line does (seed ${seed})`, async () => {
      const random = seededRandom(seed);
      const { receiver, journal, service, proxy } = await field({ proxied: true });
      assert.ok(proxy);
      await until("connected", () => service.status().state === "connected");
      backlog(journal, 10_000);
      const done: string[] = [];
      for (let step = 0; step < 25; step++) {
        done.push(misfortune(proxy, random));
        await new Promise((resolve) => setTimeout(resolve, 20 + random() * 150));
        if (random() < 0.6) proxy.way = "clear";
        journal.append(1, "alarm/a", `${step}`);
        journal.commit();
      }
      proxy.way = "clear";
      await until(`all arrived after ${done.join(", ")}`, () => queued(service) === 0, 60_000);
      await until("all are here", () => receiver.first.length >= journal.lastSeq, 10_000);
      checkOrder(receiver, journal, new Set());
      const { failures } = service.status();
      assert.ok(failures > 0, `seed ${seed}: nothing happened in ${done.join(", ")}`);
      console.log(`# seed ${seed}: ${failures} failures, ${receiver.duplicates} repeated`);
    });
  }

  it("notices a line that swallows everything by the missing acknowledgements", async () => {
    const { receiver, journal, service, proxy } = await field({ proxied: true });
    await until("connected", () => service.status().state === "connected");
    assert.ok(proxy);
    proxy.way = "blackhole";
    journal.append(2, "plant/a", "x");
    journal.commit();
    const beganMs = performance.now();
    await until("noticed", () => service.status().failures === 1, 5000);
    const tookMs = performance.now() - beganMs;
    assert.equal(service.status().lastError?.["code"], "ERR_UPLINK_STALLED");
    assert.ok(tookMs >= DEADLINE_MS - 5 && tookMs < DEADLINE_MS + 1000, `${tookMs} ms`);
    assert.equal(service.status().lanes.telemetry.cursor, 0);
    proxy.way = "clear";
    await until("arrived", () => receiver.first.length === 1);
  });

  it("stays connected, without a message, for longer than the deadline", async () => {
    const { journal, service, receiver } = await field({ proxied: true });
    await until("connected", () => service.status().state === "connected");
    await new Promise((resolve) => setTimeout(resolve, 2 * DEADLINE_MS));
    assert.equal(service.status().failures, 0);
    journal.append(2, "plant/a", "x");
    journal.commit();
    await until("arrived", () => receiver.first.length === 1);
    assert.equal(service.status().failures, 0);
  });

  it("lets an alarm overtake the backlog of the other lanes", async () => {
    const { receiver, journal, proxy } = await field({ proxied: true });
    assert.ok(proxy);
    proxy.way = { bytesPerSecond: 300_000 };
    for (let count = 0; count < 4000; count++) journal.append(3, "bulk/a", `${count}`);
    journal.commit();
    await until("the backlog flows", () => receiver.first.length > 100);
    journal.append(1, "alarm/fire", "now");
    journal.commit();
    await until("the alarm is here", () => receiver.of("cloud/alarm/fire").length === 1);
    const before = receiver.first.findIndex((arrival) => arrival.topic === "cloud/alarm/fire");
    assert.ok(before < 2000, `${before} messages before it`);
    proxy.way = "clear";
    await until("the rest follows", () => receiver.first.length === 4001);
  });
});

describe("the uplink over TLS", () => {
  it("proves itself by a certificate and trusts only its own authority", async () => {
    const directory = await mkdtemp(join(tmpdir(), "fieldgate-tls-"));
    ends.push(() => rm(directory, { recursive: true }));
    const ours = authority(directory, "ours");
    const others = authority(directory, "others");
    const server = certificate(directory, ours, "server", "subjectAltName=DNS:localhost");
    const client = certificate(directory, ours, "client", "subjectAltName=DNS:gw-a");
    const broker = await startMosquitto({
      config: [
        `cafile ${ours.cert}`,
        `certfile ${server.cert}`,
        `keyfile ${server.key}`,
        "require_certificate true",
      ],
    });
    ends.push(() => broker.end());
    const tls = { certFile: client.cert, keyFile: client.key };

    const connects = async (endpoint: string, caFile: string) => {
      const service = await startUplink(new MemorySource(), {
        endpoints: [endpoint],
        caFile,
        ...tls,
      });
      ends.push(() => service.stop());
      const { status } = service;
      await until(
        "decided",
        () => status.call(service).state === "connected" || status.call(service).failures > 0,
      );
      const { state, lastError } = service.status();
      return state === "connected" ? "yes" : JSON.stringify(lastError);
    };
    assert.equal(await connects(`mqtts://localhost:${broker.port}`, ours.cert), "yes");
    assert.match(
      await connects(`mqtts://localhost:${broker.port}`, others.cert),
      /certificate|CERT|SIGN/,
    );
    assert.match(await connects(`mqtts://127.0.0.1:${broker.port}`, ours.cert), /ALTNAME|altnames/);
  });
});

describe("the uplink to two mosquittos", () => {
  it("goes to the other one when one dies, and delivers everything to either", async () => {
    const [one, two] = [await startMosquitto(), await startMosquitto()];
    const receivers: CloudReceiver[] = [];
    for (const broker of [one, two]) {
      ends.push(() => broker.end());
      const receiver = await CloudReceiver.start({ port: broker.port });
      ends.push(() => receiver.stop());
      receivers.push(receiver);
    }
    const journal = new MemorySource();
    const endpoints = [one, two].map(({ port }) => `mqtt://127.0.0.1:${port}`);
    const service = await startUplink(journal, { endpoints });
    ends.push(() => service.stop());
    backlog(journal, 500);
    await until("all at the first", () => receivers[0]?.first.length === 500);
    await until("acknowledged", () => queued(service) === 0);
    await one.kill();
    backlog(journal, 500);
    await until("the rest at the second", () => receivers[1]?.first.length === 500);
    assert.equal(service.status().endpoint, endpoints[1]);
    assert.deepEqual(
      service.status().endpoints.map(({ failures }) => failures > 0),
      [true, false],
    );
  });
});

describe("user, password and certificate in files", () => {
  it("are read again for each connection, by a mosquitto that wants both over TLS", async () => {
    const directory = await mkdtemp(join(tmpdir(), "fieldgate-renewed-"));
    ends.push(() => rm(directory, { recursive: true }));
    const ours = authority(directory, "ours");
    const server = certificate(directory, ours, "server", "subjectAltName=DNS:localhost");
    const stranger = authority(directory, "stranger");
    const users = join(directory, "users");
    execFileSync("mosquitto_passwd", ["-b", "-c", users, "gw-a", "token-2"], { stdio: "pipe" });
    const broker = await startMosquitto({
      config: [
        ...[`cafile ${ours.cert}`, `certfile ${server.cert}`, `keyfile ${server.key}`],
        ...["require_certificate true", `password_file ${users}`, "allow_anonymous false"],
      ],
    });
    ends.push(() => broker.end());
    const files = {
      passwordFile: join(directory, "password"),
      certFile: join(directory, "gw.pem"),
      keyFile: join(directory, "gw.key"),
    };
    const install = async (password: string, by: { cert: string; key: string }) => {
      const pair = certificate(directory, by, "client", "subjectAltName=DNS:gw-a");
      await writeFile(files.passwordFile, `${password}\n`);
      await copyFile(pair.cert, files.certFile);
      await copyFile(pair.key, files.keyFile);
    };
    const failuresMore = async () => {
      const before = service.status().failures;
      await until("two failures more", () => service.status().failures >= before + 2);
      assert.equal(service.status().delivered, 0);
    };
    await install("token-2", stranger);
    const journal = new MemorySource();
    const endpoints = [`mqtts://localhost:${broker.port}`];
    const more = { username: "gw-a", caFile: ours.cert, ...files };
    const service = await startUplink(journal, { endpoints, ...more });
    ends.push(() => service.stop());
    backlog(journal, 10);
    await failuresMore();
    await install("token-1", ours);
    await failuresMore();
    await install("token-2", ours);
    await until("all taken", () => queued(service) === 0);
    assert.equal(service.status().delivered, 10);
  });
});

const DEADLINE_MS = 500;
const PATIENCE_MS = 20_000;

interface Field {
  readonly broker: Mosquitto;
  readonly receiver: CloudReceiver;
  readonly journal: MemorySource;
  readonly service: Uplink;
  readonly proxy: FaultyProxy | null;
  readonly endpoint: string;
}

async function field(
  how: {
    readonly persistent?: boolean;
    readonly proxied?: boolean;
    /** A busy machine is no dead line: nothing is repeated because mosquitto had to wait for its turn. */
    readonly patient?: boolean;
  } = {},
): Promise<Field> {
  const broker = await startMosquitto({ persistent: how.persistent ?? false });
  ends.push(() => broker.end());
  const receiver = await CloudReceiver.start({ port: broker.port });
  ends.push(() => receiver.stop());
  const proxy = how.proxied === true ? await FaultyProxy.start(() => broker.port) : null;
  if (proxy !== null) ends.push(() => proxy.stop());
  const endpoint = `mqtt://127.0.0.1:${(proxy ?? broker).port}`;
  const journal = new MemorySource();
  const service = await startUplink(journal, {
    endpoints: [endpoint],
    acknowledgeTimeoutMs: how.patient === true ? PATIENCE_MS : DEADLINE_MS,
    connectTimeoutMs: 500,
  });
  ends.push(() => service.stop());
  return { broker, receiver, journal, service, proxy, endpoint };
}

/** Messages over two lanes and a few topics. */
function backlog(journal: MemorySource, count: number): void {
  for (let index = 0; index < count; index++) {
    const lane = index % 5 === 0 ? 3 : 2;
    journal.append(lane, `${lane === 3 ? "bulk" : "plant"}/${index % 7}`, `reading ${index}`);
  }
  journal.commit();
}

function queued(service: Uplink): number {
  return Object.values(service.status().lanes).reduce((sum, lane) => sum + lane.queued, 0);
}

/** Kills mosquitto; returns the highest seq that it can have acknowledged. */
async function killed(broker: Mosquitto, service: Uplink): Promise<number> {
  await broker.kill("SIGKILL");
  await until("noticed", () => service.status().state !== "connected");
  const { telemetry, bulk } = service.status().lanes;
  return Math.max(telemetry.cursor, bulk.cursor);
}

function misfortune(proxy: FaultyProxy, random: () => number): string {
  const kinds = ["cut", "halfClose", "stalled", "blackhole", "slow"] as const;
  const kind = kinds[Math.floor(random() * kinds.length)] as (typeof kinds)[number];
  if (kind === "cut") proxy.cut();
  else if (kind === "halfClose") proxy.halfClose();
  else proxy.way = kind === "slow" ? { bytesPerSecond: 20_000 + random() * 500_000 } : kind;
  return kind;
}

/** Everything but what is excused arrived, each lane in the order in which it was accepted. */
function checkOrder(
  receiver: CloudReceiver,
  journal: MemorySource,
  excused: ReadonlySet<number>,
): void {
  for (const lane of [1, 2, 3]) {
    const expected = journal.seqsOf(lane).filter((seq) => !excused.has(seq));
    const lanesOwn = new Set(expected);
    const arrived = receiver.first
      .map((arrival) => Number(arrival.user["fg-seq"]))
      .filter((seq) => lanesOwn.has(seq));
    assert.deepEqual(arrived, expected, `lane ${lane}`);
  }
}
