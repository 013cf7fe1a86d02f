import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, statfsSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { connectAsync, type MqttClient } from "mqtt";
import { ask } from "../../src/control/control-client.ts";
import type { GatewayStatus } from "../../src/gateway-status.ts";
import { CloudEnd } from "../powercut/cloud-end.ts";
import { Mount, makeExt4 } from "../powercut/disk-tools.ts";
import { missingForPowercuts } from "../powercut/requirements.ts";
import { Program } from "../support/program.ts";
import { until } from "../support/until.ts";

const MIB = 2 ** 20;
/** More than fits, what a file system keeps for root included. */
const MESSAGES = 8000;
/** What LevelDB cannot make smaller. */
const payload = (n: number) => `${n} ${randomBytes(1500).toString("base64")}`;

describe("a gateway whose disk is full", () => {
  it("holds publishers back without a loss, still acknowledges and deletes, and recovers by itself", async (t) => {
    const missing = missingForPowercuts();
    if (missing !== null) return t.skip(missing);
    const rig = await DiskRig.start();
    try {
      const sensor = await rig.sensor("sensor");
      await until("the ballast is made", () => existsSync(rig.ballast));
      assert.ok(statSync(rig.ballast).blocks * 512 >= 12 * MIB, "the ballast is sparse");

      rig.fill(3 * MIB);
      const kept = sensor.publish(MESSAGES);
      await until(
        "the gateway reports it",
        async () => {
          const { journal, broker } = await rig.status();
          return journal.room === "disk-full" && broker.held > 0;
        },
        30_000,
      );
      rig.fill(0); // not even the reserve of the file system is left: what is written now needs the ballast
      const before = sensor.acknowledged;
      assert.ok(
        before < MESSAGES,
        `${before} of ${MESSAGES} acknowledged though there was no room`,
      );
      await sensor.alive();

      rig.cloud.away = false; // what it takes is deleted: on a full disk
      await until("the queue drains", async () => (await rig.balance()).queued === 0, 30_000);
      await sensor.alive();
      rig.free();
      await kept;
      assert.equal(sensor.reconnects, 0, "the connection did not stay");
      const count = () => new Set(rig.cloud.arrivals.map(({ key }) => key)).size;
      await until("everything is with the cloud", () => count() === MESSAGES);
      await until("the room is back", async () => (await rig.status()).journal.room === "free");
      await until("the ballast is made again", () => existsSync(rig.ballast));
      await until("the cursor has passed it", async () => (await rig.balance()).queued === 0);
      const { accepted, delivered, queued, dropped } = await rig.balance();
      assert.deepEqual(
        { accepted, delivered, queued, dropped },
        { accepted: MESSAGES, delivered: MESSAGES, queued: 0, dropped: {} },
      );
    } finally {
      await rig.stop();
    }
  });

  it("starts when it was filled meanwhile to the last block, and delivers what it had kept", async (t) => {
    const missing = missingForPowercuts();
    if (missing !== null) return t.skip(missing);
    const rig = await DiskRig.start();
    try {
      await until("the ballast is made", () => existsSync(rig.ballast));
      await (await rig.sensor("sensor")).publish(200);
      await rig.restart(() => rig.fill(0));
      assert.equal((await rig.status()).journal.room, "disk-full");
      const sensor = await rig.sensor("sensor");
      await sensor.alive();
      rig.cloud.away = false;
      await until("the queue drains", async () => (await rig.balance()).queued === 0, 30_000);
      rig.free();
      await sensor.publish(1);
      const { accepted, dropped } = await rig.balance();
      assert.deepEqual({ accepted, dropped }, { accepted: 201, dropped: {} });
    } finally {
      await rig.stop();
    }
  });
});

/** The program with its store on a small ext4 of its own, an uplink whose cloud is away, and a way to fill the disk. */
class DiskRig {
  readonly cloud: CloudEnd;
  readonly #folder: string;
  readonly #mount: Mount;
  readonly #program: Program;
  readonly #clients: MqttClient[] = [];
  port = 0;

