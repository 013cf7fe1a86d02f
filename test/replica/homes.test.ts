import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import { Homes } from "../../src/replica/homes.ts";
import { MovingTown } from "../support/moving-town.ts";

const GONE = { moves: 3, gone: true };
const SWEEP_MS = 10_000;

describe("that a session has ended here", () => {
  it("is remembered while a gateway has an older life of it, or is away, and forgotten when none can have one", () =>
    staged(async ({ town, homes, kept }) => {
      await town.sessionThere("one");
      for (const client of ["one", "two", "here"]) await homes.set(client, GONE);
      town.isConnected = false;
      homes.sweep(0);
      assert.deepEqual(await kept(), ["here", "one", "two"], "gw-a is away");
      town.isConnected = true;
      homes.sweep(SWEEP_MS / 2);
      assert.deepEqual(await kept(), ["here", "one", "two"], "it was looked at just now");
      homes.sweep(SWEEP_MS);
      assert.deepEqual(await kept(), ["here", "one"]);
      await town.there.rows("session").del("one");
      await town.shipped();
      homes.sweep(2 * SWEEP_MS);
      assert.deepEqual(await kept(), ["here"], "it is in use");
      assert.equal(town.counters.homesForgotten, 0);
    }));

  it("is remembered of no more than may be: what ended first is forgotten, and counted", () =>
    staged(async ({ town, homes, kept }) => {
      town.isConnected = false;
      for (const client of ["1", "2", "here", "3", "4", "1"]) await homes.set(client, GONE);
      homes.sweep(0);
      assert.deepEqual(await kept(), ["1", "4", "here"]);
      assert.equal(town.counters.homesForgotten, 2);
      assert.deepEqual([homes.get("1"), homes.get("2")], [GONE, undefined]);
    }));
});

interface Stage {
  readonly town: MovingTown;
  readonly homes: Homes;
  /** The clients of the rows, in order. */
  readonly kept: () => Promise<string[]>;
}

/** At most two are remembered, beside that of the client here, which is in use. */
function staged(test: (stage: Stage) => Promise<void>): Promise<void> {
  return MovingTown.run(async (town) => {
    const rows = () => town.own.rows("home");
    const homes = new Homes(2, {
      ...{ log: silentLog, counters: town.counters, feeds: town.feeds, rows },
      hears: () => town.isConnected,
      isInUse: (client) => client === "here",
    });
    const kept = async () => {
      await town.own.committed();
      const clients: string[] = [];
      for await (const [client] of rows().entries({})) clients.push(client);
      return clients;
    };
    await test({ town, homes, kept });
  });
}
