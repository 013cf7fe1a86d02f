import assert from "node:assert/strict";
import { it } from "node:test";
import { DEFAULTS, soak } from "../soak/soak.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const LONG = process.env["FIELDGATE_TEST_LONG"] !== undefined;

it(`loses nothing and keeps its order over a bad line, killed now and then (SEED=${SEED})`, async (t) => {
  const seconds = LONG ? 300 : 12;
  const pace = { faultEveryMs: 700, sampleEveryMs: 1000 };
  const result = await soak({ ...DEFAULTS, ...pace, seconds, seed: SEED, kills: true }, () => {});
  const done = [...result.done].map(([what, times]) => `${what} ${times}`).join(", ");
  t.diagnostic(`${result.acknowledged} acknowledged; ${done}`);
  assert.deepEqual(result.faults, [], `SEED=${SEED}`);
  assert.ok(result.acknowledged > 0);
});
