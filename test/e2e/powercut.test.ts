import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import type { Outcome } from "../powercut/check-cut.ts";
import { DEFAULTS, type PowercutOptions, powercut } from "../powercut/powercut.ts";
import { missingForPowercuts } from "../powercut/requirements.ts";
import { line, wrongWith, wrongWithLiar } from "../powercut/table.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const CUTS = process.env["FIELDGATE_TEST_LONG"] ? 200 : 30;
const SHORT = { ...DEFAULTS, seed: SEED, messages: 40, rounds: 2 };
const FEW = { ...SHORT, cuts: 4 };

describe("a power cut under load", () => {
  it(`loses nothing that was acknowledged, ${CUTS} times (SEED=${SEED})`, (t) => {
    const options = { ...SHORT, cuts: CUTS, cutsPerRecording: Math.max(5, CUTS / 8) };
    return check(t, options, (outcomes) => {
      const wrong = outcomes.filter((outcome) => wrongWith(outcome).length > 0);
      assert.deepEqual(
        wrong.map((outcome) => line(outcome, wrongWith(outcome))),
        [],
      );
      const most = Math.max(...outcomes.map(({ verdict }) => verdict?.acknowledged ?? 0));
      t.diagnostic(`${outcomes.length} cuts, up to ${most} acknowledgements before one: all kept`);
      assert.ok(most > 0, "nothing was acknowledged before any cut");
    });
  });

  it(`loses some where the disk is not waited for, which shows that this would be seen (SEED=${SEED})`, (t) =>
    check(t, { ...FEW, durability: "fast" }, (outcomes) => {
      assert.ok(outcomes.some(({ verdict }) => (verdict?.lostMessages.length ?? 0) > 0));
    }));

  it(`with a disk that lies about flushes does not keep the gateway from starting and serving (SEED=${SEED})`, (t) =>
    check(t, { ...FEW, liarCache: 500 }, (outcomes) => {
      const wrong = outcomes.filter((outcome) => wrongWithLiar(outcome).length > 0);
      assert.deepEqual(
        wrong.map((outcome) => line(outcome, wrongWithLiar(outcome))),
        [],
      );
    }));
});

async function check(
  t: TestContext,
  options: PowercutOptions,
  expect: (outcomes: readonly Outcome[]) => void,
): Promise<void> {
  const missing = missingForPowercuts();
  if (missing !== null) {
    t.skip(missing);
    return;
  }
  const outcomes: Outcome[] = [];
  await powercut(options, {
    said: (text) => t.diagnostic(text),
    cut: (outcome) => outcomes.push(outcome),
  });
  assert.equal(outcomes.length, options.cuts);
  expect(outcomes);
}
