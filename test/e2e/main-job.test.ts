import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it, type TestContext } from "node:test";
import { connect, type MqttClient } from "mqtt";
import { ptyPlug } from "../../firmware-sim/pty.ts";
import { ask } from "../../src/control/control-client.ts";
import type { GatewayStatus } from "../../src/gateway-status.ts";
import { CloudReceiver } from "../support/cloud-receiver.ts";
import { freePort } from "../support/free-port.ts";
import { type Mosquitto, startMosquitto } from "../support/mosquitto.ts";
import { Program } from "../support/program.ts";
import { seededRandom } from "../support/random.ts";
import { Sender } from "../support/sender.ts";
import { until } from "../support/until.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const MESSAGES = 10_000;
const FRAMES = 2_000;
const KILLS = 5;

it(`brings every acknowledged message to the cloud, in order, though the gateway is killed ${KILLS} times and mosquitto once (SEED=${SEED})`, async (t) => {
  const random = seededRandom(SEED);
  const site = await Site.open();
  const cable = new Cable(site);
  try {
    await site.start();
    const senders = ["a", "b"].map(
      (id) => new Sender({ id, port: site.port, total: MESSAGES, windowMax: 200, perSecond: 800 }),
    );
    for (const sender of senders) sender.start();
    const acked = () => senders.reduce((sum, sender) => sum + sender.acked, 0);
    cable.start();

    const moments = Array.from({ length: KILLS }, () => ({ at: random(), what: "gateway" }));
    moments.push({ at: random(), what: "mosquitto" });
    moments.sort((one, other) => one.at - other.at);
    for (const { at, what } of moments) {
      const count = Math.floor((0.02 + 0.94 * at) * 2 * MESSAGES);
      await until(`${count} acknowledged`, () => acked() >= count, 60_000);
      t.diagnostic(`SIGKILL to ${what} at ${acked()} acknowledged`);
      if (what === "gateway") await site.killGateway();
      else await site.killMosquitto();
    }

    await until("all acknowledged", () => senders.every((sender) => sender.done), 60_000);
    await until("all frames written", () => cable.done, 60_000);
    await until("the last frame at a local subscriber", () =>
      cable.kept.has(`cable/${FRAMES - 1}`),
    );
    for (const sender of senders) sender.stop();
    const arrived = site.receiver.ids;
    const missing = () => senders.flatMap((sender) => missingOf(sender, arrived));
    await until("all at the cloud", () => missing().length === 0, 60_000).catch(() => {});
    await until("queue empty", async () => (await site.status()).ledger.telemetry.queued === 0);

    assert.deepEqual(missing().slice(0, 5), [], `SEED=${SEED}: acknowledged and lost`);
    const frames = [...cable.kept].filter((id) => !arrived.has(id));
    assert.deepEqual(frames.slice(0, 5), [], `SEED=${SEED}: frames kept and lost`);
    for (const topic of ["plant/a", "plant/b", "plant/cable"]) {
      const numbers = site.receiver.of(topic).map(({ payload }) => Number(payload.split("/")[1]));
      assert.deepEqual(
        numbers,
        numbers.toSorted((x, y) => x - y),
        `SEED=${SEED}: order of ${topic}`,
      );
    }
    report(t, site, cable);
    assert.equal(await site.gateway.terminate(), 0);
  } finally {
    await cable.stop();
    await site.close();
  }
});

function report(t: TestContext, site: Site, cable: Cable): void {
  const { receiver } = site;
  t.diagnostic(`${2 * MESSAGES} messages acknowledged, all at the cloud`);
  t.diagnostic(`${cable.kept.size} of ${cable.written} frames delivered locally, all at the cloud`);
  t.diagnostic(`${receiver.first.length} distinct arrivals, ${receiver.duplicates} arrived twice`);
  assert.ok(cable.kept.size > FRAMES * 0.8, "the cable was read for most of the time");
}

function missingOf(sender: Sender, arrived: ReadonlySet<string>): string[] {
  const all = Array.from({ length: sender.acked }, (_, n) => `${sender.id}/${n}`);
  return all.filter((id) => !arrived.has(id));
}

/** One gateway, its cloud and what must survive them. */
class Site {
  readonly directory: string;
  readonly mosquitto: Mosquitto;
  readonly receiver: CloudReceiver;
  readonly gateway: Program;
  readonly port: number;
  readonly tty: string;

