import assert from "node:assert/strict";
import { it } from "node:test";
import { seededRandom } from "../support/random.ts";
import { LinkField } from "./link-field.ts";

/**
 * The link to the cloud (its machine, its backoff, its breakers, its choice of an endpoint) in virtual time, against brokers that
 * refuse, keep silent, accept and throw out, stop to acknowledge, or work. The invariants stand in link-field.ts, each beside
 * the assertion that checks it.
 */

const SEEDS = process.env["SIM_SEED"]
  ? [Number(process.env["SIM_SEED"])]
  : Array.from(
      { length: process.env["FIELDGATE_TEST_LONG"] ? 5000 : 200 },
      (_, index) => index + 1,
    );
const STORM_MS = 15 * 60_000;

it(`the link keeps its invariants, over ${SEEDS.length} seeds`, async () => {
  const sum = { dials: 0, opened: 0, failures: 0, breakersOpened: 0, stable: 0, demoted: 0 };
  for (const seed of SEEDS) {
    const field = new LinkField(seed, seededRandom(seed));
    await field.storm(STORM_MS);
    await field.calm();
    for (const [what, count] of Object.entries(field.seen)) sum[what as keyof typeof sum] += count;
  }
  console.log(`# ${SEEDS.length} seeds: ${JSON.stringify(sum)}`);
  if (SEEDS.length === 1) return;
  for (const [what, count] of Object.entries(sum)) {
    assert.ok(count > SEEDS.length / 10, `the brokers were too kind to test anything: ${what}`);
  }
});
