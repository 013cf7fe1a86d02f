import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { withBroker } from "../support/broker.ts";
import { ack, payloads, publish, retained, subscribe } from "../support/mqtt-words.ts";
import { RawClient } from "../support/raw-client.ts";
import { until } from "../support/until.ts";

describe("a shared subscription", () => {
  it("gives each message to one member, each in turn", () =>
    withBroker(async ({ port }) => {
      const members = await join(port, ["a", "b", "c"]);
      const publisher = await RawClient.connected(port);
      await say(publisher, 9, 0);
      for (const member of members) await member.settled();
      assert.deepEqual(members.map(payloads), [
        ["1", "4", "7"],
        ["2", "5", "8"],
        ["3", "6", "9"],
      ]);
    }));

  it("is one for each group and filter, and each of them gets a copy", () =>
    withBroker(async ({ port }) => {
      const client = await RawClient.connected(port, { clientId: "both" });
      for (const filter of ["$share/g/t/+", "$share/g/t/#", "$share/h/t/+", "t/+"]) {
        await subscribe(client, filter, 1);
      }
      const publisher = await RawClient.connected(port);
      await say(publisher, 1, 1);
      await client.settled();
      assert.deepEqual(payloads(client), ["1", "1", "1", "1"]);
    }));

  it("caps the QoS of each member for itself, and a member of QoS 0 takes its turn", () =>
    withBroker(async ({ port }) => {
      const members: RawClient[] = [];
      for (const qos of [2, 1, 0] as const) {
        members.push((await join(port, [`${qos}`], { qos }))[0] as RawClient);
      }
      const publisher = await RawClient.connected(port);
      await say(publisher, 3, 2);
      for (const [i, member] of members.entries()) {
        assert.equal((await member.next("publish")).qos, 2 - i);
      }
    }));

  it("brings no retained messages, and delivers those published later without RETAIN [MQTT5-4.8.2]", () =>
    withBroker(async ({ port }) => {
      const publisher = await RawClient.connected(port);
      publisher.send(retained("t/1", "old", 1, 1));
      await publisher.next("puback");
      const [member] = (await join(port, ["a"])) as [RawClient];
      await member.settled();
      assert.deepEqual(payloads(member), []);
      publisher.send(retained("t/1", "new", 1, 2));
      const came = await member.next("publish");
      assert.deepEqual([came.payload.toString(), came.retain], ["new", false]);
    }));

  it("does not match topics that begin with $ by a wildcard [MQTT-4.7.2-1]", () =>
    withBroker(async ({ port, broker }) => {
      const [member] = (await join(port, ["a"], { filter: "$share/g/#" })) as [RawClient];
      broker.announce("$SYS/x", "1");
      await member.settled();
      assert.deepEqual(payloads(member), []);
      await subscribe(member, "$share/g/$SYS/#", 0);
      broker.announce("$SYS/x", "2");
      assert.equal((await member.next("publish")).payload.toString(), "2");
    }));

  it("ends with UNSUBSCRIBE; what is in flight is completed with the member that leaves [MQTT-3.10.4-3]", () =>
    withBroker(async ({ port, broker }) => {
      const [a, b] = (await join(port, ["a", "b"])) as [RawClient, RawClient];
      const publisher = await RawClient.connected(port);
      await say(publisher, 1, 1);
      const { messageId } = await a.next("publish");
      a.send({ cmd: "unsubscribe", messageId: 3, unsubscriptions: ["$share/g/t/+"] });
      await a.next("unsuback");
      await say(publisher, 2, 1);
      await b.next("publish");
      await b.next("publish");
      a.send(ack("puback", messageId));
      await a.settled();
      assert.equal(broker.status().shared[0]?.queued, 2);
      assert.deepEqual(payloads(a), ["1"]);
    }));

  it("with a name or filter that is none is refused with 128, and the others of its SUBSCRIBE are granted", () =>
    withBroker(async (site) => {
      const bad = ["$share/g", "$share/g/", "$share//t", "$share/+/t", "$share/"];
      for (const filter of bad) {
        const client = await RawClient.connected(site.port, { clientId: "x", clean: false });
        const subscriptions = [
          { topic: filter, qos: 1 as const },
          { topic: "t/1", qos: 1 as const },
        ];
        client.send({ cmd: "subscribe", messageId: 1, subscriptions });
        assert.deepEqual((await client.next("suback")).granted, [128, 1], filter);
        client.drop();
      }
      assert.deepEqual(site.broker.status().shared, []);
      await site.restart();
      assert.deepEqual(site.broker.status().shared, []);
    }));

  it("beyond sharedPerSessionMax is refused with 128, and one more filter that is not shared is granted", () =>
    withBroker(
      async ({ port }) => {
        const client = await RawClient.connected(port);
        for (const [topic, granted] of [
          ["$share/1/t", 1],
          ["$share/2/t", 1],
          ["$share/3/t", 128],
          ["$share/2/t", 1],
          ["t", 1],
        ] as const) {
          client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos: 1 }] });
          assert.deepEqual((await client.next("suback")).granted, [granted], topic);
        }
      },
      { sharedPerSessionMax: 2 },
    ));

  it("beyond sharedMax is refused with 128, and joining those there is not", () =>
    withBroker(
      async ({ port }) => {
        const [client] = (await join(port, ["a"])) as [RawClient];
        await join(port, ["b"]);
        const subscriptions = [{ topic: "$share/other/t", qos: 1 as const }];
        client.send({ cmd: "subscribe", messageId: 1, subscriptions });
        assert.deepEqual((await client.next("suback")).granted, [128]);
      },
      { sharedMax: 1 },
    ));
});

