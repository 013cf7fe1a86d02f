import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NO_FAULTS } from "../sim/uplink-cloud.ts";
import { begin, rig } from "../support/virtual-uplink.ts";

describe("the uplink", () => {
  it("sends alarms before telemetry before bulk, but starves none", async () => {
    const { journal, cloud, clock } = await begin({ windowMax: 1 });
    for (let count = 0; count < 64; count++) {
      journal.append(3, "bulk/a", "b");
      journal.append(2, "plant/a", "t");
      journal.append(1, "alarm/a", "a");
    }
    journal.commit();
    await clock.run(600_000);
    const order = cloud.arrivals.map((entry) => entry.message.payload.toString()).join("");
    const alarms = order.slice(0, order.lastIndexOf("a"));
    assert.equal(cloud.arrivals.length, 192);
    assert.ok(alarms.length < 64 / (1 - 1 / 4 - 1 / 16) + 4, `alarms took ${alarms.length}`);
    assert.match(alarms, /t.*b/, "the others had their share meanwhile");
  });

  it("reads again after a while when the journal could not be read", async () => {
    let failures = 3;
    const { service, journal, clock } = await begin(
      {},
      {
        beforeRead: async () => {
          if (failures-- > 0) throw new Error("disk trouble");
        },
      },
    );
    journal.append(2, "plant/a", "x");
    journal.commit();
    await clock.run(1500);
    assert.equal(service.status().delivered, 0);
    await clock.run(10_000);
    assert.equal(service.status().delivered, 1);
    assert.equal(service.status().readFailures, 3);
    assert.equal(service.status().failures, 0, "the connection is not to blame");
  });

  it("keeps no more bytes in flight than its bound, but always sends one message", async () => {
    const { journal, cloud, clock } = await begin({}, {}, { inflightBytesMax: 100 });
    for (let count = 0; count < 20; count++) journal.append(2, "plant/a", "x".repeat(60));
    journal.append(2, "plant/a", "x".repeat(1000));
    journal.commit();
    await clock.run(60_000);
    assert.equal(cloud.arrivals.length, 21);
    assert.equal(cloud.mostInflight, 2);
  });

  it("sets no timer and asks nothing while there is nothing to do", async () => {
    let reads = 0;
    const { service, journal, clock } = await begin(
      {},
      {
        beforeRead: async () => {
          reads++;
        },
      },
    );
    journal.append(2, "plant/a", "x");
    journal.commit();
    await clock.run(10_000);
    assert.equal(service.status().inflight, 0);
    const [readsBefore, sleepsBefore] = [reads, clock.sleeps];
    await clock.run(3_600_000);
    assert.deepEqual([reads, clock.sleeps], [readsBefore, sleepsBefore]);
    assert.equal(service.status().state, "connected");
  });

  it("leaves an endpoint alone once its breaker has opened, and then tries once", async () => {
    const breaker = { windowMs: 5000, failurePercent: 60, failuresMin: 3, openMs: 30_000 };
    const changes = { breaker, endpoints: ["mqtt://a"], backoffFirstMs: 100, backoffMaxMs: 500 };
    const { service, cloud, clock } = await begin(
      changes,
      {},
      {},
      { ...NO_FAULTS, refusesToOpen: 1 },
    );
    await clock.run(20_000);
    assert.deepEqual([service.status().breaker, cloud.endpoints.length], ["open", 3]);
    assert.equal(service.status().state, "waiting");
    await clock.run(100_000);
    assert.equal(cloud.endpoints.length, 6, "one probe in 30 s");
    assert.equal(service.status().endpoints[0]?.opened, 4);
  });

  it("tells what it is doing, and what was the matter", async () => {
    const { service, clock, cloud } = await begin({}, {}, {}, { ...NO_FAULTS, refusesToOpen: 1 });
    await clock.run(5000);
    const status = service.status();
    assert.equal(status.protocol, null);
    assert.equal(status.lastError?.["code"], "ERR_UPLINK_CLOSED");
    assert.ok(status.failures > 3);
    assert.match(cloud.endpoints.join(" "), /^mqtt:\/\/a mqtt:\/\/b mqtt:\/\/a mqtt:\/\/b/);
    await service.stop();
    assert.equal(service.status().state, "paused");
  });

  it("may be stopped before it was started", async () => {
    const { service } = rig({}, {}, {}, NO_FAULTS);
    await service.stop();
    assert.equal(service.status().state, "paused");
    assert.deepEqual(service.status().lanes.alarm, { cursor: 0, queued: 0, paused: false });
  });
});
