import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import { Overload } from "../../src/broker/overload.ts";
import { paceOf, type RateLimit, type RateOptions, Rates } from "../../src/broker/rates.ts";
import { withBroker } from "../support/broker.ts";
import { payloads, publish, retained, subscribe } from "../support/mqtt-words.ts";
import { RawClient } from "../support/raw-client.ts";
import { until } from "../support/until.ts";
import { login, TestUsers } from "../support/users.ts";

const NO_RATES: RateOptions = {
  ...{ publishRate: 0, publishBytesRate: 0, clientPublishRate: 0, clientPublishBytesRate: 0 },
  clientFiltersRate: 0,
  clientRatesLeftMax: 100,
  ...{ overRate: "pause", topicRates: [] },
};

describe("a client that publishes faster than allowed", () => {
  it("is read more slowly: nothing is lost, the rate holds, and others are not held up", () =>
    withBroker(
      async ({ port, broker }) => {
        const reader = await RawClient.connected(port, { clientId: "reader" });
        await subscribe(reader, "a", 1);
        const fast = await RawClient.connected(port, { clientId: "fast" });
        const begin = performance.now();
        for (let i = 1; i <= 120; i++) fast.send(publish("a", `${i}`, 1, i));
        await until("it is not read", () => broker.status().throttled === 1);
        const other = await RawClient.connected(port, { clientId: "other" });
        other.send(publish("b", "x", 1, 1));
        await other.next("puback");
        reader.send();
        acknowledge(reader);
        await until("all have come", () => payloads(reader).length === 120);
        assert.deepEqual(
          payloads(reader),
          Array.from({ length: 120 }, (_, i) => `${i + 1}`),
        );
        assert.ok(performance.now() - begin >= 950, "120 at 60 a second, 60 of them at once");
        assert.deepEqual(broker.status().dropped, {});
      },
      { clientPublishRate: 60 },
    ));

  it("is refused where the configuration says so: QoS 0 is dropped, one of QoS 1 is closed", () =>
    withBroker(
      async ({ port, broker }) => {
        const client = await RawClient.connected(port, { clientId: "fast" });
        for (let i = 0; i < 10; i++) client.send(publish("a", "x", 0));
        await client.settled();
        const { accepted, dropped } = broker.status();
        assert.ok(accepted >= 3 && accepted < 10, `${accepted}`);
        assert.deepEqual(dropped, { "published too fast": 10 - accepted });
        for (let i = 1; i <= 10; i++) client.send(publish("a", "x", 1, i));
        await client.ended();
        assert.equal(broker.status().closed["published too fast"], 1);
      },
      { clientPublishRate: 3, overRate: "refuse" },
    ));

  it("has no new burst when it comes again, and has one when it was away long enough", () => {
    const rates = new Rates({ ...NO_RATES, clientPublishRate: 10 });
    const publish = (count: number, comeMs: number) => {
      const own = rates.ofClient("c") as RateLimit;
      for (let i = 0; i < count; i++) own.take(1, comeMs);
      const waitMs = Math.round(own.waitMs(comeMs));
      rates.left("c", own, comeMs);
      return waitMs;
    };
    assert.equal(publish(10, 0), 100);
    assert.equal(publish(10, 0), 1100, "at once again");
    assert.equal(publish(0, 1100), 0);
    assert.equal(publish(10, 10_000), 100, "as if it were new");
    const other = rates.ofClient("d") as RateLimit;
    assert.equal(other.waitMs(10_000), 0);
  });

  it("is remembered with so many others that have left; beyond that the first is forgotten, and counted", () => {
    const options = { ...NO_RATES, clientPublishRate: 10, clientRatesLeftMax: 2 };
    const rates = new Rates(options);
    const come = (clientId: string) => {
      const own = rates.ofClient(clientId) as RateLimit;
      const waitMs = own.waitMs(0);
      for (let i = 0; i < 10; i++) own.take(1, 0);
      rates.left(clientId, own, 0);
      return waitMs;
    };
    for (const clientId of ["a", "b", "c"]) assert.equal(come(clientId), 0);
    assert.deepEqual(rates.remembered, { left: 2, forgotten: 1 });
    assert.ok(come("c") > 0);
    assert.equal(come("a"), 0, "forgotten");
    rates.left("d", rates.ofClient("d") as RateLimit, 60_000);
    assert.deepEqual(rates.remembered, { left: 0, forgotten: 2 }, "who owes nothing is no loss");
  });

  it("to one topic is held to the limit of that topic, together with others who do", () =>
    withBroker(
      async ({ port, broker }) => {
        const [one, two] = await Promise.all(
          ["1", "2"].map((clientId) => RawClient.connected(port, { clientId })),
        );
        for (const client of [one, two]) {
          for (let i = 0; i < 10; i++)
            client?.send(publish("slow/x", "x", 0), publish("a", "x", 0));
          await client?.settled();
        }
        const { accepted, dropped } = broker.status();
        assert.ok(accepted >= 25 && accepted < 40, `${accepted}`);
        assert.deepEqual(dropped, { "published too fast": 40 - accepted });
      },
      { topicRates: [{ match: "slow/#", messages: 5, bytes: 0, overRate: "refuse" }] },
    ));
});