describe("a member of a shared group that leaves gives back what it has not acknowledged", () => {
  for (const qos of [1, 2] as const) {
    for (const clean of [true, false]) {
      it(`QoS ${qos}, ${clean ? "clean" : "persistent"}, when its connection is lost`, () =>
        withBroker(async ({ port, broker }) => {
          const [a, b] = (await join(port, ["a", "b"], { clean, qos })) as [RawClient, RawClient];
          const publisher = await RawClient.connected(port);
          await say(publisher, 6, qos);
          for (let i = 0; i < 3; i++) await a.next("publish");
          a.drop();
          for (let i = 0; i < 6; i++) await b.next("publish");
          assert.deepEqual(payloads(b).sort(), ["1", "2", "3", "4", "5", "6"]);
          assert.equal(broker.status().shared[0]?.givenBack, 3);
        }));
    }
  }

  it("when it says goodbye, when its session ends, and when another connection takes it over", () =>
    withBroker(async ({ port }) => {
      for (const way of ["disconnect", "clean session", "takeover"] as const) {
        const [a, b] = (await join(port, ["a", "b"], { clean: false })) as [RawClient, RawClient];
        const publisher = await RawClient.connected(port);
        await say(publisher, 2, 1);
        await a.next("publish");
        const first = await b.next("publish");
        b.send(ack("puback", first.messageId));
        if (way === "disconnect") a.send({ cmd: "disconnect" });
        else await RawClient.connected(port, { clientId: "a", clean: way === "clean session" });
        const given = await b.next("publish");
        assert.deepEqual(payloads(b).sort(), ["1", "2"], way);
        b.send(ack("puback", given.messageId));
        await b.settled();
        for (const each of [a, b, publisher]) each.drop();
        for (const clientId of ["a", "b"]) {
          (await RawClient.connected(port, { clientId, clean: true })).drop();
        }
      }
    }));

  it("after it has unsubscribed, when its connection ends", () =>
    withBroker(async ({ port }) => {
      const [a, b] = (await join(port, ["a", "b"])) as [RawClient, RawClient];
      const publisher = await RawClient.connected(port);
      await say(publisher, 1, 1);
      await a.next("publish");
      a.send({ cmd: "unsubscribe", messageId: 3, unsubscriptions: ["$share/g/t/+"] });
      await a.next("unsuback");
      await b.settled();
      assert.deepEqual(payloads(b), []);
      a.drop();
      assert.equal((await b.next("publish")).payload.toString(), "1");
    }));

  it("but not a QoS 2 message that it has, as PUBREC said: that one is completed", () =>
    withBroker(async ({ port, broker }) => {
      const [a, b] = (await join(port, ["a", "b"], { clean: false, qos: 2 })) as [
        RawClient,
        RawClient,
      ];
      const publisher = await RawClient.connected(port);
      await say(publisher, 1, 2);
      const { messageId } = await a.next("publish");
      a.send(ack("pubrec", messageId));
      await a.next("pubrel");
      a.drop();
      await until("it is gone", () => broker.status().shared[0]?.connected === 1);
      await b.settled();
      assert.deepEqual(payloads(b), []);
      const again = await RawClient.connected(port, { clientId: "a", clean: false });
      assert.equal((await again.next("pubrel")).messageId, messageId);
      again.send(ack("pubcomp", messageId));
      await again.settled();
      assert.deepEqual(payloads(again), []);
    }));

  it("and gets it again itself, with DUP and its packet identifier, when nobody else took it [MQTT-4.4.0-1]", () =>
    withBroker(async ({ port }) => {
      for (const qos of [1, 2] as const) {
        const [a] = (await join(port, ["a"], { clean: false, qos })) as [RawClient];
        const publisher = await RawClient.connected(port);
        await say(publisher, 2, qos);
        const first = await a.next("publish");
        await a.next("publish");
        a.drop();
        const again = await RawClient.connected(port, { clientId: "a", clean: false });
        const came = await again.next("publish");
        assert.deepEqual([came.messageId, came.dup], [first.messageId, true]);
        assert.equal((await again.next("publish")).dup, true);
        publisher.drop();
        again.drop();
        (await RawClient.connected(port, { clientId: "a", clean: true })).drop();
      }
    }));

  it("and is freed of a QoS 2 identifier whose message went to another, so that it drops no later one", () =>
    withBroker(async (site) => {
      for (const restart of [false, true]) {
        const [a, b] = (await join(site.port, ["a", "b"], { clean: false, qos: 2 })) as [
          RawClient,
          RawClient,
        ];
        const publisher = await RawClient.connected(site.port);
        await say(publisher, 1, 2);
        const { messageId } = await a.next("publish");
        a.drop();
        const given = await b.next("publish");
        b.send(ack("pubrec", given.messageId));
        await b.next("pubrel");
        if (restart) await site.restart("crash");
        const again = await RawClient.connected(site.port, { clientId: "a", clean: false });
        assert.equal((await again.next("pubrel")).messageId, messageId);
        again.send(ack("pubcomp", messageId));
        await again.settled();
        assert.deepEqual(payloads(again), []);
        for (const each of [again, b, publisher]) each.drop();
        for (const clientId of ["a", "b"]) {
          (await RawClient.connected(site.port, { clientId, clean: true })).drop();
        }
      }
    }));
});

