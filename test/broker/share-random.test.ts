import assert from "node:assert/strict";
import { it } from "node:test";
import { type TestSite, withBroker } from "../support/broker.ts";
import { ack, publish } from "../support/mqtt-words.ts";
import { seededRandom } from "../support/random.ts";
import { RawClient } from "../support/raw-client.ts";
import { type ShareLog, ShareMember } from "../support/share-member.ts";
import { until } from "../support/until.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 32));
const RUNS = process.env["FIELDGATE_TEST_LONG"] ? 100 : 8;
const STEPS = 60;
const FILTER = "$share/g/t/+";
const STRATEGIES = ["round-robin", "sticky", "hash-client", "hash-topic"] as const;

it(`a shared group loses nothing that was acknowledged, whoever leaves and whatever crashes (seed ${SEED})`, async () => {
  for (let run = 0; run < RUNS; run++) {
    const seed = SEED + run;
    const sharedStrategy = STRATEGIES[seed % STRATEGIES.length] as (typeof STRATEGIES)[number];
    try {
      await withBroker((site) => play(site, seededRandom(seed)), {
        sharedStrategy,
        inflightMax: 4,
      });
    } catch (error) {
      throw new Error(
        `SEED=${seed}, ${sharedStrategy}: ${error instanceof Error ? error.message : error}`,
        {
          cause: error,
        },
      );
    }
  }
});

async function play(site: TestSite, random: () => number): Promise<void> {
  const log: ShareLog = [];
  const members = ["a", "b", "c", "d"].map((id, i) => new ShareMember(id, i >= 2, log));
  for (const member of members) await member.come(site.port, FILTER, 2);
  const publisher = new Publisher();
  for (let step = 0; step < STEPS; step++) {
    const member = members[Math.floor(random() * members.length)] as ShareMember;
    const lot = random();
    if (lot < 0.4) await publisher.publish(site.port, random);
    else if (lot < 0.75) member.acknowledge(1 + Math.floor(random() * 6));
    else if (lot < 0.97) {
      if (member.isHere) member.leave();
      else await member.come(site.port, FILTER, 2);
    } else {
      for (const each of members) each.leave();
      publisher.leave();
      await site.restart("crash");
    }
  }
  for (const member of members) if (!member.isHere) await member.come(site.port, FILTER, 2);
  await until("everything is acknowledged", () => {
    for (const member of members) member.acknowledge(100);
    return site.broker.status().shared.every(({ queued }) => queued === 0);
  });
  for (const member of members) member.look();
  check(publisher.acknowledged, log);
  for (const member of members) member.leave();
  publisher.leave();
}

/** Publishes messages each of which says who it is. */
class Publisher {
  readonly acknowledged: string[] = [];
  #client: RawClient | null = null;
  #count = 0;
  #packetId = 0;

  async publish(port: number, random: () => number): Promise<void> {
    this.#client ??= await RawClient.connected(port, { clientId: "publisher" });
    const client = this.#client;
    const batch = Array.from({ length: 1 + Math.floor(random() * 6) }, () => {
      const qos = random() < 0.5 ? 1 : 2;
      this.#packetId = (this.#packetId % 60_000) + 1;
      const topic = `t/${Math.floor(random() * 4)}`;
      return publish(topic, `${++this.#count} of QoS ${qos}`, qos, this.#packetId);
    });
    client.send(...batch);
    for (const { qos, messageId, payload } of batch) {
      await client.next(qos === 1 ? "puback" : "pubrec");
      if (qos === 2) client.send(ack("pubrel", messageId));
      this.acknowledged.push(payload);
    }
  }

  leave(): void {
    this.#client?.drop();
    this.#client = null;
  }
}

function check(acknowledged: readonly string[], log: ShareLog): void {
  const came = new Set(log.map(({ payload }) => payload));
  assert.deepEqual(
    acknowledged.filter((payload) => !came.has(payload)),
    [],
    "lost",
  );
  const owners = new Map<string, string>();
  for (const { what, who, payload } of log) {
    const owner = owners.get(payload);
    assert.equal(owner, undefined, `${payload} was ${owner}'s, and then ${what} to ${who}`);
    if (what === "completed") owners.set(payload, who);
  }
}
