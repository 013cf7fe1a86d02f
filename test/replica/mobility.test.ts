import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { homeRow } from "../../src/replica/copied-sessions.ts";
import { MovingTown } from "../support/moving-town.ts";
import { until } from "../support/until.ts";

describe("a client that comes to a gateway", () => {
  it("comes in at once when it has no session anywhere, and every gateway is told", () =>
    MovingTown.run(async ({ mobility, claims }) => {
      assert.equal(mobility.come("new", false, "user"), 0);
      assert.deepEqual(claims, ["new of all"]);
    }));

  it("waits until the gateway that has its session lets go of it, and then has it here", () =>
    MovingTown.run(async (town) => {
      await town.sessionThere("one");
      let answer: number | null = null;
      const coming = Promise.resolve(town.mobility.come("one", false, "user")).then((said) => {
        answer = said;
      });
      await until("asked for", () => town.claims.includes("one of gw-a"));
      assert.deepEqual(
        [answer, town.adopted.length],
        [null, 0],
        "it may still say something of it",
      );
      town.there.moved("one", "gw-b");
      await town.shipped();
      await coming;
      assert.equal(answer, 0);
      assert.equal(town.adopted[0]?.state, "here");
      assert.deepEqual(town.adopted[0]?.taken, ["t/1", "t/2", "t/3"]);
      assert.equal(town.counters.sessionsMoved, 1);
    }));

  it("does not wait for a gateway that is away, once all that it had said was heard", () =>
    MovingTown.run(async (town) => {
      await town.sessionThere("one");
      town.isConnected = false;
      assert.equal(await town.mobility.come("one", false, "user"), 0);
      assert.deepEqual(town.adopted[0]?.taken, ["t/1", "t/2", "t/3"]);
    }));

  it("is refused for now when its session does not come, and may come again", () =>
    MovingTown.run(async (town) => {
      await town.sessionThere("one");
      const beganMs = performance.now();
      assert.equal(await town.mobility.come("one", false, "user"), 3);
      assert.ok(performance.now() - beganMs >= 990, "it was waited for");
      town.isConnected = false;
      assert.equal(await town.mobility.come("one", false, "user"), 0);
    }));

  it("is refused when the session is another user's, clean or not", () =>
    MovingTown.run(async (town) => {
      await town.sessionThere("one", "somebody");
      for (const clean of [false, true]) {
        assert.equal(await town.mobility.come("one", clean, "user"), 5);
      }
      assert.equal(town.adopted.length, 0);
    }));

  it("ends its old session wherever it is when it comes with a clean one", () =>
    MovingTown.run(async (town) => {
      await town.sessionThere("one");
      assert.equal(await town.mobility.come("one", true, "user"), 0);
      const home = await town.own.rows("home").get("one");
      assert.deepEqual(JSON.parse(Buffer.from(home ?? "").toString()), { moves: 1, gone: true });
      assert.equal(town.adopted.length, 0);
    }));

  it("finds its session whole when taking it over failed at first", () =>
    MovingTown.run(async (town) => {
      await town.sessionThere("one");
      town.isConnected = false;
      town.failsOnce = true;
      assert.equal(await town.mobility.come("one", false, "user"), 0);
      assert.deepEqual(
        town.adopted.map(({ state }) => state),
        ["abandoned", "here"],
      );
      assert.deepEqual(town.adopted[1]?.taken, ["t/1", "t/2", "t/3"]);
    }));
});

describe("a gateway that has a session", () => {
  it("closes its connection when the client comes to another one, and says that it may go", () =>
    MovingTown.run(async ({ mobility, said, sessions }) => {
      mobility.claimed("stranger", "gw-a");
      sessions.add("one");
      mobility.claimed("one", "gw-a");
      assert.deepEqual(said, [
        "stranger closed: taken over at gw-a",
        "one closed: taken over at gw-a",
        "one may go to gw-a",
      ]);
    }));

  it("says that it is gone when it has ended here, and keeps the number of its move for whoever begins anew", () =>
    MovingTown.run(async (town) => {
      const { mobility, own, sessions } = town;
      const home = async (client: string) => {
        const row = await own.rows("home").get(client);
        return row === undefined ? null : JSON.parse(Buffer.from(row).toString());
      };
      await town.sessionThere("one");
      for (const clean of [true, false]) await mobility.come("one", clean, "user");
      sessions.add("one");
      assert.deepEqual(await home("one"), { moves: 2, gone: false });
      sessions.delete("one");
      mobility.ended("one");
      mobility.ended("never moved");
      await own.committed();
      assert.deepEqual(await home("one"), { moves: 2, gone: true });
      assert.equal(await home("never moved"), null);
    }));

  it("gives it up when another one has it by a later move, and not by an earlier one", () =>
    MovingTown.run(async (town) => {
      town.sessions.add("one");
      town.sessions.add("two");
      await town.own.rows("home").put("two", homeRow({ moves: 5, gone: false }));
      const home = town.there.rows("home");
      await home.put("one", homeRow({ moves: 1, gone: false }));
      await town.shipped();
      await until("given up", () => !town.sessions.has("one"));
      assert.deepEqual(town.said, ["one given up: moved to gw-a"]);
      assert.equal(town.sessions.has("two"), true);
    }));
});