describe("the queue of a shared group", () => {
  it("keeps what comes while no persistent member is connected, over a crash, for whoever comes first", () =>
    withBroker(async (site) => {
      for (const member of await join(site.port, ["a", "b"], { clean: false, qos: 2 })) {
        member.drop();
      }
      const publisher = await RawClient.connected(site.port);
      await say(publisher, 3, 1);
      await say(publisher, 3, 2);
      assert.equal(site.broker.status().shared[0]?.queued, 6);
      await site.restart("crash");
      const b = await RawClient.connected(site.port, { clientId: "b", clean: false });
      for (let i = 0; i < 6; i++) await b.next("publish");
      assert.deepEqual(payloads(b), ["1", "2", "3", "1", "2", "3"]);
    }));

  it("gives what was in flight when the gateway crashed to another; QoS 2 to the one who may have it, under its identifier", () =>
    withBroker(async (site) => {
      const [a] = (await join(site.port, ["a", "b"], { clean: false, qos: 2 })) as [RawClient];
      const publisher = await RawClient.connected(site.port);
      await say(publisher, 2, 2);
      const { messageId } = await a.next("publish");
      await site.restart("crash");
      const again = await RawClient.connected(site.port, { clientId: "a", clean: false });
      const came = await again.next("publish");
      assert.deepEqual([came.messageId, came.dup], [messageId, true]);
      assert.equal((await again.next("publish")).dup, false, "it was another's");
      assert.deepEqual(payloads(again), ["1", "2"]);
    }));

  it("does not forget over a crash that a member has a QoS 2 message, though an older one is not acknowledged", () =>
    withBroker(async (site) => {
      const [a, b] = (await join(site.port, ["a", "b"], { clean: true, qos: 2 })) as [
        RawClient,
        RawClient,
      ];
      const [keeper] = (await join(site.port, ["keeper"], { clean: false, qos: 2 })) as [RawClient];
      keeper.drop();
      await until("it is gone", () => site.broker.status().shared[0]?.connected === 2);
      const publisher = await RawClient.connected(site.port);
      await say(publisher, 2, 2);
      await a.next("publish");
      const { messageId } = await b.next("publish");
      b.send(ack("pubrec", messageId));
      await b.next("pubrel");
      await site.restart("crash");
      const again = await RawClient.connected(site.port, { clientId: "keeper", clean: false });
      await again.next("publish");
      await again.settled();
      assert.deepEqual(payloads(again), ["1"]);
    }));

  it("is dropped with the last member, and not with the last connection", () =>
    withBroker(async ({ port, broker }) => {
      const [a] = (await join(port, ["a"], { clean: false })) as [RawClient];
      a.drop();
      const publisher = await RawClient.connected(port);
      await say(publisher, 2, 1);
      assert.equal(broker.status().shared[0]?.queued, 2);
      (await RawClient.connected(port, { clientId: "a", clean: true })).drop();
      await until("the group is gone", () => broker.status().shared.length === 0);
      const [again] = (await join(port, ["a"], { clean: false })) as [RawClient];
      await again.settled();
      assert.deepEqual(payloads(again), []);
    }));

  it("is bounded: it drops the oldest that waits, or the new, counted", async () => {
    for (const [sharedWhenFull, expected] of [
      ["drop-oldest", ["4", "5", "6"]],
      ["drop-new", ["1", "2", "3"]],
    ] as const) {
      await withBroker(
        async ({ port, broker }) => {
          const [a] = (await join(port, ["a"], { clean: false })) as [RawClient];
          a.drop();
          await until("it is gone", () => broker.status().shared[0]?.connected === 0);
          const publisher = await RawClient.connected(port);
          await say(publisher, 6, 1);
          const again = await RawClient.connected(port, { clientId: "a", clean: false });
          for (let i = 0; i < 3; i++) await again.next("publish");
          await again.settled();
          assert.deepEqual(payloads(again), expected);
          assert.equal(broker.status().dropped["shared-queue-full"], 3);
          assert.equal(broker.status().shared[0]?.dropped, 3);
        },
        { queueMessagesMax: 3, sharedWhenFull },
      );
    }
  });

  it("passes over a member whose window is full, and over one that is not connected", () =>
    withBroker(
      async (site) => {
        const [a, b] = (await join(site.port, ["a", "b", "c"], { clean: false })) as RawClient[];
        const gone = (await join(site.port, ["c"], { clean: false }))[0] as RawClient;
        gone.drop();
        await until("it is gone", () => site.broker.status().shared[0]?.connected === 2);
        const publisher = await RawClient.connected(site.port);
        acknowledgeAll(b as RawClient);
        await say(publisher, 50, 1);
        await until("they have come", () => payloads(b as RawClient).length === 48);
        assert.equal(payloads(a as RawClient).length, 2);
      },
      { inflightMax: 2 },
    ));

  it("closes a member that leaves a message unacknowledged for too long, and gives it to another", () =>
    withBroker(
      async ({ port, broker }) => {
        const [a, b] = (await join(port, ["a", "b"])) as [RawClient, RawClient];
        const publisher = await RawClient.connected(port);
        acknowledgeAll(b);
        await say(publisher, 2, 1);
        await a.ended();
        await until("they have come", () => payloads(b).length === 2);
        assert.equal(broker.status().closed["shared message not acknowledged in time"], 1);
      },
      { sharedAckTimeoutMs: 500 },
    ));
});

