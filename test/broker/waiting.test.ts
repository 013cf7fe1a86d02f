import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Waiting } from "../../src/broker/waiting.ts";
import { WaitingRoom } from "../../src/broker/waiting-room.ts";
import { publishFrameOf } from "../../src/mqtt/publish-frame.ts";
import { type TestSite, withBroker } from "../support/broker.ts";
import { memory } from "../support/memory.ts";
import { payloads, publish, subscribe } from "../support/mqtt-words.ts";
import { RawClient } from "../support/raw-client.ts";
import { until } from "../support/until.ts";

const MIB = 2 ** 20;
const KB_10 = "x".repeat(10_000);

describe("the memory that sessions share", () => {
  it("goes from whoever has most to who has less than a fair share, and who has one gets no more", () => {
    const room = new WaitingRoom(10_000);
    const gaveWay: string[] = [];
    const one = (name: string) => {
      const waiting: Waiting = new Waiting(room, () => {
        gaveWay.push(name);
        waiting.shift();
      });
      return waiting;
    };
    const [greedy, second, modest] = [one("greedy"), one("second"), one("modest")];
    const take = (waiting: Waiting, times: number) => {
      let taken = 0;
      for (let i = 0; i < times && waiting.hasRoom; i++, taken++) waiting.push(MESSAGE);
      return taken;
    };
    assert.equal(take(greedy, 100), 20, "all of it while nobody else wants any");
    assert.equal(take(greedy, 1), 0);
    assert.equal(take(modest, 3), 3);
    assert.deepEqual([gaveWay.length, new Set(gaveWay)], [3, new Set(["greedy"])]);
    assert.equal(take(second, 100), 7, "a third of it");
    assert.equal(modest.length, 3);
    assert.ok(room.bytes <= 10_000, `${room.bytes}`);
    for (const each of [greedy, second, modest]) each.end();
    assert.equal(room.bytes, 0);
    modest.push(MESSAGE);
    assert.equal(room.bytes, 0, "nothing waits for one that is over");
  });

  it("is bounded, however many clean sessions take nothing; one that is only slow loses nothing; all is free when they go", () =>
    withBroker(
      async (site) => {
        const names = Array.from({ length: 20 }, (_, i) => `deaf-${i}`);
        const deaf = await Promise.all(names.map((name) => subscriber(site, name)));
        const slow = await subscriber(site, "slow");
        const publisher = await RawClient.connected(site.port, { clientId: "publisher" });
        const say = sayer(publisher);
        await say(["slow"], 6);
        await say(names, 20);
        const before = await memory();
        await say(names, 60);
        // Up to a second what waits may lie in the chunks in which it came.
        await until("of 12 MB more less than 1 MiB stays", async () => {
          return (await memory()).buffers - before.buffers < MIB;
        });
        assert.ok((site.broker.status().dropped["memory-full"] ?? 0) > 900);
        for (let i = 0; i < 6; i++) {
          const { messageId } = await slow.next("publish");
          slow.send({ cmd: "puback", messageId: messageId ?? 0 });
        }
        for (const each of deaf) each.drop();
        await until("they are gone", () => site.broker.status().connections === 2);
        const { dropped } = site.broker.status();
        await say(["slow"], 150);
        assert.deepEqual(site.broker.status().dropped, dropped);
        for (const each of [slow, publisher]) each.drop();
      },
      { waitingBytesMax: 2 * MIB, inflightMax: 1 },
    ));

  it("is freed by closing whoever has most, where a full queue closes", () =>
    withBroker(
      async (site) => {
        const deaf = await subscriber(site, "deaf");
        const slow = await subscriber(site, "slow");
        const say = sayer(await RawClient.connected(site.port, { clientId: "publisher" }));
        await say(["deaf"], 90);
        await say(["slow"], 20);
        await deaf.ended();
        assert.deepEqual(site.broker.status().closed, { "queue full": 1 });
        await slow.settled();
      },
      { waitingBytesMax: MIB, inflightMax: 1, queueWhenFull: "disconnect" },
    ));
});

it("messages of QoS 1 wait for a client that takes none of its output, and all come when it does", () =>
  withBroker(
    async (site) => {
      const deaf = await subscriber(site, "deaf");
      deaf.pause();
      const publisher = await RawClient.connected(site.port, { clientId: "publisher" });
      for (let i = 1; i <= 40; i++) {
        publisher.send(publish("deaf", `${i} ${"x".repeat(500_000)}`, 1, i));
        await publisher.next("puback");
      }
      const [told] = site.broker.desk.clients().filter(({ clientId }) => clientId === "deaf");
      assert.ok((told?.inflight ?? 0) < 36, `${told?.inflight} in flight: what the system takes`);
      deaf.resume();
      await until("all have come", () => payloads(deaf).length === 40);
      assert.deepEqual(
        payloads(deaf).map((each) => Number.parseInt(each, 10)),
        Array.from({ length: 40 }, (_, i) => i + 1),
      );
      for (const each of [deaf, publisher]) each.drop();
    },
    { inflightMax: 100 },
  ));

const MESSAGE = {
  frame: publishFrameOf({
    ...{ topic: "t", payload: Buffer.alloc(394), qos: 0, retain: false, properties: null },
  }),
  qos: 1,
  retain: false,
} as const;

/** Of the topic of its name; acknowledges nothing. */
async function subscriber({ port }: TestSite, clientId: string): Promise<RawClient> {
  const client = await RawClient.connected(port, { clientId });
  await subscribe(client, clientId, 1);
  return client;
}

/** Publishes so many messages to each topic, acknowledged one by one. */
function sayer(publisher: RawClient) {
  let id = 0;
  return async (topics: readonly string[], times: number) => {
    for (let i = 0; i < times; i++) {
      publisher.send(...topics.map((topic) => publish(topic, KB_10, 1, (id++ % 65_535) + 1)));
      for (const _ of topics) await publisher.next("puback");
    }
  };
}