describe("a client that subscribes faster than allowed", () => {
  it("is read more slowly, over filters it asks for and gives back: all is granted, and others are not held up", () =>
    withBroker(
      async ({ port, broker }) => {
        const greedy = await RawClient.connected(port, { clientId: "greedy" });
        const begin = performance.now();
        const named = (i: number) => Array.from({ length: 10 }, (_, n) => `a/${i}/${n}`);
        for (let i = 1; i <= 8; i++)
          greedy.send({
            cmd: "subscribe",
            messageId: i,
            subscriptions: named(i).map((topic) => ({ topic, qos: 0 })),
          });
        for (let i = 1; i <= 4; i++)
          greedy.send({ cmd: "unsubscribe", messageId: 100 + i, unsubscriptions: named(i) });
        await until("it is not read", () => broker.status().throttled === 1);
        const other = await RawClient.connected(port, { clientId: "other" });
        await subscribe(other, "b", 1);
        const answers = () => greedy.received.filter(({ cmd }) => /^(un)?suback$/.test(cmd));
        assert.ok(answers().length < 12, "the other had to wait for it");
        await until("all is answered", () => answers().length === 12);
        assert.ok(performance.now() - begin >= 800, "110 at 60 a second, 60 of them at once");
        const granted = answers().flatMap((packet) =>
          packet.cmd === "suback" ? packet.granted : [],
        );
        assert.deepEqual(granted, Array(80).fill(0));
      },
      { clientFiltersRate: 60 },
    ));
});

describe("rates", () => {
  it("over any time let through so many messages and bytes a second, and a burst", () => {
    for (const [options, perSecond] of [
      [{ clientPublishRate: 50 }, 50],
      [{ clientPublishBytesRate: 5000 }, 50],
      [{ publishRate: 50, clientPublishRate: 900 }, 50],
      [{ topicRates: [{ match: "+/x", messages: 50, bytes: 0, overRate: "refuse" }] }, 50],
      [
        {
          publishRate: 80,
          topicRates: [{ match: "#", messages: 0, bytes: 5000, overRate: "refuse" }],
        },
        50,
      ],
    ] as const) {
      const rates = new Rates({ ...NO_RATES, overRate: "refuse", ...options });
      const client = rates.ofClient("a");
      const topic = rates.ofTopic("a/x");
      let taken = 0;
      for (let ms = 0; ms < 10_000; ms++) if (paceOf(client, topic, 100, ms) === 0) taken++;
      assert.ok(taken >= 10 * perSecond && taken <= 11 * perSecond + 2, `${taken}`);
    }
  });

  it("that are none cost nothing", () => {
    const rates = new Rates(NO_RATES);
    assert.equal(rates.ofClient("a"), null);
    assert.equal(rates.ofTopic("a"), null);
    const some = new Rates({ ...NO_RATES, topicRates: [limit("b/#")] });
    assert.equal(some.ofTopic("a"), null);
    assert.equal((some.ofTopic("b/c") as readonly RateLimit[]).length, 1);
  });
});

const ALL = { allow: ["#"], deny: [] };

