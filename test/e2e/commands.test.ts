import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, it } from "node:test";
import { connectAsync, type MqttClient } from "mqtt";
import { ask } from "../../src/control/control-client.ts";
import type { GatewayStatus } from "../../src/gateway-status.ts";
import { CloudReceiver } from "../support/cloud-receiver.ts";
import { freePort } from "../support/free-port.ts";
import { type Mosquitto, startMosquitto } from "../support/mosquitto.ts";
import { Program } from "../support/program.ts";
import { FaultyProxy } from "../support/proxy.ts";
import { seededRandom } from "../support/random.ts";
import { until } from "../support/until.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const KILLS = process.env["FIELDGATE_TEST_LONG"] ? 40 : 6;
const EACH = 100;

const ends: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

describe("commands from a real mosquitto to the real program", () => {
  it(`reach a subscriber once for each identity and in order, through ${KILLS} kills (SEED=${SEED})`, async (t) => {
    const random = seededRandom(SEED);
    const field = await Field.open();
    await field.subscribe();
    const sent: string[] = [];
    let repeated = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      // Half of the kills fall between commit and acknowledgement: nothing of what the gateway says gets through.
      if (kill % 2 === 1) field.proxy.way = { swallows: "up" };
      const before = (await field.downlink()).received;
      sent.push(...(await field.command(EACH)));
      const part = kill % 2 === 1 ? 1 : Math.floor(random() * EACH);
      await until("some came", async () => (await field.downlink()).received >= before + part);
      if (kill % 2 === 1) {
        await until("some are on disk", async () => (await field.downlink()).accepted > 0);
      }
      await field.gateway.kill();
      field.proxy.way = "clear";
      await field.gateway.start();
      repeated += await field.settle(sent.length);
    }
    const { telemetry } = (await field.status()).ledger;
    assert.equal(telemetry.accepted, 0, "none went up again, though a rule matches all");
    const got = await field.fetch(sent.length);
    assert.deepEqual(got, sent, `SEED=${SEED}`);
    assert.ok(repeated > 0, `SEED=${SEED}: no command came twice`);
    const answered = field.answers.first.map(({ payload }) => JSON.parse(payload));
    const accepted = new Set(answered.map(({ id }) => id));
    assert.equal(accepted.size, sent.length, "every command was answered");
    t.diagnostic(`${sent.length} commands, ${repeated} repeated by mosquitto, each delivered once`);
    assert.equal(await field.gateway.terminate(), 0);
  });

  it("come again after mosquitto was restarted without its sessions, and so does what goes up", async () => {
    const field = await Field.open();
    await field.subscribe();
    await until("up", async () => (await field.downlink()).state === "connected");
    await field.mosquitto.kill();
    await field.mosquitto.start();
    await field.answers.standsAgain();
    // While mosquitto was away the breaker may have opened, for 30 s.
    await until(
      "subscribed again",
      async () => {
        const { sessionsLost, state } = await field.downlink();
        return sessionsLost === 1 && state === "connected";
      },
      60_000,
    );
    const lost = field.gateway.lines.filter(({ message }) =>
      String(message).startsWith("the cloud has no session of ours"),
    );
    assert.equal(lost.length, 1);
    const sent = await field.command(3);
    assert.deepEqual(await field.fetch(3), sent);
    const receiver = await CloudReceiver.start({
      port: field.mosquitto.port,
      filter: "plant/#",
      clientId: "late",
    });
    ends.push(() => receiver.stop());
    await field.publish("plant/a", "after");
    await until("went up", () => receiver.first.length === 1, 60_000);
  });
});

describe("messages to the cloud", () => {
  it("that were sent when the gateway was killed, and not acknowledged, arrive with one identity", async () => {
    const field = await Field.open();
    const receiver = await CloudReceiver.start({
      port: field.mosquitto.port,
      filter: "plant/#",
      clientId: "up",
    });
    ends.push(() => receiver.stop());
    await until("up", async () => (await field.status()).uplink?.state === "connected");
    field.proxy.way = { swallows: "down" };
    for (let n = 0; n < 20; n++) await field.publish("plant/a", `${n}`);
    await until("all arrived", () => receiver.first.length === 20);
    assert.equal((await field.status()).uplink?.delivered, 0, "no acknowledgement came through");
    await field.gateway.kill();
    field.proxy.way = "clear";
    await field.gateway.start();
    await until("sent again", () => receiver.duplicates === 20);
    await until("settled", async () => (await field.status()).ledger.telemetry.queued === 0);
    assert.equal(receiver.first.length, 20);
  });
});

/** A gateway, its cloud, a line between them, someone who commands and a persistent session that is commanded. */
class Field {
  readonly gateway: Program;
  readonly mosquitto: Mosquitto;
  readonly proxy: FaultyProxy;
  readonly answers: CloudReceiver;
  readonly #directory: string;
  readonly #port: number;
  #sent = 0;