describe("the strategy of a shared group", () => {
  it("sticky gives all to one, waits for it, and takes the next when it leaves", () =>
    withBroker(
      async ({ port, broker }) => {
        const [a, b] = (await join(port, ["a", "b"])) as [RawClient, RawClient];
        const publisher = await RawClient.connected(port);
        const stop = acknowledgeAll(a);
        await say(publisher, 100, 1);
        await until("they have come", () => payloads(a).length === 100);
        await until("all are acknowledged", () => broker.status().shared[0]?.queued === 0);
        assert.deepEqual(payloads(b), []);
        stop();
        await say(publisher, 3, 1);
        await a.next("publish");
        a.drop();
        for (let i = 0; i < 3; i++) await b.next("publish");
        assert.deepEqual(payloads(b), ["1", "2", "3"]);
      },
      { sharedStrategy: "sticky" },
    ));

  it("sticky leaves a member that is stuck for another", () =>
    withBroker(
      async ({ port }) => {
        const [a, b] = (await join(port, ["a", "b"])) as [RawClient, RawClient];
        const publisher = await RawClient.connected(port);
        acknowledgeAll(b);
        await say(publisher, 40, 1);
        await until("they have come", () => payloads(b).length === 8);
        assert.equal(payloads(a).length, 32);
      },
      { sharedGroups: [{ group: "g", strategy: "sticky" }], sharedStuckMs: 300 },
    ));

  it("hash-topic gives one topic to one member, in order, and moves it when that one leaves", () =>
    withBroker(
      async ({ port }) => {
        const members = await join(port, ["a", "b", "c"]);
        for (const member of members) acknowledgeAll(member);
        const publisher = await RawClient.connected(port);
        for (let i = 0; i < 300; i++) {
          publisher.send(publish(`t/${i % 20}`, `${i % 20}:${i}`, 1, i + 1));
        }
        await until("they have come", () => members.flatMap(payloads).length === 300);
        const homes = homesOf(members.map(payloads));
        assert.equal(homes.size, 20);
        for (const home of homes.values()) assert.equal(home.size, 1);
        assert.equal(new Set([...homes.values()].flatMap((home) => [...home])).size, 3);
        for (const member of members) assertInOrder(payloads(member));
      },
      { sharedGroups: [{ group: "g", strategy: "hash-topic" }] },
    ));

  it("hash-client gives what one client publishes to one member, in order, after a crash too", () =>
    withBroker(
      async (site) => {
        for (const member of await join(site.port, ["a", "b"], { clean: false })) member.drop();
        await sayAsTen(site.port);
        await site.restart("crash");
        const members = await Promise.all(
          ["a", "b"].map((clientId) => RawClient.connected(site.port, { clientId, clean: false })),
        );
        for (const member of members) acknowledgeAll(member);
        await until("they have come", () => members.flatMap(payloads).length === 200);
        for (const member of members) assertInOrder(payloads(member));
        // Whoever came back first was alone for a moment: what it took then may be another's from then on.
        const before = members.map((member) => payloads(member).length);
        await sayAsTen(site.port);
        await until("more have come", () => members.flatMap(payloads).length === 400);
        const since = members.map((member, i) => payloads(member).slice(before[i]));
        for (const home of homesOf(since).values()) assert.equal(home.size, 1);
        for (const came of since) assertInOrder(came);
      },
      { sharedStrategy: "hash-client" },
    ));
});

