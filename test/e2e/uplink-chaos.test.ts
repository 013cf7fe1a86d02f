import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ask } from "../../src/control/control-client.ts";
import type { GatewayStatus, LedgerProof } from "../../src/gateway-status.ts";
import { type Step, scheduleOf, strike, told } from "../support/chaos.ts";
import { type Arrival, CloudReceiver } from "../support/cloud-receiver.ts";
import { freePort } from "../support/free-port.ts";
import { type Mosquitto, startMosquitto } from "../support/mosquitto.ts";
import { Program } from "../support/program.ts";
import { FaultyProxy } from "../support/proxy.ts";
import { Sender } from "../support/sender.ts";
import { until } from "../support/until.ts";

const FIRST = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const SCHEDULES = process.env["SEED"] ? 1 : process.env["FIELDGATE_TEST_LONG"] ? 200 : 6;
const MESSAGES = 300;
/** Each publisher's lane, and the service towards the cloud. */
const PUBLISHERS = {
  a: { lane: "alarm", qos: 1 },
  b: { lane: "telemetry", qos: 1 },
  c: { lane: "bulk", qos: 1 },
  d: { lane: "telemetry", qos: 2 },
} as const;
const LANES = ["alarm", "telemetry", "bulk"] as const;

describe("the real program and a real mosquitto with a bad line between them", () => {
  let mosquitto: Mosquitto;
  const sum = { messages: 0, failures: 0, repeated: 0, killed: 0 };
  before(async () => {
    mosquitto = await startMosquitto();
  });
  after(async () => {
    await mosquitto.end();
    console.log(`# ${SCHEDULES} schedules from seed ${FIRST}: ${JSON.stringify(sum)}`);
  });

  it(`has every accepted message in the cloud, in order, and the books balanced, after each of ${SCHEDULES} schedules (SEED=${FIRST})`, async () => {
    for (let seed = FIRST; seed < FIRST + SCHEDULES; seed++) {
      const steps = scheduleOf(seed);
      const hint = `SEED=${seed}: ${told(steps)}`;
      const field = await Field.open(mosquitto, seed);
      try {
        await field.suffer(steps);
        await field.checked(hint);
        sum.messages += field.receiver.first.length;
        sum.repeated += field.receiver.duplicates;
        sum.failures += field.failures;
        sum.killed += field.killed;
      } finally {
        await field.close();
      }
    }
    if (SCHEDULES > 1) assert.ok(sum.failures > 0 && sum.repeated > 0, "the line was too good");
  });
});

/** A gateway with four publishers, and its line to the cloud. */
class Field {
  readonly receiver: CloudReceiver;
  failures = 0;
  killed = 0;
  readonly #directory: string;
  readonly #proxy: FaultyProxy;
  readonly #gateway: Program;
  readonly #senders: readonly Sender[];

  private constructor(
    directory: string,
    receiver: CloudReceiver,
    proxy: FaultyProxy,
    senders: readonly Sender[],
  ) {
    this.#directory = directory;
    this.receiver = receiver;
    this.#proxy = proxy;
    this.#gateway = new Program(join(directory, "fieldgate.yaml"));
    this.#senders = senders;
  }

  static async open(mosquitto: Mosquitto, seed: number): Promise<Field> {
    const directory = await mkdtemp(join(tmpdir(), "fieldgate-chaos-"));
    const port = await freePort();
    const proxy = await FaultyProxy.start(() => mosquitto.port);
    const site = `s${seed}`;
    const receiver = await CloudReceiver.start({
      port: mosquitto.port,
      clientId: `receiver-${site}`,
      filter: `${site}/#`,
    });
    const config = configOf(directory, site, port, proxy.port);
    await writeFile(join(directory, "fieldgate.yaml"), JSON.stringify(config));
    const senders = Object.keys(PUBLISHERS).map(
      (id) => new Sender({ id, port, total: MESSAGES, windowMax: 50, perSecond: 600 }),
    );
    const field = new Field(directory, receiver, proxy, senders);
    await field.#gateway.start();
    for (const sender of senders) sender.start();
    return field;
  }

