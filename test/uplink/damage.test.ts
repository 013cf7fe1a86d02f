import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { ClassicLevel } from "classic-level";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { auditLane, type LaneAudit } from "../../src/health/ledger.ts";
import { blockKey } from "../../src/journal/keys.ts";
import { type LevelJournal, levelJournal } from "../../src/journal/level-journal.ts";
import { LaneDesk } from "../../src/uplink/lane-desk.ts";
import { cursorName, LANES, type LaneName } from "../../src/uplink/rules.ts";
import { ScriptedBroker } from "../support/scripted-broker.ts";
import { until } from "../support/until.ts";
import { startUplink } from "../support/uplink-rig.ts";

const NAMES = Object.keys(LANES) as LaneName[];
const TOPICS = ["", "alarm/a", "plant/a", "bulk/a"];
const COMMITS = 5;
/** Of alarm, telemetry and bulk in each commit. */
const EACH = { alarm: 1, telemetry: 4, bulk: 0 };
const LOST = [2, 4];

describe("a lane of which damage to the store has taken messages", () => {
  it("has books that balance before anybody has read it, by what is dropped(damaged)", async (t) => {
    const journal = await damaged(t);
    for (const name of NAMES) {
      assert.deepEqual(await audited(journal, name), {
        accepted: COMMITS * EACH[name],
        delivered: 0,
        dropped: EACH[name] === 0 ? {} : { damaged: LOST.length * EACH[name] },
        queued: (COMMITS - LOST.length) * EACH[name],
        missing: 0,
      });
    }
  });

  it("delivers the others, counts what is lost once, over restarts, and tells the cloud", async (t) => {
    const journal = await damaged(t);
    const broker = await ScriptedBroker.start();
    t.after(() => broker.stop());
    for (let life = 0; life < 3; life++) {
      const options = { endpoints: [broker.endpoint], windowMax: 2 };
      const service = await startUplink(journal, options);
      const isDone = (name: LaneName) =>
        journal.cursor(cursorName(name)).count === journal.laneTotals[LANES[name]];
      await until("the lanes are empty", () => NAMES.every(isDone));
      await service.stop();
    }
    const sent = (topic: string) =>
      broker.published.filter((packet) => packet.topic === `cloud/${topic}`).length;
    const { telemetry, alarm } = EACH;
    const kept = COMMITS - LOST.length;
    assert.deepEqual([sent("plant/a"), sent("alarm/a")], [kept * telemetry, kept * alarm]);
    for (const name of NAMES) {
      const { dropped, queued, missing } = await audited(journal, name);
      const damaged = LOST.length * EACH[name];
      assert.deepEqual([dropped, queued, missing], [damaged === 0 ? {} : { damaged }, 0, 0], name);
    }
    const told = broker.published.flatMap(({ payload }) => {
      const text = payload.toString();
      return text.includes("damaged") ? [JSON.parse(text).droppedEver] : [];
    });
    const last = { damaged: LOST.length * telemetry };
    assert.deepEqual(told.filter(({ damaged }) => damaged === last.damaged).length, 1);
  });

  it("is given up by its operator with what was lost counted beside", async (t) => {
    const journal = await damaged(t);
    const cursor = journal.cursor(cursorName("telemetry"));
    const carrier = {
      wake: () => {},
      withLane: async (_: number, task: () => Promise<{ last: { seq: number } } | null>) => {
        const loss = await task();
        const kept = (COMMITS - LOST.length) * EACH.telemetry;
        cursor.move(loss?.last.seq ?? 0, kept, { operator: kept });
        return loss;
      },
    };
    const desk = new LaneDesk({
      journal,
      route: () => null,
      carrier: () => carrier as never,
      permit: null,
      peekBytesMax: 2 ** 20,
    });
    await desk.drop("telemetry");
    const { dropped, missing } = await audited(journal, "telemetry");
    assert.deepEqual([dropped, missing], [{ operator: 12, damaged: 8 }, 0]);
  });
});

function audited(journal: LevelJournal, name: LaneName): Promise<LaneAudit> {
  return auditLane(journal, { lane: LANES[name], cursor: cursorName(name) });
}

/** A journal of some commits, of which some are gone. */
async function damaged(t: TestContext): Promise<LevelJournal> {
  const path = await mkdtemp(join(tmpdir(), "fieldgate-lanes-"));
  const whole = await begin(path);
  const firstSeqs: number[] = [];
  for (let commit = 1; commit <= COMMITS; commit++) {
    firstSeqs.push(whole.lastSeq + 1);
    for (const name of NAMES) {
      for (let k = 0; k < EACH[name]; k++) append(whole, LANES[name]);
    }
    await whole.committed();
  }
  await whole.stop();
  const buffers = { keyEncoding: "buffer", valueEncoding: "buffer" } as const;
  const db = new ClassicLevel<Buffer, Buffer>(join(path, "journal"), buffers);
  for (const commit of LOST) await db.del(blockKey(firstSeqs[commit - 1] ?? 0));
  await db.close();
  const journal = await begin(path);
  t.after(async () => {
    await journal.stop();
    await rm(path, { recursive: true, force: true });
  });
  return journal;
}

async function begin(path: string): Promise<LevelJournal> {
  const tools = { clock: systemClock, log: silentLog, random: () => 0 };
  const journal = levelJournal({ path, bytesMax: 2 ** 30, durability: "local" }, tools);
  await journal.start(new AbortController().signal);
  for (const name of NAMES) journal.cursor(cursorName(name));
  return journal;
}

function append(journal: LevelJournal, lane: number): void {
  const topic = TOPICS[lane] ?? "";
  const message = { topic, payload: Buffer.from("x"), qos: 1, retain: false, properties: null };
  journal.append({ ...message, qos: 1 }, lane, Date.now(), []);
}
