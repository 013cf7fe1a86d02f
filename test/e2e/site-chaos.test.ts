import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BookedSite } from "../support/site-books.ts";
import { scheduleOf, suffer } from "../support/site-chaos.ts";

const LONG = process.env["FIELDGATE_TEST_LONG"] === "1";
const SEED = Number(process.env["SEED"] ?? 0);
/** In two runs each misfortune happens once; in a long one, many times in many orders. */
const RUNS = LONG ? Array.from({ length: 20 }, (_, n) => n + 1) : [1];
/** Up to twice a primary's lease; in a short run about one. */
const LEFT_MS_MAX = LONG ? 6000 : 4000;

describe("every acknowledged message is once in the cloud's books, whatever happens to the site:", () => {
  for (const seed of SEED > 0 ? [SEED] : RUNS) {
    for (const { names, isProxied } of LONG ? longRuns(seed) : shortRuns(seed)) {
      it(`${names.join(", ")} (SEED=${seed})`, () => run(names, seed, isProxied));
    }
  }
});

interface Run {
  readonly names: ReturnType<typeof scheduleOf>;
  /** Only then is there a way between gateways that can be broken; but then a killed one is no longer seen to be gone at once. */
  readonly isProxied: boolean;
}

function longRuns(seed: number): readonly Run[] {
  const isProxied = seed % 2 === 0;
  return [{ names: scheduleOf(seed, 18, isProxied), isProxied }];
}

function shortRuns(seed: number): readonly Run[] {
  const direct = scheduleOf(seed, 6, false);
  const rest = scheduleOf(seed, 18, true).filter((name) => !direct.includes(name));
  return [
    { names: direct, isProxied: false },
    { names: rest, isProxied: true },
  ];
}

function run(names: Run["names"], seed: number, isProxied: boolean): Promise<void> {
  const gateways = { "gw-a": {}, "gw-b": {}, "gw-c": {} };
  const peer = { whenAlone: "reject" };
  const options = { gateways, etcdNodes: 3, perSecond: 100, peer, isProxied };
  return BookedSite.run(options, async (site) => {
    await suffer(site, names, seed, LEFT_MS_MAX);
    const balanced = await site.balance();
    assert.ok(balanced >= 20 * names.length * site.senders.length, `${balanced} messages`);
  });
}