  private constructor(
    directory: string,
    port: number,
    parts: { mosquitto: Mosquitto; proxy: FaultyProxy; answers: CloudReceiver },
  ) {
    this.#directory = directory;
    this.#port = port;
    this.mosquitto = parts.mosquitto;
    this.proxy = parts.proxy;
    this.answers = parts.answers;
    this.gateway = new Program(join(directory, "fieldgate.yaml"));
  }

  static async open(): Promise<Field> {
    const directory = await mkdtemp(join(tmpdir(), "fieldgate-commands-"));
    ends.push(() => rm(directory, { recursive: true, force: true }));
    const mosquitto = await startMosquitto();
    ends.push(() => mosquitto.end());
    const proxy = await FaultyProxy.start(() => mosquitto.port);
    ends.push(() => proxy.stop());
    const answers = await CloudReceiver.start({ port: mosquitto.port, filter: "answers" });
    ends.push(() => answers.stop());
    const port = await freePort();
    const config = configOf(directory, port, proxy.port);
    await writeFile(join(directory, "fieldgate.yaml"), JSON.stringify(config));
    const field = new Field(directory, port, { mosquitto, proxy, answers });
    ends.push(() => field.gateway.kill());
    await field.gateway.start();
    await until("commands can come", async () => (await field.downlink()).state === "connected");
    return field;
  }

  /** Begins the persistent session of one who is away. */
  async subscribe(): Promise<void> {
    const client = await this.#subscriber(() => {});
    await client.subscribeAsync("commands/#", { qos: 2 });
    await client.endAsync();
  }

  /** Has the cloud command so often; resolves with the identities once mosquitto has them. */
  async command(count: number): Promise<string[]> {
    const commander = await connectAsync({
      port: this.mosquitto.port,
      host: "127.0.0.1",
      protocolVersion: 5,
    });
    const ids = Array.from({ length: count }, () => String(this.#sent++));
    await Promise.all(
      ids.map((id) =>
        commander.publishAsync("sites/plant-7/commands/pump", id, {
          qos: 2,
          properties: { userProperties: { "fg-id": id } },
        }),
      ),
    );
    await commander.endAsync();
    return ids;
  }

  /** Resolves when everything commanded was taken, with how many were known already since the last start. */
  async settle(total: number): Promise<number> {
    await until("all taken", async () => {
      const { identities, waiting, state } = await this.downlink();
      return identities === total && waiting === 0 && state === "connected";
    });
    return (await this.downlink()).duplicates;
  }

  /** What waited for the persistent session, in order, and nothing after it for a while. */
  async fetch(count: number): Promise<string[]> {
    const got: string[] = [];
    const client = await this.#subscriber((payload) => got.push(payload));
    await until("all fetched", () => got.length >= count);
    await client.publishAsync("commands/end", "end", { qos: 2 });
    await until("the end", () => got.includes("end"));
    await client.endAsync();
    return got.slice(0, -1);
  }

  async publish(topic: string, payload: string): Promise<void> {
    const client = await connectAsync({ port: this.#port, host: "127.0.0.1" });
    await client.publishAsync(topic, payload, { qos: 1 });
    await client.endAsync();
  }

  async status(): Promise<GatewayStatus> {
    return (await ask(join(this.#directory, "control.sock"), "status")) as GatewayStatus;
  }

  async downlink(): Promise<NonNullable<GatewayStatus["downlink"]>> {
    const { downlink } = await this.status();
    assert.ok(downlink);
    return downlink;
  }

  async #subscriber(take: (payload: string) => void): Promise<MqttClient> {
    const client = await connectAsync({
      port: this.#port,
      host: "127.0.0.1",
      clientId: "plc",
      clean: false,
    });
    client.on("message", (_topic, payload) => take(payload.toString()));
    return client;
  }
}

function configOf(directory: string, port: number, cloudPort: number): object {
  return {
    gateway: { id: "gw-a", site: "plant-7" },
    store: { path: join(directory, "store") },
    listeners: [{ name: "lan", port }],
    uplink: {
      endpoints: [`mqtt://127.0.0.1:${cloudPort}`],
      rules: [{ match: "#" }],
      backoffFirstMs: 10,
      backoffMaxMs: 200,
      acknowledgeTimeoutMs: 60_000,
      down: {
        subscriptions: [
          { filter: "sites/{site}/commands/#", qos: 2, localTopic: "commands/{rest}" },
        ],
        replyTopic: "answers",
        // More than mosquitto may have open when what we say is swallowed: it goes on to send what is new.
        inflightMax: 1000,
      },
    },
    control: { socket: join(directory, "control.sock") },
  };
}
