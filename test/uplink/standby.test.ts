import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { UplinkConfig } from "../../src/config/schema.ts";
import { NO_FAULTS } from "../sim/uplink-cloud.ts";
import { MemorySource } from "../support/memory-source.ts";
import { rig } from "../support/virtual-uplink.ts";

describe("the uplink of a gateway that is not primary", () => {
  it("keeps a connection ready that carries nothing, and sends over it as soon as it may", async () => {
    const { service, journal, cloud, clock, role } = await standby();
    fill(journal, 10);
    await clock.run(2000);
    const { state, isReady } = service.status();
    assert.deepEqual([state, isReady, cloud.arrivals.length], ["paused", true, 0]);
    role.become(7);
    await clock.run(2100);
    assert.equal(cloud.arrivals.length, 10);
    assert.equal(cloud.endpoints.length, 1, "over the same connection");
    assert.deepEqual([service.status().state, service.status().isReady], ["connected", false]);
  });

  it("carries under one epoch over each connection, and keeps a new one ready when it has been primary", async () => {
    const { service, journal, cloud, clock, role } = await standby();
    await clock.run(1000);
    role.become(7);
    fill(journal, 3);
    await clock.run(2000);
    role.become(8);
    await clock.run(3000);
    assert.equal(cloud.endpoints.length, 2, "a new epoch is a new connection");
    fill(journal, 3);
    await clock.run(4000);
    assert.equal(cloud.arrivals.length, 6);
    role.become(null);
    fill(journal, 3);
    await clock.run(5000);
    assert.deepEqual([cloud.endpoints.length, cloud.arrivals.length], [3, 6]);
    assert.equal(service.status().isReady, true);
    role.become(9);
    await clock.run(6000);
    assert.deepEqual([cloud.endpoints.length, cloud.arrivals.length], [3, 9]);
  });

  it("does not wait out its backoff when it becomes primary", async () => {
    const faults = { ...NO_FAULTS, neverAnswers: 1 };
    const slow = { connectTimeoutMs: 500, backoffFirstMs: 600_000, backoffMaxMs: 3_600_000 };
    const { service, journal, cloud, clock, role } = await standby(slow, faults);
    fill(journal, 3);
    await clock.run(60_000);
    assert.equal(service.status().isReady, false);
    cloud.faults = NO_FAULTS;
    role.become(7);
    await clock.run(62_000);
    assert.equal(cloud.arrivals.length, 3);
  });

  it("connects to nothing when it is told so", async () => {
    const { service, journal, cloud, clock, role } = await standby({ standbyConnected: false });
    fill(journal, 3);
    await clock.run(2000);
    assert.deepEqual([service.status().isReady, cloud.endpoints.length], [false, 0]);
    role.become(7);
    await clock.run(3000);
    assert.equal(cloud.arrivals.length, 3);
    role.become(null);
    await clock.run(4000);
    assert.deepEqual([service.status().isReady, cloud.endpoints.length], [false, 1]);
  });
});

/** Primary of an epoch, or of none. */
class Office {
  #epoch: number | null = null;
  #told: () => void = () => {};

  become(epoch: number | null): void {
    this.#epoch = epoch;
    this.#told();
  }
  may(): boolean {
    return this.#epoch !== null;
  }
  epoch(): number | null {
    return this.#epoch;
  }
  follow(changed: () => void): () => void {
    this.#told = changed;
    return () => {};
  }
}

async function standby(changes: Partial<UplinkConfig> = {}, faults = NO_FAULTS) {
  const role = new Office();
  const made = rig(changes, {}, {}, faults, new MemorySource(), role);
  await made.service.start(new AbortController().signal);
  return { ...made, role };
}

function fill(journal: MemorySource, count: number): void {
  for (let n = 0; n < count; n++) journal.append(2, "plant/a", "x");
  journal.commit();
}
