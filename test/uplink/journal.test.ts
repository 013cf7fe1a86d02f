import assert from "node:assert/strict";
import { after, afterEach, describe, it } from "node:test";
import type { StoreJournal } from "../../src/journal/store-journal.ts";
import type { Uplink } from "../../src/uplink/uplink.ts";
import { type JournalKind, levelKind, memoryKind } from "../support/journals.ts";
import { ScriptedBroker } from "../support/scripted-broker.ts";
import { until } from "../support/until.ts";
import { startUplink } from "../support/uplink-rig.ts";

const SEED = Math.floor(Math.random() * 2 ** 32);
const TOPICS = ["stays", "alarm/a", "plant/a", "bulk/a"];

for (const kind of [memoryKind(SEED), levelKind(SEED)]) {
  describe(`the uplink on a ${kind.name} (seed ${SEED})`, () => {
    const ends: Array<() => Promise<void>> = [];
    afterEach(async () => {
      for (const end of ends.splice(0).toReversed()) await end();
    });
    after(() => kind.end());

    it("delivers each lane in order, and stands behind nothing after a restart", async () => {
      const { journal, broker, service } = await begin(kind, ends);
      const accepted = append(journal, 3000);
      await until("delivered", () => settled(service, accepted.length));
      check(broker, accepted);
      assert.equal(broker.published.length, accepted.length, "nothing was sent twice");
      await service.stop();
      const again = await kind.restart(journal);
      const next = await startUplink(again, { endpoints: [broker.endpoint] });
      ends.push(() => next.stop());
      await until("connected", () => next.status().state === "connected");
      append(again, 10);
      await until("the new ones", () => settled(next, 0));
      assert.equal(broker.published.length, accepted.length + 7, "nothing was sent again");
    });

    it("loses nothing when the gateway is cut off in the middle", async () => {
      const { journal, broker, service } = await begin(kind, ends);
      const accepted = append(journal, 3000);
      await journal.committed();
      await until("a part is there", () => broker.published.length > 500);
      const again = await kind.crash(journal);
      await service.stop();
      const next = await startUplink(again, { endpoints: [broker.endpoint] });
      ends.push(() => next.stop());
      await until("the rest", () => settled(next, 0));
      check(broker, accepted);
    });

    it("lets its cursors pass by what is not for the uplink", async () => {
      const { journal, service } = await begin(kind, ends);
      for (let count = 0; count < 50; count++) {
        journal.append(message(0, count), 0, Date.now(), []);
        await journal.committed();
      }
      const atEnd = () =>
        Object.values(service.status().lanes).every((lane) => lane.cursor === journal.lastSeq);
      await until("the cursors follow", atEnd);
    });
  });
}

async function begin(kind: JournalKind, ends: Array<() => Promise<void>>) {
  const journal = await kind.create();
  const broker = await ScriptedBroker.start();
  ends.push(() => broker.stop());
  const service = await startUplink(journal, { endpoints: [broker.endpoint], windowMax: 32 });
  ends.push(() => service.stop());
  return { journal, broker, service };
}

interface Told {
  readonly lane: number;
  readonly payload: string;
}

/** Appends messages of all lanes; returns those that leave. */
function append(journal: StoreJournal, count: number): Told[] {
  const told: Told[] = [];
  for (let index = 0; index < count; index++) {
    const lane = [0, 1, 2, 2, 2, 3, 3, 0, 2, 0][index % 10] as number;
    journal.append(message(lane, index), lane, 1_700_000_000_000 + index, []);
    if (lane !== 0) told.push({ lane, payload: `${index}` });
  }
  return told;
}

function message(lane: number, index: number) {
  const payload = Buffer.from(`${index}`);
  return { topic: TOPICS[lane] ?? "", payload, qos: 1, retain: false, properties: null } as const;
}

function settled(service: Uplink, delivered: number): boolean {
  const { lanes, delivered: seen } = service.status();
  return seen >= delivered && Object.values(lanes).every((lane) => lane.queued === 0);
}

/** First arrivals of each lane are what was accepted, in order. */
function check(broker: ScriptedBroker, accepted: readonly Told[]): void {
  for (const lane of [1, 2, 3]) {
    const arrived = broker.published
      .filter((packet) => packet.topic === `cloud/${TOPICS[lane]}`)
      .map((packet) => packet.payload.toString());
    const expected = accepted.filter((told) => told.lane === lane).map((told) => told.payload);
    assert.deepEqual([...new Set(arrived)], expected, `lane ${lane}`);
  }
}
