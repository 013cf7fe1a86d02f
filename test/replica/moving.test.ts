import assert from "node:assert/strict";
import { it } from "node:test";
import { message, NOW } from "../support/journal-samples.ts";
import { MovingTown } from "../support/moving-town.ts";
import { until } from "../support/until.ts";

it("a session that moves has what waited behind what was acknowledged, under the same indexes, and its identifiers of QoS 2", () =>
  MovingTown.run(async (town) => {
    const queue = await town.sessionThere("one", "user", 5);
    queue.acknowledge(2);
    await town.there.rows("received").put("one\u000011", Buffer.alloc(0));
    await town.there.rows("released").put("one\u000012", Buffer.alloc(0));
    await until("what it acknowledged was told", async () => {
      await town.shipped();
      return (await town.feeds.all()[0]?.sessions.queue("one"))?.headIndex === 2;
    });
    town.isConnected = false;
    assert.equal(await town.mobility.come("one", false, "user"), 0);
    const { afterIndex, taken, received, released } = town.adopted[0] ?? {};
    assert.deepEqual([afterIndex, taken], [2, ["t/3", "t/4", "t/5"]]);
    assert.deepEqual([received, released], [[11], [12]]);
  }));

it("it has what was published here since its gateway last heard of us, when it is subscribed to it and it is kept", () =>
  MovingTown.run(async (town) => {
    const here = (topic: string, qos: 0 | 1) =>
      town.own.append({ ...message(topic, topic), qos }, 1, NOW, []);
    here("t/heard", 1);
    await town.own.committed();
    const heardSeq = town.own.durableSeq;
    await town.there.rows("feed").put(town.own.id, Buffer.from(String(heardSeq)));
    await town.sessionThere("one", "user", 1);
    here("t/since", 1);
    here("other/topic", 1);
    here("t/not-kept", 0);
    await town.own.committed();
    town.isConnected = false;
    assert.equal(await town.mobility.come("one", false, "user"), 0);
    assert.deepEqual(town.adopted[0]?.taken, ["t/1", "new t/since"]);
  }));

it("a session that has ended there meanwhile does not come", () =>
  MovingTown.run(async (town) => {
    await town.sessionThere("one");
    await town.there.rows("session").del("one");
    await town.shipped();
    town.isConnected = false;
    assert.equal(await town.mobility.come("one", false, "user"), 0);
    assert.equal(town.adopted.length, 0);
  }));
