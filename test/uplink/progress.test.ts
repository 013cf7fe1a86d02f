import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Progress } from "../../src/uplink/progress.ts";
import { SimClock } from "../support/sim-clock.ts";

describe("the progress of the uplink", () => {
  it("tells rates over the last half minute, the oldest age, and the time to drain", async () => {
    const { world, clock, progress } = await begun();
    assert.equal(progress.status().deliveredPerSecond, null, "one look tells no rate");
    world.accepted = 1000;
    world.delivered = 100;
    world.queued = 900;
    world.oldestWallMs = clock.wallMs() - 60_000;
    await clock.run(5000);
    const { deliveredPerSecond, acceptedPerSecond, oldestMs, drainSeconds } = progress.status();
    assert.deepEqual([deliveredPerSecond, acceptedPerSecond], [20, 200]);
    assert.equal(oldestMs, 65_000);
    assert.equal(drainSeconds, null, "it gets longer");
    world.queued = 0;
    await clock.run(10_000);
    world.queued = 600;
    await clock.run(40_000);
    world.queued = 300;
    await clock.run(55_000);
    const later = progress.status();
    assert.equal(later.acceptedPerSecond, 0, "what lies longer back is forgotten");
    assert.equal(later.drainSeconds, 300 / ((600 - 300) / 30));
    await progress.stop();
  });

  it("looks at no message while nothing waits", async () => {
    const { world, clock, progress } = await begun();
    await clock.run(60_000);
    assert.equal(world.peeked, 0);
    assert.deepEqual(
      [progress.status().oldestMs, progress.status().drainSeconds, progress.status().silentMs],
      [null, null, null],
    );
    await progress.stop();
  });
});

async function begun() {
  const clock = new SimClock();
  const world = { accepted: 0, delivered: 0, queued: 0, oldestWallMs: 0, peeked: 0 };
  const lane = (queued: number) => ({ cursor: 0, queued, paused: false });
  const uplink = {
    status: () => ({
      lastAcknowledgedMs: null,
      delivered: world.delivered,
      lanes: { alarm: lane(0), telemetry: lane(world.queued), bulk: lane(0) },
    }),
    desk: {
      peek: async () => {
        world.peeked++;
        return [{ wallMs: world.oldestWallMs }];
      },
    },
  };
  const laneTotals = () => [0, 0, world.accepted, 0];
  const progress = new Progress({ clock, uplink, laneTotals } as never);
  await progress.start();
  return { world, clock, progress };
}