  async suffer(steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      if (step.what === "gateway killed") await this.#restart(() => this.#gateway.kill());
      else if (step.what === "gateway restarted") {
        await this.#restart(() => this.#gateway.terminate());
      } else strike(this.#proxy, step);
      await new Promise((resolve) => setTimeout(resolve, step.forMs));
      if (step.clears) this.#proxy.way = "clear";
    }
    this.#proxy.way = "clear";
  }

  async checked(hint: string): Promise<void> {
    await until(`acknowledged, ${hint}`, () => this.#senders.every(({ done }) => done), 60_000);
    const queued = async () =>
      Object.values((await this.#status()).ledger).reduce((all, lane) => all + lane.queued, 0);
    await until(`nothing queued, ${hint}`, async () => (await queued()) === 0, 60_000);
    this.failures += (await this.#status()).uplink?.failures ?? 0;
    const { lanes } = (await this.#ask("ledger")) as LedgerProof;
    const accepted = LANES.reduce((all, lane) => all + lanes[lane].accepted, 0);
    const arrived = () => this.receiver.first.length;
    await until(`all arrived, ${hint}`, () => arrived() >= accepted, 10_000).catch(() => {});
    for (const lane of LANES) {
      const books = lanes[lane];
      const ofLane = this.receiver.first.filter((arrival) => laneOf(arrival) === lane);
      assert.equal(ofLane.length, books.accepted, `${lane}: accepted and arrived, ${hint}`);
      assert.deepEqual(
        [books.delivered, books.dropped, books.queued, books.missing],
        [books.accepted, {}, 0, 0],
        `${lane}: balance, ${hint}`,
      );
      // A broker hands QoS 2 on at its PUBREL only, so QoS 1 behind it may come before it [MQTT-4.6.0].
      const once = ofLane.filter((arrival) => PUBLISHERS[publisherOf(arrival)].qos === 1);
      assertRising(once.map(seqOf), `${lane}: order, ${hint}`);
    }
    for (const { id } of this.#senders) {
      const own = this.receiver.first.filter((arrival) => publisherOf(arrival) === id);
      assertRising(own.map(seqOf), `${id}: order, ${hint}`);
      const numbers = [...new Set(own.map(({ payload }) => Number(payload.split("/")[1])))];
      assert.deepEqual(numbers, [...Array(MESSAGES).keys()], `${id}: all its messages, ${hint}`);
    }
  }

  async close(): Promise<void> {
    for (const sender of this.#senders) sender.stop();
    await this.#gateway.kill();
    await this.receiver.stop();
    await this.#proxy.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #restart(end: () => Promise<unknown>): Promise<void> {
    const status = await this.#status();
    this.failures += status.uplink?.failures ?? 0;
    this.killed++;
    await end();
    await this.#gateway.start();
  }

  async #status(): Promise<GatewayStatus> {
    return (await this.#ask("status")) as GatewayStatus;
  }

  #ask(what: string): Promise<unknown> {
    return ask(join(this.#directory, "control.sock"), what);
  }
}

function configOf(directory: string, site: string, port: number, cloudPort: number): object {
  return {
    gateway: { id: "gw-a", site },
    store: { path: join(directory, "store") },
    listeners: [{ name: "lan", port }],
    uplink: {
      endpoints: [`mqtt://127.0.0.1:${cloudPort}`],
      rules: Object.entries(PUBLISHERS).map(([id, { lane, qos }]) => {
        return { match: `plant/${id}`, lane, qos, remoteTopic: "{site}/{topic}" };
      }),
      windowMax: 64,
      acknowledgeTimeoutMs: 300,
      connectTimeoutMs: 400,
      backoffFirstMs: 10,
      backoffMaxMs: 100,
      drainMsMax: 50,
    },
    control: { socket: join(directory, "control.sock") },
  };
}

function publisherOf({ topic }: Arrival): keyof typeof PUBLISHERS {
  return topic.split("/").at(-1) as keyof typeof PUBLISHERS;
}

function laneOf(arrival: Arrival): string {
  return PUBLISHERS[publisherOf(arrival)].lane;
}

function seqOf({ user }: Arrival): number {
  return Number(user["fg-seq"]);
}

function assertRising(numbers: readonly number[], what: string): void {
  const wrong = numbers.findIndex(
    (number, index) => index > 0 && number <= (numbers[index - 1] ?? 0),
  );
  assert.equal(wrong, -1, `${what}: ${numbers[wrong]} after ${numbers[wrong - 1]}`);
}
