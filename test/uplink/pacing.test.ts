import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { UplinkConfig } from "../../src/config/schema.ts";
import { MemorySource } from "../support/memory-source.ts";
import { uplinkOptions } from "../support/uplink-options.ts";
import { begin, rig } from "../support/virtual-uplink.ts";

/** Virtual time begins on 2023-11-14 at 22:13:20 UTC. */
const TO_23_MS = (46 * 60 + 40) * 1000;

describe("an uplink that is limited", () => {
  it("sends a backlog at the rate it may, and an alarm at once meanwhile", async () => {
    const { journal, cloud, clock, service } = await begin({ limits: { messagesPerSecond: 10 } });
    for (let count = 0; count < 200; count++) journal.append(2, "plant/a", "x");
    journal.commit();
    await clock.run(10_000);
    const before = cloud.arrivals.length;
    assert.ok(before > 90 && before <= 112, `${before} after 10 s`);
    assert.equal(service.status().pace?.held.telemetry, "rate");
    journal.append(1, "alarm/a", "x");
    journal.commit();
    await clock.run(10_200);
    assert.ok(cloud.arrivals.some(({ message }) => message.topic === "alarm/a"));
    await clock.run(30_000);
    assert.equal(cloud.arrivals.length, 201);
    assert.equal(service.status().pace?.held.telemetry, null);
  });

  it("limits bytes, with messages of any size", async () => {
    const { journal, cloud, clock } = await begin(laneOf("bulk", { bytesPerSecond: 1000 }));
    for (let count = 0; count < 100; count++) journal.append(3, "bulk/a", "x".repeat(300));
    journal.commit();
    await clock.run(20_000);
    const sent = cloud.arrivals.length * 300;
    assert.ok(sent > 19_000 && sent < 21_700, `${sent} bytes in 20 s`);
  });

  it("sends bulk in its hours only, the other lanes always", async () => {
    const { journal, cloud, clock, service } = await begin(
      laneOf("bulk", { hours: ["23:00-23:30"] }),
    );
    journal.append(3, "bulk/a", "x");
    journal.append(2, "plant/a", "x");
    journal.commit();
    await clock.run(TO_23_MS - 1000);
    assert.deepEqual(
      cloud.arrivals.map(({ message }) => message.topic),
      ["plant/a"],
    );
    assert.equal(service.status().pace?.held.bulk, "hours");
    await clock.run(TO_23_MS + 1000);
    assert.equal(cloud.arrivals.length, 2);
  });

  it("spends its daily budget once, over restarts, and sends the rest after midnight", async () => {
    const options = { limits: { dailyBytes: 10_000 } };
    const journal = new MemorySource();
    for (let count = 0; count < 300; count++) journal.append(2, "plant/a", "x".repeat(100));
    let arrived = 0;
    for (let life = 0; life < 3; life++) {
      const { service, clock, cloud } = rig(options, {}, {}, undefined, journal);
      await service.start(new AbortController().signal);
      journal.commit();
      await clock.run(60_000);
      arrived += cloud.arrivals.length;
      await service.stop();
    }
    assert.equal(arrived, 100);
    const { service, clock, cloud } = rig(options, {}, {}, undefined, journal);
    await service.start(new AbortController().signal);
    journal.append(1, "alarm/a", "x");
    journal.commit();
    await clock.run(60_000);
    assert.deepEqual([cloud.arrivals.length, service.status().pace?.held.telemetry], [1, "budget"]);
    await clock.run(3 * 3_600_000);
    assert.ok(cloud.arrivals.length > 90, "the next day has begun");
  });

  it("sets no timer while nothing waits for a limit", async () => {
    const { journal, clock, cloud } = await begin(laneOf("bulk", { hours: ["23:00-23:30"] }));
    journal.append(2, "plant/a", "x");
    journal.commit();
    await clock.run(10_000);
    const before = clock.sleeps;
    await clock.run(3_600_000);
    assert.deepEqual([clock.sleeps, cloud.arrivals.length], [before, 1]);
  });
});

type Lanes = UplinkConfig["lanes"];

function laneOf<N extends keyof Lanes>(name: N, more: Partial<Lanes[N]>): Partial<UplinkConfig> {
  const { lanes } = uplinkOptions();
  return { lanes: { ...lanes, [name]: { ...lanes[name], ...more } } };
}