describe("limits of a client", () => {
  it("hold for the connections of one user, another's are left alone, and taking over is free", async () => {
    const users = await TestUsers.of({ ann: [], bob: [] });
    await withBroker(
      async ({ port, broker }) => {
        const connack = async (clientId: string, user: string) => {
          const client = await RawClient.open(port);
          client.send({ cmd: "connect", clientId, clean: true, keepalive: 0, ...login(user) });
          return { client, code: (await client.next("connack")).returnCode };
        };
        const first = await connack("1", "ann");
        assert.equal((await connack("2", "ann")).code, 0);
        assert.equal((await connack("3", "ann")).code, 3);
        assert.equal(broker.status().closed["too many connections of one user"], 1);
        assert.equal((await connack("4", "bob")).code, 0);
        assert.equal((await connack("1", "ann")).code, 0);
        await first.client.ended();
        assert.equal((await connack("3", "ann")).code, 3);
        const second = await connack("2", "ann");
        second.client.drop();
        await until("it is gone", () => broker.status().connections === 2);
        assert.equal((await connack("3", "ann")).code, 0);
      },
      { connectionsPerUserMax: 2 },
      {},
      users.tools,
    );
  });

  it("hold for the persistent sessions of one user, and what it has retained; its own may be replaced, and another's room is left", async () => {
    const users = await TestUsers.of({ ann: ["all"], bob: ["all"] });
    await withBroker(
      async (site) => {
        const { port } = site;
        const come = async (clientId: string, user: string) => {
          const client = await RawClient.open(port);
          client.send({ cmd: "connect", clientId, clean: false, keepalive: 0, ...login(user) });
          return { client, code: (await client.next("connack")).returnCode };
        };
        const { client: ann } = await come("1", "ann");
        assert.equal((await come("2", "ann")).code, 0);
        assert.equal((await come("3", "ann")).code, 3);
        assert.equal((await come("2", "ann")).code, 0, "one that is there");
        const { client: bob, code } = await come("4", "bob");
        assert.equal(code, 0);
        assert.equal(site.broker.status().closed["too many sessions of one user"], 1);

        const retain = async (client: RawClient, topic: string, payload: string) => {
          client.send(retained(topic, payload, 1, 1));
          await client.next("puback");
          return site.broker.status().retained;
        };
        assert.equal(await retain(ann, "a", "1"), 1);
        assert.equal(await retain(ann, "b", "1"), 2);
        assert.equal(await retain(ann, "c", "1"), 2);
        assert.equal(site.broker.status().dropped["retained-full"], 1);
        assert.equal(await retain(ann, "b", "2"), 2, "replaced");
        assert.equal(await retain(bob, "c", "1"), 3);
        assert.equal(await retain(bob, "b", "3"), 3, "now bob's");
        assert.equal(await retain(ann, "d", "1"), 4);
        assert.equal(await retain(ann, "a", ""), 3);
        await site.restart();
        const again = await RawClient.open(site.port);
        again.send({ cmd: "connect", clientId: "1", clean: false, keepalive: 0, ...login("ann") });
        await again.next("connack");
        assert.equal(await retain(again, "e", "1"), 4);
        assert.equal(await retain(again, "f", "1"), 4, "counted over a restart");
      },
      { sessionsPerUserMax: 2, retainedPerUserMax: 2 },
      { roles: [{ name: "all", publish: ALL, subscribe: ALL }] },
      users.tools,
    );
  });

  for (const [what, limits] of [
    ["connections", { connectionsPerUserMax: 2 }],
    ["sessions", { sessionsPerUserMax: 2 }],
  ] as const) {
    it(`hold for the ${what} of one user who come in a burst, while their wills are still being kept`, async () => {
      const users = await TestUsers.of({ ann: ["all"], bob: ["all"] });
      await withBroker(
        async (site) => {
          const { port, broker } = site;
          const release = site.hold();
          const burst = await Promise.all(
            Array.from({ length: 20 }, async (_, i) => {
              const client = await RawClient.open(port);
              client.send(connectOf(`${i}`, "ann"));
              return client;
            }),
          );
          const refused = () => broker.status().closed[`too many ${what} of one user`];
          await until("all but two are refused", () => refused() === 18);
          burst[0]?.drop();
          release();
          const codes = await Promise.all(
            burst.slice(1).map(async (client) => (await client.next("connack")).returnCode),
          );
          assert.equal(codes.filter((code) => code === 0).length, 1);
          const bob = await RawClient.open(port);
          bob.send(connectOf("bob", "bob"));
          assert.equal((await bob.next("connack")).returnCode, 0);
        },
        limits,
        { roles: [{ name: "all", publish: ALL, subscribe: ALL }] },
        users.tools,
      );
    });
  }

  it("leave a client id to the user who came first, though its will is still being kept", async () => {
    const users = await TestUsers.of({ ann: ["all"], bob: ["all"] });
    await withBroker(
      async (site) => {
        const release = site.hold();
        const ann = await RawClient.open(site.port);
        ann.send(connectOf("same", "ann"));
        await until("it waits for the disk", () => site.broker.status().connections === 1);
        const bob = await RawClient.open(site.port);
        await until("ann is let in", async () => {
          bob.send({
            cmd: "connect",
            clientId: "same",
            clean: true,
            keepalive: 0,
            ...login("bob"),
          });
          return (await bob.next("connack")).returnCode === 5;
        });
        assert.equal(site.broker.status().closed["client id of another user"], 1);
        release();
        assert.equal((await ann.next("connack")).returnCode, 0);
        await ann.settled();
      },
      {},
      { roles: [{ name: "all", publish: ALL, subscribe: ALL }] },
      users.tools,
    );
  });

  it("hold for the length of a topic: publishing closes, subscribing is refused with 0x80", () =>
    withBroker(
      async ({ port, broker }) => {
        const client = await RawClient.connected(port, { clientId: "c" });
        const topics = ["x".repeat(21), "x".repeat(20), "é".repeat(11)];
        const subscriptions = topics.map((topic) => ({ topic, qos: 0 as const }));
        client.send({ cmd: "subscribe", messageId: 1, subscriptions });
        assert.deepEqual((await client.next("suback")).granted, [128, 0, 128]);
        client.send(publish("é".repeat(11), "x", 0));
        await client.ended();
        assert.equal(broker.status().closed["topic is too long"], 1);
      },
      { topicBytesMax: 20 },
    ));
});