  private constructor(folder: string, mount: Mount, cloud: CloudEnd) {
    this.#folder = folder;
    this.#mount = mount;
    this.cloud = cloud;
    this.#program = new Program(join(folder, "fieldgate.json"));
  }

  static async start(): Promise<DiskRig> {
    const folder = mkdtempSync(join(tmpdir(), "fieldgate-full-"));
    const image = join(folder, "disk.img");
    makeExt4(image, 72 * MIB);
    const rig = new DiskRig(folder, Mount.of(image, join(folder, "disk")), await CloudEnd.start());
    rig.cloud.away = true; // it falls back to MQTT 3.1.1 meanwhile: arrivals are told apart by their payload
    const config = {
      store: {
        path: join(rig.#mount.path, "store"),
        bytesMax: "1GiB",
        ballastBytes: "12MiB",
        retryMaxMs: 500,
      },
      listeners: [{ name: "lan", port: 0 }],
      uplink: {
        endpoints: [rig.cloud.endpoint],
        rules: [{ match: "#" }],
        backoffFirstMs: 50,
        backoffMaxMs: 200,
        // The cloud is away at first, and is to be tried again soon after it is back.
        breaker: { openMs: 500 },
      },
      control: { socket: join(folder, "control.sock") },
    };
    writeFileSync(join(folder, "fieldgate.json"), JSON.stringify(config));
    rig.port = await rig.#program.start();
    return rig;
  }

  get ballast(): string {
    return join(this.#mount.path, "store", "ballast");
  }

  /** Takes all room of the disk but so much. */
  fill(leave: number): void {
    const { bavail, bfree, bsize } = statfsSync(this.#mount.path);
    const bytes = Math.max(0, (leave === 0 ? bfree : bavail) * bsize - leave);
    try {
      writeFileSync(join(this.#mount.path, `filler-${leave}`), Buffer.alloc(bytes, "f"));
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
    }
  }

  free(): void {
    for (const leave of [0, 3 * MIB])
      rmSync(join(this.#mount.path, `filler-${leave}`), { force: true });
  }

  /** Killed and started again. */
  async restart(meanwhile: () => void): Promise<void> {
    for (const client of this.#clients.splice(0)) client.end(true);
    await this.#program.kill();
    meanwhile();
    this.port = await this.#program.start();
  }

  async status(): Promise<GatewayStatus> {
    return (await ask(join(this.#folder, "control.sock"), "status")) as GatewayStatus;
  }

  async balance() {
    return (await this.status()).ledger.telemetry;
  }

  async sensor(clientId: string): Promise<Sensor> {
    const address = { host: "127.0.0.1", port: this.port, clientId };
    const client = await connectAsync({ ...address, clean: false, reconnectPeriod: 50 });
    this.#clients.push(client);
    return new Sensor(client);
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.end(true);
    await this.#program.kill();
    await this.cloud.stop();
    this.#mount.unmount();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Publishes with QoS 1, twenty in flight, and notes what is acknowledged. */
class Sensor {
  acknowledged = 0;
  open = 0;
  reconnects = 0;
  #pongs = 0;
  readonly #client: MqttClient;

  constructor(client: MqttClient) {
    this.#client = client;
    client.on("error", () => {});
    client.on("close", () => this.reconnects++);
    client.on("packetreceive", ({ cmd }) => {
      if (cmd === "pingresp") this.#pongs++;
    });
  }

  async publish(count: number): Promise<void> {
    let next = 0;
    const work = async () => {
      while (next < count) {
        const n = next++;
        this.open++;
        await this.#client.publishAsync("sensor/1", payload(n), { qos: 1 });
        this.open--;
        this.acknowledged++;
      }
    };
    await Promise.all(Array.from({ length: 20 }, work));
  }

  /** Resolves when the broker has answered a ping. */
  async alive(): Promise<void> {
    const before = this.#pongs;
    this.#client.sendPing();
    await until("the broker answers a ping", () => this.#pongs > before);
  }
}
