import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FieldgateError } from "../../src/base/errors.ts";
import { silentLog } from "../../src/base/log.ts";
import { GAP_TOPIC } from "../../src/uplink/own-topics.ts";
import { compileRules } from "../../src/uplink/rules.ts";
import { uplink } from "../../src/uplink/uplink.ts";
import { NO_FAULTS } from "../sim/uplink-cloud.ts";
import type { MemorySource } from "../support/memory-source.ts";
import { seededRandom } from "../support/random.ts";
import { uplinkOptions } from "../support/uplink-options.ts";
import { begin, rig } from "../support/virtual-uplink.ts";

const UNREACHABLE = { ...NO_FAULTS, refusesToOpen: 1 };

describe("a lane that an operator pauses", () => {
  it("sends nothing until it is resumed, while the others go on", async () => {
    const { journal, cloud, clock, service } = await begin();
    await service.desk.pause("telemetry");
    journal.append(2, "plant/a", "x");
    journal.append(1, "alarm/a", "x");
    journal.commit();
    await clock.run(10_000);
    assert.deepEqual(topics(cloud), ["alarm/a"]);
    assert.deepEqual(service.status().lanes.telemetry, { cursor: 0, queued: 1, paused: true });
    await service.desk.resume("telemetry");
    await clock.run(20_000);
    assert.deepEqual(topics(cloud), ["alarm/a", "plant/a"]);
    assert.equal(service.status().lanes.telemetry.paused, false);
  });

  it("stays paused over a restart", async () => {
    const first = await begin();
    await first.service.desk.pause("telemetry");
    await first.service.stop();
    const next = rig({}, {}, {}, NO_FAULTS, first.journal);
    await next.service.start(new AbortController().signal);
    first.journal.append(2, "plant/a", "x");
    first.journal.commit();
    await next.clock.run(10_000);
    assert.deepEqual(topics(next.cloud), []);
    await next.service.desk.resume("telemetry");
    await next.clock.run(20_000);
    assert.deepEqual(topics(next.cloud), ["plant/a"]);
  });
});

describe("a look at a lane", () => {
  it("shows the oldest that wait, and where they would go", async () => {
    const { journal, service } = await begin({}, {}, {}, UNREACHABLE);
    fill(journal, 5);
    const seen = await service.desk.peek("telemetry", 2);
    assert.deepEqual(
      seen.map(({ seq, topic, remoteTopic, payload }) => [seq, topic, remoteTopic, `${payload}`]),
      [
        [1, "plant/1", "cloud/plant/1", "x"],
        [2, "plant/2", "cloud/plant/2", "x"],
      ],
    );
    assert.deepEqual(await service.desk.peek("bulk", 2), []);
  });
});

describe("a look at much", () => {
  it("shows as much as peekBytesMax allows, the first one always, and counts that it was cut", async () => {
    const { journal, service } = await begin({ peekBytesMax: 1024 }, {}, {}, UNREACHABLE);
    for (let count = 0; count < 5; count++) journal.append(2, `plant/${count}`, "x".repeat(400));
    journal.append(1, "alarm/a", "x".repeat(5000));
    journal.append(1, "alarm/b", "x");
    journal.commit();
    assert.equal((await service.desk.peek("telemetry", 2)).length, 2);
    assert.equal(service.status().peeksCut, 0);
    assert.equal((await service.desk.peek("telemetry", 100)).length, 2);
    assert.equal(service.status().peeksCut, 1);
    assert.equal((await service.desk.peek("alarm", 100)).length, 1);
    assert.equal(service.status().peeksCut, 2);
    assert.equal((await service.desk.peek("bulk", 100)).length, 0);
    assert.equal(service.status().peeksCut, 2);
  });
});

