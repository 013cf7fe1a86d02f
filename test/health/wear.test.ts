import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { flashLife, newWear, observe, type Wear, type WriteCounts } from "../../src/health/wear.ts";

const HOUR = 3_600_000;
const FIRST: WriteCounts = {
  boot: "b1",
  run: "r1",
  deviceBytes: 5e9,
  programBytes: 1000,
  messages: 0,
  messageBytes: 0,
  runMs: 0,
};

describe("flash life", () => {
  it("tells bytes a message, write amplification and the years that are left at the rate of the window", () => {
    const wear = run([FIRST, { ...after(10), deviceBytes: 5e9 + 10e9, programBytes: 1000 + 3e9 }]);
    const life = flashLife(wear, 100e9);
    assert.equal(life.windowMs, 10 * HOUR);
    assert.equal(life.bytesPerMessage, 300);
    assert.equal(life.writeAmplification, 2.5);
    assert.equal(life.bytesPerDay, 24e9);
    assert.equal(life.yearsLeft, 90 / 24 / 365.25);
  });

  it("says nothing of a rate before ten minutes, of years without an endurance, of messages before a thousand", () => {
    const soon = run([FIRST, { ...after(0.15), deviceBytes: 6e9 }]);
    assert.equal(flashLife(soon, 100e9).bytesPerDay, null);
    assert.equal(flashLife(soon, 100e9).yearsLeft, null);
    const later = run([FIRST, { ...after(1), messages: 999, messageBytes: 999, deviceBytes: 6e9 }]);
    assert.equal(flashLife(later, null).yearsLeft, null);
    assert.equal(flashLife(later, null).bytesPerMessage, null);
    assert.equal(flashLife(later, null).writeAmplification, null);
    assert.equal(flashLife(later, null).bytesPerDay, 24e9);
  });

  it("uses what the gateway wrote where the machine does not tell of the device, and nothing where neither is told", () => {
    const blind = { ...FIRST, deviceBytes: null };
    const own = flashLife(run([blind, { ...after(24), deviceBytes: null }]), 1e12);
    assert.deepEqual([own.deviceBytes, own.bytesPerDay], [null, 3e9]);
    const dark = { deviceBytes: null, programBytes: null };
    const life = flashLife(
      run([
        { ...FIRST, ...dark },
        { ...after(24), ...dark },
      ]),
      1e12,
    );
    assert.deepEqual([life.programBytes, life.bytesPerDay, life.yearsLeft], [null, null, null]);
    assert.equal(life.bytesPerMessage, null);
  });

  it("takes the rate of the last day at work, whatever was before", () => {
    const counts = [FIRST];
    for (let hour = 1; hour <= 100; hour++) {
      const rate = hour <= 50 ? 10e9 : 1e9;
      const { deviceBytes } = counts.at(-1) as WriteCounts;
      counts.push({ ...after(hour), deviceBytes: (deviceBytes ?? 0) + rate });
    }
    const wear = run(counts);
    assert.equal(flashLife(wear, null).bytesPerDay, 24e9);
    assert.equal(flashLife(wear, null).windowMs, 24 * HOUR);
    assert.ok(wear.marks.length <= 26);
  });

  it("goes on counting over a restart: what the machine wrote meanwhile is in the sum and in no rate", () => {
    const before = run([FIRST, { ...after(1), deviceBytes: 6e9 }]);
    const down = { ...FIRST, run: "r2", deviceBytes: 60e9 };
    const wear = observe(observe(before, down), {
      ...after(1),
      run: "r2",
      deviceBytes: 61e9,
    });
    assert.equal(wear.deviceBytes, 56e9);
    assert.equal(wear.messages, 2 * after(1).messages);
    assert.equal(flashLife(wear, null).bytesPerDay, 24e9);
    assert.equal(flashLife(wear, null).windowMs, 2 * HOUR);
  });

  it("takes the counts of a machine that was started anew from their beginning", () => {
    const before = run([FIRST, { ...after(1), deviceBytes: 6e9 }]);
    const wear = observe(before, { ...FIRST, boot: "b2", run: "r2", deviceBytes: 3e9 });
    assert.equal(wear.deviceBytes, 4e9);
  });

  it("never counts backwards", () => {
    const wear = run([FIRST, { ...after(1), deviceBytes: 4e9, programBytes: 0 }]);
    assert.deepEqual([wear.deviceBytes, wear.programBytes], [0, 0]);
  });
});

/** A million messages of 120 bytes an hour, for which 125 MB are written. */
function after(hours: number): WriteCounts {
  return {
    ...FIRST,
    programBytes: 1000 + hours * 125e6,
    messages: hours * 1e6,
    messageBytes: hours * 120e6,
    runMs: hours * HOUR,
  };
}

function run([first, ...rest]: readonly WriteCounts[]): Wear {
  assert.ok(first);
  return rest.reduce((wear, counts) => observe(wear, counts), newWear(first, 0));
}