describe("a gateway that is overloaded", () => {
  it("drops QoS 0 first, then takes no new connections, and says so; QoS 1 is served all the time", () =>
    withBroker(
      async (site) => {
        const { port, broker } = site;
        const client = await RawClient.connected(port, { clientId: "c" });
        await subscribe(client, "a", 1);
        site.memoryBytes = 1001;
        await until("it sheds", () => broker.status().overload.state === "shedding");
        client.send(publish("a", "zero", 0), publish("a", "one", 1, 1), retained("r", "kept", 0));
        await client.next("puback");
        const late = await RawClient.connected(port, { clientId: "late" });
        await until("it refuses", () => broker.status().overload.state === "refusing");
        const refused = await RawClient.open(port);
        await refused.ended();
        await late.settled();
        assert.equal(broker.status().closed["overloaded"], 1);
        assert.equal(broker.status().dropped["overloaded"], 1);
        site.memoryBytes = 1;
        await until("it is calm", () => broker.status().overload.state === "calm");
        client.send(publish("a", "zero again", 0));
        await until("it has come", () => payloads(client).includes("zero again"));
        assert.deepEqual(payloads(client), ["one", "zero again"]);
        assert.equal(broker.status().retained, 1);
        assert.equal(broker.status().overload.times, 1);
      },
      { overloadMemoryBytes: 1000 },
    ));

  it("is known by how late it is called, more than once, and is calm again only after a while", () => {
    const overload = new Overload(
      { overloadLagMs: 200, overloadMemoryBytes: 0 },
      () => 0,
      silentLog,
    );
    const states = (late: number, times: number) => {
      for (let i = 0; i < times; i++) overload.look(late);
      return overload.state;
    };
    assert.equal(states(0, 20), "calm");
    assert.equal(states(900, 1), "calm", "once is a hiccup");
    assert.equal(states(0, 1), "calm");
    assert.equal(states(201, 2), "shedding");
    assert.equal(states(201, 4), "shedding");
    assert.equal(states(201, 1), "refusing");
    assert.equal(states(170, 20), "refusing", "between the marks nothing changes");
    assert.equal(states(0, 10), "shedding");
    assert.equal(states(0, 9), "shedding");
    assert.equal(states(0, 1), "calm");
    assert.equal(overload.status().lagMsMost, 900);
  });
});

function limit(match: string): RateOptions["topicRates"][number] {
  return { match, messages: 1, bytes: 0, overRate: "pause" };
}

/** Acknowledges every message of QoS 1, those that have come and those to come. */
function acknowledge(client: RawClient): void {
  void (async () => {
    for (;;) {
      const { messageId = 0 } = await client.next("publish");
      client.send({ cmd: "puback", messageId });
    }
  })().catch(() => {});
}

/** With a will, which is kept on disk before its client is let in. */
function connectOf(clientId: string, user: string) {
  const will = { topic: "w", payload: Buffer.from("w"), qos: 1 as const, retain: false };
  const words = { clientId, clean: false, keepalive: 0, ...login(user), will };
  return { cmd: "connect", ...words } as const;
}
