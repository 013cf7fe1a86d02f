import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MovingTown, willKey } from "../support/moving-town.ts";

describe("the will of a client at another gateway", () => {
  it("is published once that gateway is lost, by the primary, once", () =>
    withWill(async (town) => {
      town.isPrimary = true;
      await town.mobility.wills.look();
      assert.deepEqual(town.wills, [], "its gateway is there");
      town.isConnected = false;
      await town.mobility.wills.look();
      assert.deepEqual(town.wills, [], "it may come back before its registration has run out");
      town.isMember = false;
      town.isPrimary = false;
      await town.mobility.wills.look();
      assert.deepEqual(town.wills, [], "it is for the primary to do");
      town.isPrimary = true;
      for (let n = 0; n < 3; n++) await town.mobility.wills.look();
      assert.deepEqual(town.wills, ["mortal\0w1"]);
      assert.equal(town.counters.willsPublished, 1);
    }));

  it("is published before its client comes in at another gateway, and not again afterwards", () =>
    withWill(async (town) => {
      town.isConnected = false;
      assert.equal(await town.mobility.come("mortal", true, null), 0);
      assert.deepEqual(town.wills, ["mortal\0w1"]);
      town.isMember = false;
      town.isPrimary = true;
      await town.mobility.wills.look();
      assert.deepEqual(town.wills, ["mortal\0w1"]);
    }));

  it("is not published when its gateway says that another one has done it", () =>
    withWill(async (town) => {
      await town.there.rows("willed").put(`${town.journal.id}\0mortal\0w1`, Buffer.alloc(0));
      await town.shipped();
      Object.assign(town, { isConnected: false, isMember: false, isPrimary: true });
      await town.mobility.wills.look();
      assert.deepEqual(town.wills, []);
    }));

  it("is forgotten as done when its gateway has no longer kept it", () =>
    withWill(async (town) => {
      Object.assign(town, { isConnected: false, isMember: false, isPrimary: true });
      await town.mobility.wills.look();
      const rows = town.own.rows("willed");
      const name = `${town.journal.id}\0mortal\0w1`;
      await town.own.committed();
      assert.ok(await rows.get(name), "that it was done is kept");
      await town.there.rows("aedes").del(willKey("mortal", "w1"));
      await town.shipped();
      await town.own.committed();
      assert.equal(await rows.get(name), undefined);
    }));
});

function withWill(use: (town: MovingTown) => Promise<void>): Promise<void> {
  return MovingTown.run(async (town) => {
    await town.there.rows("aedes").put(willKey("mortal", "w1"), Buffer.from("w"));
    await town.shipped();
    await use(town);
  });
}
