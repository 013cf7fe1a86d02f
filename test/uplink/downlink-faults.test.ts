import assert from "node:assert/strict";
import { it } from "node:test";
import { connect } from "mqtt";
import { FieldgateError } from "../../src/base/errors.ts";
import { DownSite } from "../support/down-site.ts";
import { seededRandom } from "../support/random.ts";
import { ScriptedCommands } from "../support/scripted-commands.ts";
import { until } from "../support/until.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const ROUNDS = process.env["FIELDGATE_TEST_LONG"] ? 100 : 6;
const COMMANDS = 60;
const INFLIGHT_MAX = 20;

for (let round = 0; round < ROUNDS; round++) {
  const seed = SEED + round;
  it(`commands are kept once and in order, whatever happens to line, disk and power (SEED=${seed})`, async (t) => {
    const random = seededRandom(seed);
    const cloud = await ScriptedCommands.start();
    cloud.sessionPresent = true;
    const queue = new CloudQueue(cloud, random);
    const field = await DownSite.start({ endpoints: [cloud.broker.endpoint] });
    try {
      await subscriber(field).then(({ end }) => end());
      const happened: string[] = [];
      while (!queue.isDone) {
        await queue.sendOver(field);
        happened.push(await misfortune(field, cloud, random));
      }
      const { got, end } = await subscriber(field);
      await until("all fetched", () => got.length >= COMMANDS, 10_000).catch(() => undefined);
      await end();
      const wanted = Array.from({ length: COMMANDS }, (_, n) => `${n}`);
      assert.deepEqual(got, wanted, `SEED=${seed}: ${happened.join(", ")}`);
      const { received, accepted, duplicates, refused, waiting } = field.service.status();
      const refusals = Object.values(refused).reduce((sum, count) => sum + count, 0);
      assert.equal(received, accepted + duplicates + refusals + waiting, `SEED=${seed}`);
      t.diagnostic(`${happened.join(", ")}: ${queue.repeated} sent again`);
    } finally {
      await field.stop();
      await cloud.stop();
    }
  });
}

/** A cloud that keeps to the rules: sends again, in order and with DUP, what was not acknowledged [MQTT-4.4.0-1]. */
class CloudQueue {
  repeated = 0;
  readonly #cloud: ScriptedCommands;
  readonly #random: () => number;
  /** For each command, by its packet identifier less one. */
  readonly #states: ("unsent" | "sent" | "received" | "done")[] = Array(COMMANDS).fill("unsent");
  readonly #qos: (1 | 2)[];

  constructor(cloud: ScriptedCommands, random: () => number) {
    this.#cloud = cloud;
    this.#random = random;
    this.#qos = this.#states.map(() => (random() < 0.5 ? 1 : 2));
    cloud.onAcknowledged = (type, messageId) => {
      if (type !== "pubrec") this.#states[messageId - 1] = "done";
      else {
        this.#states[messageId - 1] = "received";
        cloud.release(messageId);
      }
    };
  }

  get isDone(): boolean {
    return this.#states.every((state) => state === "done");
  }

  /** Over a connection that stands: what is open again, then some that are new. */
  async sendOver(field: DownSite): Promise<void> {
    const isUp = () => field.service.status().state === "connected";
    await until("a connection", isUp);
    for (const [index, state] of this.#states.entries()) {
      if (state === "received") this.#cloud.release(index + 1);
      if (state === "sent") this.#send(index, true);
    }
    const more = Math.floor(this.#random() * INFLIGHT_MAX);
    for (let sent = 0; sent < more; sent++) {
      const index = this.#states.indexOf("unsent");
      const open = this.#states.filter((state) => state === "sent" || state === "received");
      if (index === -1 || open.length >= INFLIGHT_MAX) break;
      this.#send(index, false);
    }
  }

  #send(index: number, dup: boolean): void {
    this.#states[index] = "sent";
    if (dup) this.repeated++;
    const more = { messageId: index + 1, qos: this.#qos[index] as 1 | 2, dup };
    this.#cloud.send(`${index}`, { ...more, user: { "fg-id": `${index}` } });
  }
}

/** What happens next; afterwards the connection is another one. */
async function misfortune(
  field: DownSite,
  cloud: ScriptedCommands,
  random: () => number,
): Promise<string> {
  const visits = cloud.broker.visits.length;
  const kind = ["cut", "crash", "crash before a commit", "full"][
    Math.floor(random() * 4)
  ] as string;
  const release = kind === "crash before a commit" ? field.site.hold() : () => {};
  await new Promise((resolve) => setTimeout(resolve, random() * 20));
  if (kind === "cut") cloud.broker.hangUpOnAll();
  else if (kind === "full") {
    let left = Math.floor(random() * 5);
    field.refuses = () => (left-- > 0 ? null : new FieldgateError("ERR_STORE_FULL", "no room"));
    await new Promise((resolve) => setTimeout(resolve, 20));
    field.refuses = () => null;
    cloud.broker.hangUpOnAll();
  } else await field.crash();
  release();
  await until("another connection", () => cloud.broker.visits.length > visits);
  return kind;
}

/** A persistent session of the gateway, and what it gets: at QoS 1, because the client says QoS 2 only at its PUBREL. */
async function subscriber(field: DownSite) {
  const got: string[] = [];
  const { port } = field.site;
  const client = connect({ port, host: "127.0.0.1", clientId: "plc", clean: false });
  client.on("message", (_topic, payload) => got.push(payload.toString()));
  await client.subscribeAsync("commands/#", { qos: 1 });
  return { got, end: () => client.endAsync() };
}
