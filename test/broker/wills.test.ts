import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { levelPersistence } from "../../src/broker/level-persistence.ts";
import { memoryJournal } from "../../src/journal/memory-journal.ts";
import { type TestSite, withBroker } from "../support/broker.ts";
import { payloads, publish, subscribe } from "../support/mqtt-words.ts";
import { RawClient } from "../support/raw-client.ts";
import { until } from "../support/until.ts";

describe("the will of a connection, when the gateway dies", () => {
  it("is published though the connection took over from one with a will of its own [MQTT-3.1.4-2]", () =>
    check(
      async ({ port }) => {
        await withWill(port, "first");
        await withWill(port, "second");
      },
      ["first", "second"],
    ));

  it("is published though an earlier connection of the client had just said goodbye", () =>
    check(
      async ({ port }) => {
        const polite = await withWill(port, "first");
        polite.send({ cmd: "disconnect" });
        await withWill(port, "second");
      },
      ["second"],
    ));

  it("is published though an earlier connection of the client had just broken", () =>
    check(
      async ({ port }) => {
        const rude = await withWill(port, "first");
        rude.drop();
        await withWill(port, "second");
      },
      ["first", "second"],
    ));
});

describe("the will of a connection that lasts", () => {
  it("is left alone, however long that is: aedes looks for wills of other brokers every four minutes, and there are none", async (t) => {
    t.mock.timers.enable({ apis: ["setInterval"] });
    await withBroker(async ({ port }) => {
      const reader = await RawClient.connected(port, { clientId: "reader" });
      await subscribe(reader, "will", 1);
      const sensor = await withWill(port, "gone");
      await sensor.settled();
      for (let minute = 0; minute < 30; minute++) {
        t.mock.timers.tick(60_000);
        await reader.settled();
      }
      await sensor.settled();
      assert.deepEqual(payloads(reader), []);
      sensor.drop();
      await reader.next("publish");
      assert.deepEqual(payloads(reader), ["gone"]);
    });
  });
});

describe("a will that nobody may publish", () => {
  for (const [name, topic, reason] of [
    ["below $SYS", "$SYS/broker/will", "topic is reserved"],
    ["of too many levels", "/".repeat(40), "will topic has too many levels"],
  ] as const) {
    it(`${name} is dropped and counted, when its client breaks off and when the gateway dies`, () =>
      withBroker(async (site) => {
        const reader = await RawClient.connected(site.port, { clientId: "reader" });
        await subscribe(reader, "$SYS/#", 0);
        const dropped = () => site.broker.status().dropped[reason];
        const rude = await withWill(site.port, "x", topic);
        rude.drop();
        await until("it is counted", () => dropped() === 1);
        await reader.settled();
        assert.deepEqual(payloads(reader), []);
        await withWill(site.port, "x", topic);
        await site.journal.committed();
        await site.restart("crash");
        assert.equal(dropped(), 1, "and the gateway starts");
        assert.equal(site.broker.status().retained, 0);
        await site.restart("crash");
        assert.equal(dropped(), undefined, "it is gone from the store");
      }));
  }
});

describe("wills left in the store", () => {
  it("are read in the order in which they were left, though nine connections go before ten", async () => {
    const tools = { clock: systemClock, log: silentLog, random: Math.random };
    const journal = memoryJournal({}, tools);
    await journal.start(new AbortController().signal);
    try {
      const persistence = levelPersistence(journal.rows("aedes"));
      const left = Array.from({ length: 12 }, (_, n) => `${n}`);
      for (const payload of left) {
        const will = {
          topic: "will",
          payload: Buffer.from(payload),
          qos: 1,
          retain: false,
        } as const;
        await persistence.putWill({ id: "sensor", closed: false }, will);
      }
      const read: string[] = [];
      for await (const { payload } of persistence.storedWills()) {
        read.push(Buffer.from(payload).toString());
      }
      assert.deepEqual(read, left);
    } finally {
      await journal.stop();
    }
  });
});

function withWill(port: number, payload: string, topic = "will"): Promise<RawClient> {
  const will = { topic, payload: Buffer.from(payload), qos: 1 as const, retain: topic !== "will" };
  return RawClient.connected(port, { clientId: "sensor", will });
}

/** A persistent session gets exactly these wills, in this order, after what the clients do and a crash of the gateway. */
async function check(
  act: (site: TestSite) => Promise<void>,
  expected: readonly string[],
): Promise<void> {
  await withBroker(async (site) => {
    const keeper = { clientId: "keeper", clean: false };
    const reader = await RawClient.connected(site.port, keeper);
    await subscribe(reader, "will", 1);
    reader.send({ cmd: "disconnect" });
    await reader.ended();
    await act(site);
    // What the control plane does after CONNACK is on its way; a message kept afterwards says that it is through.
    const last = await RawClient.connected(site.port, { clientId: "last" });
    for (let id = 1; id <= 3; id++) {
      last.send(publish("other", "x", 1, id));
      await last.next("puback");
    }
    await site.restart("crash");
    const again = await RawClient.connected(site.port, keeper);
    last.drop();
    const end = await RawClient.connected(site.port, { clientId: "end" });
    end.send(publish("will", "end", 1, 1));
    while (payloads(again).at(-1) !== "end") await again.next("publish");
    assert.deepEqual(payloads(again), [...expected, "end"]);
  });
}
