import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Lookout } from "../../src/broker/lookout.ts";
import { SimClock } from "../support/sim-clock.ts";

describe("a lookout", () => {
  it("looks ten times a second while it sees something going on, and once when it has seen nothing for a second", async () => {
    await watched(async ({ clock, looks, see }) => {
      see(true);
      await clock.run(5000);
      assert.equal(looks.length, 50);
      see(false);
      await clock.run(6000);
      assert.equal(looks.length, 60);
      await clock.run(16_000);
      assert.equal(looks.length, 70);
      see(true);
      await clock.run(17_000);
      assert.equal(looks.length, 71);
      await clock.run(18_000);
      assert.equal(looks.length, 81);
    });
  });

  it("looks soon when it is stirred in its rest, and is not taken for late then", async () => {
    await watched(async ({ clock, looks, lookout }) => {
      await clock.run(10_500);
      const before = looks.length;
      lookout.stir();
      await clock.run(10_600);
      assert.deepEqual(looks.slice(before), [{ nowMs: 10_600, lateMs: 0 }]);
      for (let ms = 10_700; ms <= 15_000; ms += 100) {
        lookout.stir();
        await clock.run(ms);
      }
      assert.equal(looks.length - before, 45);
    });
  });

  it("tells how late it is called, at work and at rest", async () => {
    await watched(async ({ clock, looks, hold }) => {
      await clock.run(300);
      hold(250);
      await clock.run(400);
      assert.deepEqual(looks.at(-1), { nowMs: 650, lateMs: 250 });
      hold(0);
      await clock.run(8000);
      hold(2000);
      const before = looks.length;
      await clock.run(9000);
      assert.equal(looks[before]?.lateMs, 2000);
    });
  });

  it("does nothing any more once it is stopped, whoever stirs it", async () => {
    await watched(async ({ clock, looks, lookout }) => {
      await clock.run(5000);
      lookout.stop();
      const { length } = looks;
      lookout.stir();
      await clock.run(20_000);
      assert.equal(looks.length, length);
    });
  });
});

interface Watched {
  readonly clock: SimClock;
  readonly lookout: Lookout;
  readonly looks: { readonly nowMs: number; readonly lateMs: number }[];
  /** Whether it sees something going on from now on. */
  readonly see: (goesOn: boolean) => void;
  /** By how much its clock is ahead of the timers: they come so late. */
  readonly hold: (ms: number) => void;
}

async function watched(test: (world: Watched) => Promise<void>): Promise<void> {
  const clock = new SimClock();
  let [goesOn, heldMs] = [false, 0];
  const late = {
    monotonicMs: () => clock.monotonicMs() + heldMs,
    wallMs: () => clock.wallMs(),
    sleep: (ms: number, signal?: AbortSignal) => clock.sleep(ms, signal),
    sleepExactly: (ms: number, signal?: AbortSignal) => clock.sleepExactly(ms, signal),
    every: (ms: number, task: () => void) => clock.every(ms, task),
    afterTurn: (task: () => void) => clock.afterTurn(task),
  };
  const looks: Watched["looks"] = [];
  const lookout = new Lookout(late, (nowMs, lateMs) => {
    looks.push({ nowMs, lateMs });
    return goesOn;
  });
  lookout.start();
  const see = (going: boolean) => {
    goesOn = going;
  };
  const hold = (ms: number) => {
    heldMs = ms;
  };
  await test({ clock, lookout, looks, see, hold });
  lookout.stop();
}
