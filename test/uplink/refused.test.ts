import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { FieldgateError } from "../../src/base/errors.ts";
import type { UplinkConfig } from "../../src/config/schema.ts";
import { LETTER_TOPIC } from "../../src/uplink/own-topics.ts";
import { MemorySource } from "../support/memory-source.ts";
import { acknowledge, ScriptedBroker } from "../support/scripted-broker.ts";
import { until } from "../support/until.ts";
import { startUplink } from "../support/uplink-rig.ts";

const NOT_AUTHORIZED = 0x87;

const ends: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

describe("a message that the cloud refuses, with whenRefused: dead-letter", () => {
  it("leaves as a letter that says all of it, behind the record of its loss", async () => {
    const { cloud, service, journal } = await begin({ whenRefused: "dead-letter" });
    journal.append(2, "plant/bad", Buffer.from([0, 255, 7]), { retain: true });
    journal.append(2, "plant/good", "x");
    journal.commit();
    await until("letter and record", () => service.status().lanes.telemetry.queued === 0);
    const letter = letters(cloud)[0];
    const { time, ...rest } = letter ?? {};
    assert.deepEqual(rest, {
      gateway: "gw-a",
      site: "plant-7",
      reason: "not-authorized",
      journal: journal.id,
      seq: 1,
      topic: "plant/bad",
      remoteTopic: "cloud/plant/bad",
      qos: 1,
      retain: true,
      payload: "AP8H",
    });
    assert.match(String(time), /^\d{4}-.*Z$/);
    const { dropped, deadLetters, failures } = service.status();
    assert.deepEqual([dropped["not-authorized"], deadLetters, failures], [1, 1, 0]);
    assert.deepEqual(cloud.topics().toSorted(), ["cloud/gap", "cloud/plant/good", "cloud/refused"]);
  });

  it("becomes no letter of a letter: a cloud that refuses those too is not asked for ever", async () => {
    const { cloud, service, journal } = await begin({ whenRefused: "dead-letter" });
    cloud.refuses = () => true;
    journal.append(2, "plant/bad", "x");
    journal.commit();
    await until("all given up", () => service.status().dropped["not-authorized"] >= 3);
    await until("nothing waits", () => service.status().lanes.telemetry.queued === 0);
    assert.deepEqual(
      journal.entriesOf(2).filter(({ message }) => message.topic === LETTER_TOPIC).length,
      1,
    );
  });

  it("is not given up while the store has no room for its letter", async () => {
    const { cloud, service, journal } = await begin({
      whenRefused: "dead-letter",
      acknowledgeTimeoutMs: 100,
    });
    let isFull = true;
    const append = journal.append.bind(journal) as (...all: unknown[]) => number;
    journal.append = ((...all: unknown[]) => {
      if (isFull && typeof all[0] === "object") throw new FieldgateError("ERR_STORE_FULL", "full");
      return append(...all);
    }) as typeof journal.append;
    journal.append(2, "plant/bad", "x");
    journal.commit();
    await until("asked again", () => service.status().failures > 0);
    assert.equal(journal.cursor("uplink/telemetry").seq, 0);
    isFull = false;
    await until("a letter", () => letters(cloud).length === 1);
    await until("nothing waits", () => service.status().lanes.telemetry.queued === 0);
    assert.equal(service.status().dropped["not-authorized"], 1);
  });
});

describe("a message that the cloud refuses, with whenRefused: retry", () => {
  it("is sent again until the cloud takes it, and nothing overtakes it", async () => {
    const { cloud, service, journal } = await begin({ whenRefused: "retry", windowMax: 1 });
    let refusals = 4;
    cloud.refuses = (topic) => topic.endsWith("bad") && refusals-- > 0;
    journal.append(2, "plant/bad", "x");
    journal.append(2, "plant/good", "x");
    journal.commit();
    await until("both", () => service.status().delivered === 2);
    assert.deepEqual(cloud.topics(), ["cloud/plant/bad", "cloud/plant/good"]);
    const { retried, failures, dropped } = service.status();
    assert.deepEqual([retried, failures, dropped["not-authorized"]], [4, 4, 0]);
    assert.match(JSON.stringify(service.status().lastError), /not-authorized/);
  });
});

async function begin(changes: Partial<UplinkConfig>) {
  const cloud = await PickyCloud.start();
  ends.push(() => cloud.broker.stop());
  const journal = new MemorySource();
  const breaker = { windowMs: 5000, failurePercent: 60, failuresMin: 1000, openMs: 50 };
  const endpoints = [cloud.broker.endpoint];
  const slow = { connectTimeoutMs: 15_000, acknowledgeTimeoutMs: 15_000 };
  const service = await startUplink(journal, { endpoints, breaker, ...slow, ...changes });
  ends.push(() => service.stop());
  return { cloud, service, journal };
}

/** A cloud that refuses some topics. */
class PickyCloud {
  refuses: (topic: string) => boolean = (topic) => topic.endsWith("bad");
  readonly broker: ScriptedBroker;
  readonly #taken: { readonly topic: string; readonly payload: string }[] = [];

  private constructor(broker: ScriptedBroker) {
    this.broker = broker;
  }

  static async start(): Promise<PickyCloud> {
    const made: PickyCloud = new PickyCloud(
      await ScriptedBroker.start({
        published(visit, packet) {
          const refused = made.refuses(packet.topic);
          acknowledge(visit, packet, refused ? NOT_AUTHORIZED : 0);
          const { topic, payload } = packet;
          if (!refused) made.#taken.push({ topic, payload: payload.toString() });
        },
      }),
    );
    return made;
  }

  get taken() {
    return this.#taken;
  }

  topics(): string[] {
    return this.#taken.map(({ topic }) => topic);
  }
}

function letters(cloud: PickyCloud): Record<string, unknown>[] {
  return cloud.taken
    .filter(({ topic }) => topic === "cloud/refused")
    .map(({ payload }) => JSON.parse(payload));
}
