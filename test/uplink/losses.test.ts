import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FieldgateError } from "../../src/base/errors.ts";
import { silentLog } from "../../src/base/log.ts";
import { Gaps } from "../../src/uplink/gaps.ts";
import { GAP_TOPIC } from "../../src/uplink/own-topics.ts";
import type { SimCloud } from "../sim/uplink-cloud.ts";
import { MemorySource } from "../support/memory-source.ts";
import { uplinkOptions } from "../support/uplink-options.ts";
import { begin, rig } from "../support/virtual-uplink.ts";

/** The wall clock of virtual time at its beginning. */
const BEGAN_MS = 1_700_000_000_000;

describe("a message that is too old", () => {
  it("is given up by the rule's expiry, counted, and the cloud is told where", async () => {
    const { journal, cloud, clock, service } = await begin({ rules: expiringAfter(60) });
    journal.append(2, "plant/old", "x", { wallMs: BEGAN_MS - 61_000 });
    journal.append(2, "plant/older", "x", { wallMs: BEGAN_MS - 3_600_000 });
    journal.append(2, "plant/fresh", "x", { wallMs: BEGAN_MS - 10_000 });
    journal.commit();
    await clock.run(10_000);
    assert.deepEqual(topics(cloud), ["plant/fresh", GAP_TOPIC]);
    assert.equal(service.status().dropped.expired, 2);
    assert.deepEqual(journal.cursor("uplink/telemetry").dropped, { expired: 2 });
    const { dropped, firstSeq, lastSeq, lane, firstTime } = records(cloud)[0] ?? {};
    assert.deepEqual([dropped, firstSeq, lastSeq, lane], [{ expired: 2 }, 1, 2, "telemetry"]);
    assert.equal(firstTime, new Date(BEGAN_MS - 61_000).toISOString());
  });

  it("is sent by a rule without expiry, however old", async () => {
    const { journal, cloud, clock } = await begin({});
    journal.append(2, "plant/old", "x", { wallMs: 1 });
    journal.commit();
    await clock.run(10_000);
    assert.deepEqual(topics(cloud), ["plant/old"]);
  });
});

describe("the record of a loss", () => {
  it("stands behind what was lost and before what comes next, in the lane that lost", async () => {
    const { journal, cloud, clock } = await begin({ rules: expiringAfter(60), windowMax: 1 });
    journal.append(2, "plant/old", "x", { wallMs: 1 });
    journal.append(1, "alarm/a", "x");
    journal.commit();
    await clock.run(10_000);
    journal.append(2, "plant/next", "x");
    journal.commit();
    await clock.run(20_000);
    assert.deepEqual(topics(cloud), ["alarm/a", GAP_TOPIC, "plant/next"]);
  });

  it("is told once, over a restart", async () => {
    const first = await begin({ rules: expiringAfter(60) });
    first.journal.append(2, "plant/old", "x", { wallMs: 1 });
    first.journal.commit();
    await first.clock.run(10_000);
    await first.service.stop();
    const next = rig({ rules: expiringAfter(60) }, {}, {}, undefined, first.journal);
    await next.service.start(new AbortController().signal);
    await next.clock.run(10_000);
    assert.equal(records(first.cloud).length, 1);
    assert.equal(records(next.cloud).length, 0);
  });

  it("is not told of itself: a cloud that refuses every record is not asked for ever", async () => {
    const { journal, clock, service } = await begin({ rules: expiringAfter(60), gapTopic: "a/+" });
    journal.append(2, "plant/old", "x", { wallMs: 1 });
    journal.commit();
    await clock.run(60_000);
    assert.deepEqual(journal.laneTotals, [0, 0, 2, 0]);
    assert.deepEqual(journal.cursor("uplink/telemetry").dropped, {
      expired: 1,
      "topic-invalid": 1,
    });
    assert.equal(service.status().lanes.telemetry.queued, 0);
  });

  it("is not written when the configuration says so", async () => {
    const { journal, cloud, clock, service } = await begin({
      rules: expiringAfter(60),
      gapRecords: false,
    });
    journal.append(2, "plant/old", "x", { wallMs: 1 });
    journal.commit();
    await clock.run(10_000);
    assert.deepEqual(topics(cloud), []);
    assert.equal(service.status().dropped.expired, 1);
  });

  it("waits while the store is full, and tells all of it then", () => {
    const { source, gaps, weather } = lane();
    source.cursor("uplink/bulk").move(5, 5, { expired: 3 });
    weather.full = true;
    gaps.settled(null);
    assert.deepEqual(source.seqsOf(3), []);
    source.cursor("uplink/bulk").move(9, 4, { "not-authorized": 2 });
    gaps.settled(null);
    weather.full = false;
    gaps.settled(null);
    gaps.settled(null);
    assert.deepEqual(source.told(3), [{ expired: 3, "not-authorized": 2 }]);
  });

  it("tells what others have counted at the cursor, as a range that is not too narrow", async () => {
    const { source, gaps } = lane();
    source.cursor("uplink/bulk").move(40, 40, { full: 7 });
    gaps.settled(null);
    source.cursor("uplink/bulk").move(90, 50, { damaged: 1 });
    gaps.settled(null);
    const [, second] = source.records(3);
    assert.deepEqual(source.told(3), [{ full: 7 }, { damaged: 1 }]);
    assert.deepEqual([second?.firstSeq, second?.lastSeq], [41, 90]);
    assert.deepEqual(second?.droppedEver, { full: 7, damaged: 1 });
  });
});

interface GapRecord {
  readonly lane: string;
  readonly dropped: Readonly<Record<string, number>>;
  readonly droppedEver: Readonly<Record<string, number>>;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly firstTime?: string;
}

function expiringAfter(expirySeconds: number) {
  return uplinkOptions().rules.map((rule) => ({ ...rule, expirySeconds }));
}

function topics(cloud: SimCloud): string[] {
  return cloud.arrivals.map(({ message }) => message.topic);
}

function records(cloud: SimCloud): GapRecord[] {
  return cloud.arrivals
    .filter(({ message }) => message.topic === GAP_TOPIC)
    .map(({ message }) => recordOf(message.payload));
}

function recordOf(payload: Uint8Array): GapRecord {
  return JSON.parse(Buffer.from(payload).toString()) as GapRecord;
}

/** The bulk lane's gaps on a journal that may be full. */
function lane() {
  const weather = { full: false };
  class Store extends MemorySource {
    override append(...args: never[]): number {
      if (weather.full) throw new FieldgateError("ERR_STORE_FULL", "full");
      return (super.append as (...all: never[]) => number)(...args);
    }

    records(of: number): GapRecord[] {
      return this.entriesOf(of).map(({ message }) => recordOf(message.payload));
    }

    told(of: number) {
      return this.records(of).map(({ dropped }) => dropped);
    }
  }
  const source = new Store();
  const gaps = new Gaps("bulk", {
    journal: source,
    rows: source.rows(),
    identity: { gateway: "g", site: "s" },
    log: silentLog,
    wallMs: () => BEGAN_MS,
  });
  return { source, gaps, weather };
}
