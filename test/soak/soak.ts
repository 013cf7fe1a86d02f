import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Random } from "../../src/base/random.ts";
import { ask } from "../../src/control/control-client.ts";
import type { GatewayStatus } from "../../src/gateway-status.ts";
import { CloudReceiver } from "../support/cloud-receiver.ts";
import { freePort } from "../support/free-port.ts";
import { type Mosquitto, startMosquitto } from "../support/mosquitto.ts";
import { Program } from "../support/program.ts";
import { FaultyProxy } from "../support/proxy.ts";
import { seededRandom } from "../support/random.ts";
import { RawClient } from "../support/raw-client.ts";
import { Sender } from "../support/sender.ts";
import { until } from "../support/until.ts";
import { PartTimer } from "./part-timer.ts";
import { Tally } from "./tally.ts";
import { growth, type Vitals, vitalsOf } from "./vitals.ts";

export interface SoakOptions {
  readonly seconds: number;
  readonly seed: number;
  /** QoS 1 messages a second, over both senders. */
  readonly perSecond: number;
  /** The gateway is killed now and then. Then its memory is not judged: no life is long enough. */
  readonly kills: boolean;
  /** A fault, of the link or of the gateway, every so often. */
  readonly faultEveryMs: number;
  readonly sampleEveryMs: number;
}

export interface SoakSample extends Vitals {
  readonly seconds: number;
  readonly acknowledged: number;
  readonly inCloud: number;
  readonly atSubscriber: number;
  readonly queued: number;
  readonly storeMiB: number;
}

export interface SoakResult {
  /** What was wrong; nothing when it was survived. */
  readonly faults: readonly string[];
  readonly acknowledged: number;
  /** How often what was done to it. */
  readonly done: ReadonlyMap<string, number>;
}

export const DEFAULTS: SoakOptions = {
  seconds: 600,
  seed: 1,
  perSecond: 600,
  kills: false,
  faultEveryMs: 5000,
  sampleEveryMs: 10_000,
};

const SENDERS = ["a", "b"];
/** Clients that come, publish and go, each time another one: what is left of each would add up. */
const CHURN_EVERY_MS = 100;
const LAST_MS_MAX = 120_000;

/**
 * The real program with a cloud behind a bad line, under a steady load, for as long as one likes: two senders at QoS 1, a
 * subscriber with a session that is there part of the time, and clients that come and go. At the end everything acknowledged
 * is in the cloud and at the subscriber, in order, the books balance, and the process takes no more than it did.
 */
export async function soak(
  options: SoakOptions,
  sampled: (sample: SoakSample) => void,
): Promise<SoakResult> {
  const rig = await Rig.open();
  try {
    await rig.start(options.perSecond);
    const samples: SoakSample[] = [];
    const random = seededRandom(options.seed);
    const done = await rig.run(options, random, (sample) => {
      samples.push(sample);
      sampled(sample);
    });
    const faults = await rig.settle();
    const grown = options.kills ? [] : growth(samples);
    return { faults: [...faults, ...grown], acknowledged: rig.acknowledged, done };
  } finally {
    await rig.close();
  }
}

class Rig {
  readonly #directory: string;
  readonly #mosquitto: Mosquitto;
  readonly #proxy: FaultyProxy;
  readonly #receiver: CloudReceiver;
  readonly #cloud: Tally;
  readonly #port: number;
  readonly #gateway: Program;
  readonly #partTimer: PartTimer;
  #senders: readonly Sender[] = [];

  private constructor(parts: {
    directory: string;
    mosquitto: Mosquitto;
    proxy: FaultyProxy;
    receiver: CloudReceiver;
    cloud: Tally;
    port: number;
  }) {
    this.#directory = parts.directory;
    this.#mosquitto = parts.mosquitto;
    this.#proxy = parts.proxy;
    this.#receiver = parts.receiver;
    this.#cloud = parts.cloud;
    this.#port = parts.port;
    this.#gateway = new Program(join(parts.directory, "fieldgate.yaml"));
    this.#partTimer = new PartTimer(parts.port, "plant/#");
  }

  static async open(): Promise<Rig> {
    const directory = await mkdtemp(join(tmpdir(), "fieldgate-soak-"));
    const mosquitto = await startMosquitto();
    const proxy = await FaultyProxy.start(() => mosquitto.port);
    const cloud = new Tally("cloud");
    const receiver = await CloudReceiver.start({
      port: mosquitto.port,
      filter: "plant/#",
      onArrival: (_topic, payload) => cloud.came(payload.toString()),
    });
    return new Rig({ directory, mosquitto, proxy, receiver, cloud, port: await freePort() });
  }