describe("a lane that an operator empties", () => {
  it("counts what is given up while the cloud is away, and tells it in one record", async () => {
    const { journal, cloud, clock, service } = await begin({}, {}, {}, UNREACHABLE);
    fill(journal, 5000);
    await clock.run(1000);
    assert.deepEqual(await service.desk.drop("telemetry"), {
      dropped: 5000,
      firstSeq: 1,
      lastSeq: 5000,
    });
    assert.deepEqual(journal.cursor("uplink/telemetry").dropped, { operator: 5000 });
    assert.equal(service.status().dropped.operator, 5000);
    journal.append(2, "plant/next", "x");
    journal.commit();
    cloud.faults = NO_FAULTS;
    await clock.run(120_000);
    assert.deepEqual(topics(cloud), [GAP_TOPIC, "plant/next"]);
    const { dropped, firstSeq, lastSeq } = JSON.parse(`${cloud.arrivals[0]?.message.payload}`);
    assert.deepEqual([dropped, firstSeq, lastSeq], [{ operator: 5000 }, 1, 5000]);
    assert.equal(service.status().lanes.telemetry.queued, 0);
  });

  it("gives up the oldest only, when a number is said", async () => {
    const { journal, cloud, clock, service } = await begin({}, {}, {}, UNREACHABLE);
    fill(journal, 5);
    assert.deepEqual(await service.desk.drop("telemetry", 3), {
      dropped: 3,
      firstSeq: 1,
      lastSeq: 3,
    });
    cloud.faults = NO_FAULTS;
    await clock.run(120_000);
    assert.deepEqual(topics(cloud), ["plant/4", "plant/5", GAP_TOPIC]);
  });

  it("waits for what is in flight, which the cloud may have", async () => {
    const { journal, cloud, clock, service } = await begin({ windowMax: 3 });
    fill(journal, 20);
    for (let ms = 1; service.status().inflight === 0; ms++) await clock.run(ms);
    const given = service.desk.drop("telemetry");
    await clock.run(60_000);
    const { dropped, firstSeq } = await given;
    const arrived = cloud.arrivals.filter(({ message }) => message.topic !== GAP_TOPIC);
    assert.equal(arrived.length + dropped, 20);
    assert.equal(firstSeq, arrived.length + 1);
    assert.ok(arrived.length > 0 && dropped > 0);
    assert.equal(journal.cursor("uplink/telemetry").count, 21, "and the record");
  });

  it("gives up nothing when there is nothing, and leaves what comes next alone", async () => {
    const { journal, cloud, clock, service } = await begin();
    await clock.run(1000);
    const nothing = service.desk.drop("bulk");
    await clock.run(2000);
    assert.deepEqual(await nothing, { dropped: 0, firstSeq: null, lastSeq: null });
    journal.append(3, "bulk/a", "x");
    journal.commit();
    await clock.run(10_000);
    assert.deepEqual(topics(cloud), ["bulk/a"]);
  });

  it("goes on as before when the journal cannot be read", async () => {
    const weather = { fails: true };
    const beforeRead = async () => {
      if (weather.fails) throw new FieldgateError("ERR_STORE_CLOSED", "closed");
    };
    const { journal, cloud, clock, service } = await begin({}, { beforeRead }, {}, UNREACHABLE);
    fill(journal, 5);
    await assert.rejects(service.desk.drop("telemetry"), { code: "ERR_STORE_CLOSED" });
    weather.fails = false;
    cloud.faults = NO_FAULTS;
    await clock.run(120_000);
    assert.equal(cloud.arrivals.length, 5);
    assert.deepEqual(journal.cursor("uplink/telemetry").dropped, {});
  });

  it("is refused where another gateway sends what is ours", async () => {
    const { journal, cloud, clock } = rig({});
    const options = uplinkOptions({ endpoints: ["mqtt://a"] });
    const identity = { gateway: "g", site: "s" };
    const service = uplink(options, {
      clock,
      log: silentLog,
      random: seededRandom(1),
      journal,
      cloud,
      route: compileRules(options.rules, identity),
      identity,
      permit: { may: () => false, epoch: () => 1, follow: () => () => undefined },
    });
    await service.start(new AbortController().signal);
    fill(journal, 5);
    await assert.rejects(service.desk.drop("telemetry"), { code: "ERR_UPLINK_STANDBY" });
    assert.equal(journal.cursor("uplink/telemetry").count, 0);
  });
});

function fill(journal: MemorySource, count: number): void {
  for (let each = 1; each <= count; each++) journal.append(2, `plant/${each}`, "x");
  journal.commit();
}

function topics(cloud: {
  readonly arrivals: readonly { readonly message: { readonly topic: string } }[];
}): string[] {
  return cloud.arrivals.map(({ message }) => message.topic);
}