/** Connects clients, who join one group. */
async function join(
  port: number,
  clientIds: readonly string[],
  { clean = true, qos = 1 as 0 | 1 | 2, filter = "$share/g/t/+" } = {},
): Promise<RawClient[]> {
  const members: RawClient[] = [];
  for (const clientId of clientIds) {
    const member = await RawClient.connected(port, { clientId, clean });
    await subscribe(member, filter, qos);
    members.push(member);
  }
  return members;
}

/** Publishes "1", "2", ... and waits until they are acknowledged. */
async function say(publisher: RawClient, count: number, qos: 0 | 1 | 2): Promise<void> {
  for (let i = 1; i <= count; i++) publisher.send(publish("t/1", `${i}`, qos, i));
  for (let i = 1; i <= count && qos > 0; i++) {
    const { messageId } = await publisher.next(qos === 1 ? "puback" : "pubrec");
    if (qos === 2) publisher.send(ack("pubrel", messageId));
  }
  await publisher.settled();
}

/** One client publishes its name and a number, to a topic each. */
async function sayAs(port: number, clientId: string, count: number): Promise<void> {
  const client = await RawClient.connected(port, { clientId });
  for (let i = 0; i < count; i++) client.send(publish(`t/${i}`, `${clientId}:${i}`, 1, i + 1));
  for (let i = 0; i < count; i++) await client.next("puback");
}

/** Twenty messages of each of ten clients. */
async function sayAsTen(port: number): Promise<void> {
  for (let p = 0; p < 10; p++) await sayAs(port, `p${p}`, 20);
}

/** Acknowledges whatever has come and comes, until the returned function is called. */
function acknowledgeAll(client: RawClient): () => void {
  let seen = 0;
  const look = () => {
    for (; seen < client.received.length; seen++) {
      const came = client.received[seen];
      if (came?.cmd === "publish" && came.qos === 1) client.send(ack("puback", came.messageId));
    }
  };
  const timer = setInterval(look, 1);
  timer.unref();
  return () => clearInterval(timer);
}

/** For each key before the colon, which members got it. */
function homesOf(cameTo: readonly (readonly string[])[]): Map<string, Set<number>> {
  const homes = new Map<string, Set<number>>();
  for (const [i, came] of cameTo.entries()) {
    for (const payload of came) {
      const key = payload.split(":")[0] ?? "";
      homes.set(key, (homes.get(key) ?? new Set()).add(i));
    }
  }
  return homes;
}

function assertInOrder(came: readonly string[]): void {
  const last = new Map<string, number>();
  for (const payload of came) {
    const [key = "", number] = payload.split(":");
    assert.ok(Number(number) > (last.get(key) ?? -1), payload);
    last.set(key, Number(number));
  }
}