  async start(perSecond: number): Promise<void> {
    const config = {
      store: { path: join(this.#directory, "store") },
      listeners: [{ name: "lan", port: this.#port }],
      // The subscriber may be away for most of the time, and is to lose nothing all the same.
      mqtt: { queueMessagesMax: 10_000_000, queueBytesMax: 2 ** 31, inflightMax: 256 },
      uplink: {
        endpoints: [`mqtt://127.0.0.1:${this.#proxy.port}`],
        rules: [{ match: "plant/#" }],
        backoffMaxMs: 500,
        acknowledgeTimeoutMs: 2000,
      },
      control: { socket: join(this.#directory, "control.sock") },
    };
    await writeFile(join(this.#directory, "fieldgate.yaml"), JSON.stringify(config));
    await this.#gateway.start();
    await this.#partTimer.come();
    const rate = { windowMax: 200, perSecond: perSecond / SENDERS.length };
    this.#senders = SENDERS.map((id) => new Sender({ id, port: this.#port, ...rate }));
    for (const sender of this.#senders) sender.start();
  }

  get acknowledged(): number {
    return this.#senders.reduce((sum, sender) => sum + sender.acked, 0);
  }

  /** Lets time pass, with faults and clients that come and go; tells what was done how often. */
  async run(
    options: SoakOptions,
    random: Random,
    sampled: (sample: SoakSample) => void,
  ): Promise<ReadonlyMap<string, number>> {
    const done = new Map<string, number>();
    const began = performance.now();
    const passedMs = () => performance.now() - began;
    let faultAtMs = options.faultEveryMs;
    let sampleAtMs = 0;
    for (let guest = 0; passedMs() < options.seconds * 1000; guest++) {
      if (passedMs() >= faultAtMs) {
        const what = await this.#fault(options.kills, random);
        done.set(what, (done.get(what) ?? 0) + 1);
        faultAtMs = passedMs() + options.faultEveryMs * (0.5 + random());
      }
      if (passedMs() >= sampleAtMs) {
        sampled(await this.#sample(Math.round(passedMs() / 1000)));
        sampleAtMs = passedMs() + options.sampleEveryMs;
      }
      await this.#guest(guest);
      await pause(CHURN_EVERY_MS);
    }
    return done;
  }

  /** Everything is let through; says what is wrong once nothing moves any more. */
  async settle(): Promise<string[]> {
    this.#proxy.way = "clear";
    this.#proxy.cut();
    await this.#partTimer.come();
    for (const sender of this.#senders) sender.finish();
    const faults: string[] = [];
    const waited = (what: string, claim: () => boolean | Promise<boolean>) =>
      until(what, claim, LAST_MS_MAX).catch((error: Error) => faults.push(error.message));
    const allAt = (tally: Tally) =>
      this.#senders.every((sender) => tally.count(sender.id) >= sender.acked);
    await waited("all acknowledged", () => this.#senders.every((sender) => sender.done));
    await waited("all in the cloud", () => allAt(this.#cloud));
    await waited("all at the part-time subscriber", () => allAt(this.#partTimer.tally));
    await waited(
      "nothing queued",
      async () => (await this.#status()).ledger.telemetry.queued === 0,
    );
    const { accepted } = (await this.#status()).ledger.telemetry;
    // A message may be accepted twice: its sender repeats it when the acknowledgement was cut off.
    if (accepted < this.acknowledged) faults.push(`${accepted} in the books`);
    return [...faults, ...this.#cloud.faults, ...this.#partTimer.tally.faults];
  }

  async close(): Promise<void> {
    for (const sender of this.#senders) sender.stop();
    await this.#partTimer.go();
    await this.#gateway.kill();
    await this.#receiver.stop();
    await this.#proxy.stop();
    await this.#mosquitto.end();
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #fault(kills: boolean, random: Random): Promise<string> {
    const faults: Record<string, () => unknown> = {
      "line cut": () => this.#proxy.cut(),
      "line silent": () => this.#way("blackhole"),
      "line slow": () => this.#way({ bytesPerSecond: 20_000 }),
      "line half closed": () => this.#proxy.halfClose(),
      "line clear": () => this.#way("clear"),
      "subscriber comes": () => this.#partTimer.come(),
      "subscriber goes": () => this.#partTimer.go(),
      ...(kills
        ? {
            "gateway killed": () => this.#gateway.kill().then(() => this.#gateway.start()),
            "gateway stopped": () => this.#gateway.terminate().then(() => this.#gateway.start()),
          }
        : {}),
    };
    const names = Object.keys(faults);
    const name = names[Math.floor(random() * names.length)] ?? "line clear";
    await faults[name]?.();
    return name;
  }

  #way(way: FaultyProxy["way"]): void {
    this.#proxy.way = way;
    // What was blackholed once never passes anything again.
    if (way === "clear") this.#proxy.cut();
  }

  async #guest(number: number): Promise<void> {
    const client = await RawClient.connected(this.#port, { clientId: `guest-${number}` });
    const topic = `guests/${number}`;
    client.send(
      { cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos: 1 }] },
      { cmd: "publish", topic, payload: "hello", qos: 1, messageId: 2, dup: false, retain: false },
    );
    await client.next("publish");
    if (number % 2 === 0) client.send({ cmd: "disconnect" });
    else client.drop();
  }

  async #sample(seconds: number): Promise<SoakSample> {
    const { ledger, journal } = await this.#status();
    const count = (tally: Tally) => SENDERS.reduce((sum, id) => sum + tally.count(id), 0);
    return {
      seconds,
      acknowledged: this.acknowledged,
      inCloud: count(this.#cloud),
      atSubscriber: count(this.#partTimer.tally),
      queued: ledger.telemetry.queued,
      storeMiB: journal.storeBytes / 2 ** 20,
      ...vitalsOf(this.#gateway.pid),
    };
  }

  async #status(): Promise<GatewayStatus> {
    return (await ask(join(this.#directory, "control.sock"), "status")) as GatewayStatus;
  }
}