  private constructor(
    directory: string,
    mosquitto: Mosquitto,
    receiver: CloudReceiver,
    port: number,
  ) {
    this.directory = directory;
    this.mosquitto = mosquitto;
    this.receiver = receiver;
    this.port = port;
    this.tty = join(directory, "tty");
    this.gateway = new Program(join(directory, "fieldgate.yaml"));
  }

  static async open(): Promise<Site> {
    const directory = await mkdtemp(join(tmpdir(), "fieldgate-e2e-"));
    const mosquitto = await startMosquitto({ persistent: true });
    const receiver = await CloudReceiver.start({
      port: mosquitto.port,
      filter: "sites/#",
      idOf: ({ payload }) => payload,
    });
    return new Site(directory, mosquitto, receiver, await freePort());
  }

  async start(): Promise<void> {
    const config = {
      gateway: { id: "gw-a", site: "plant-7" },
      store: { path: join(this.directory, "store") },
      listeners: [{ name: "lan", port: this.port }],
      devices: [
        {
          name: "cable",
          port: this.tty,
          baudRate: 115200,
          framing: { type: "lines" },
          decode: { type: "text" },
          topic: "plant/{device}",
        },
      ],
      uplink: {
        endpoints: [`mqtt://127.0.0.1:${this.mosquitto.port}`],
        rules: [{ match: "plant/#", remoteTopic: "sites/{site}/{topic}" }],
        backoffMaxMs: 500,
      },
      control: { socket: join(this.directory, "control.sock") },
    };
    await writeFile(join(this.directory, "fieldgate.yaml"), JSON.stringify(config));
    await this.gateway.start();
  }

  async killGateway(): Promise<void> {
    await this.gateway.kill();
    await this.gateway.start();
  }

  /**
   * mosquitto keeps its session and what it has acknowledged only now and then. What it loses of its own is not what is
   * tested: the gateway stands still from before until the receiver's subscription is there again. What the gateway had
   * in flight, and acknowledgements that it had not read, are lost all the same.
   */
  async killMosquitto(): Promise<void> {
    this.gateway.freeze();
    await this.receiver.settled();
    await this.mosquitto.kill();
    await this.mosquitto.start();
    await this.receiver.standsAgain();
    this.gateway.thaw();
  }

  async status(): Promise<GatewayStatus> {
    return (await ask(join(this.directory, "control.sock"), "status")) as GatewayStatus;
  }

  async close(): Promise<void> {
    await this.gateway.kill();
    await this.receiver.stop();
    await this.mosquitto.end();
    await rm(this.directory, { recursive: true, force: true });
  }
}

/**
 * A serial line. Nothing on it is acknowledged; that a frame is kept is known when a local subscriber has it, because the
 * gateway delivers only what is on its disk. It is written while a gateway reads.
 */
class Cable {
  written = 0;
  /** Payloads that a local subscriber of the gateway has seen. */
  readonly kept = new Set<string>();
  readonly #site: Site;
  readonly #plug: ReturnType<typeof ptyPlug>;
  #going: Promise<void> = Promise.resolve();
  #watcher: MqttClient | null = null;
  #stopped = false;

  constructor(site: Site) {
    this.#site = site;
    this.#plug = ptyPlug(site.tty);
  }

  get done(): boolean {
    return this.written >= FRAMES;
  }

  start(): void {
    const url = `mqtt://127.0.0.1:${this.#site.port}`;
    const watcher = connect(url, { clientId: "watcher", reconnectPeriod: 20 });
    watcher.on("error", () => {});
    watcher.on("message", (_topic, payload) => this.kept.add(payload.toString()));
    watcher.subscribe("plant/cable");
    this.#watcher = watcher;
    this.#going = this.#write();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#going;
    await this.#watcher?.endAsync(true);
    await this.#plug.pull();
  }

  async #write(): Promise<void> {
    await this.#plug.plugIn();
    while (!this.#stopped && !this.done) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      const status = await this.#site.status().catch(() => null);
      if (status?.devices[0]?.state !== "open") continue;
      for (let i = 0; i < 3 && !this.done; i++) {
        this.#plug.write(Buffer.from(`cable/${this.written++}\r\n`));
      }
    }
  }
}
