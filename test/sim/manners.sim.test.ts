import assert from "node:assert/strict";
import { it } from "node:test";
import { seededRandom } from "../support/random.ts";
import { MannersField, NOTHING_SEEN } from "./manners-field.ts";

/**
 * The whole uplink in virtual time under limits, hours and a daily budget, while its connection fails, its process is killed, its
 * right to send comes and goes, and its wall clock dies and is set again. The invariants stand in manners-field.ts, each beside
 * the assertion that checks it.
 */

const SEEDS = process.env["SIM_SEED"]
  ? [Number(process.env["SIM_SEED"])]
  : Array.from({ length: process.env["FIELDGATE_TEST_LONG"] ? 1000 : 15 }, (_, index) => index + 1);

it(`the uplink keeps to its limits whatever happens, and brings everything in the end, over ${SEEDS.length} seeds`, async () => {
  const sum = { ...NOTHING_SEEN };
  for (const seed of SEEDS) {
    const field = new MannersField(seed, seededRandom(seed));
    await field.storm();
    await field.calm();
    for (const [what, count] of Object.entries(field.seen)) sum[what as keyof typeof sum] += count;
  }
  console.log(`# ${SEEDS.length} seeds: ${JSON.stringify(sum)}`);
  if (SEEDS.length === 1) return;
  for (const [what, count] of Object.entries(sum)) {
    assert.ok(count > 0, `nothing of this was tested: ${what}`);
  }
});
