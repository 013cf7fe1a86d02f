import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BookedSite } from "../support/site-books.ts";
import { scheduleOf, suffer } from "../support/site-chaos.ts";

const LONG = process.env["FIELDGATE_TEST_LONG"] === "1";
const SEED = Number(process.env["SEED"] ?? 0);
/** In two runs each misfortune happens once; in a long one, many times in many orders. */
const RUNS = LONG ? Array.from({ length: 20 }, (_, n) => n + 1) : [1];

describe("every acknowledged message is once in the cloud's books, whatever happens to the site:", () => {
  for (const seed of SEED > 0 ? [SEED] : RUNS) {
    const all = scheduleOf(seed, LONG ? 18 : 12);
    const halves = LONG ? [all] : [all.slice(0, 6), all.slice(6)];
    for (const names of halves) {
      it(`${names.join(", ")} (SEED=${seed})`, () => run(names, seed));
    }
  }
});

function run(names: ReturnType<typeof scheduleOf>, seed: number): Promise<void> {
  const gateways = { "gw-a": {}, "gw-b": {}, "gw-c": {} };
  const peer = { whenAlone: "reject" };
  return BookedSite.run({ gateways, etcdNodes: 3, perSecond: 100, peer }, async (site) => {
    await suffer(site, names, seed);
    const balanced = await site.balance();
    assert.ok(balanced >= 20 * names.length * site.senders.length, `${balanced} messages`);
  });
}
