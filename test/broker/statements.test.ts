import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Packet } from "mqtt-packet";
import { withBroker } from "../support/broker.ts";
import { ack, kinds, payloads, publish, retained, subscribe } from "../support/mqtt-words.ts";
import { RawClient } from "../support/raw-client.ts";
import { until } from "../support/until.ts";

/** What MQTT 3.1.1 asks of a server beside its refusals; docs/mqtt.md says which statement is shown where. */
const KEEP = { clientId: "keeper", clean: false };

describe("answers", () => {
  it("carry the identifier of what they answer, for every packet that has one [MQTT-2.3.1-6] [MQTT-2.3.1-7] [MQTT-3.3.4-1] [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.10.4-4]", () =>
    withBroker(async ({ port }) => {
      const client = await RawClient.connected(port);
      const subscriptions = [{ topic: "b", qos: 0 as const }];
      client.send({ cmd: "subscribe", messageId: 0x1234, subscriptions });
      assert.equal((await client.next("suback")).messageId, 0x1234);
      client.send({ cmd: "unsubscribe", messageId: 0xfffe, unsubscriptions: ["b"] });
      assert.equal((await client.next("unsuback")).messageId, 0xfffe);
      client.send(publish("a", "0", 0), publish("a", "1", 1, 0xffff));
      assert.equal((await client.next("puback")).messageId, 0xffff);
      client.send(publish("a", "2", 2, 256));
      assert.equal((await client.next("pubrec")).messageId, 256);
      client.send(ack("pubrel", 256));
      assert.equal((await client.next("pubcomp")).messageId, 256);
      const answers = ["connack", "suback", "unsuback", "puback", "pubrec", "pubcomp"];
      assert.deepEqual(kinds(client), answers, "QoS 0 is answered by nothing");
    }));

  it("begin with CONNACK, whatever waits for the client; PINGREQ gets PINGRESP [MQTT-3.1.4-4] [MQTT-3.2.0-1] [MQTT-3.12.4-1]", () =>
    withBroker(async ({ port }) => {
      await away(port, "a", 1);
      const publisher = await RawClient.connected(port);
      publisher.send(publish("a", "x", 1, 1));
      await publisher.next("puback");
      const client = await RawClient.open(port);
      client.send({ cmd: "connect", keepalive: 0, ...KEEP }, { cmd: "pingreq" });
      await until("all came", () => client.received.length === 3);
      assert.equal(kinds(client)[0], "connack");
      assert.deepEqual(kinds(client).sort(), ["connack", "pingresp", "publish"]);
    }));

  it("to many filters are one SUBACK, each with its code, in their order [MQTT-3.8.4-4] [MQTT-3.9.3-1] [MQTT-3.9.3-2]", () =>
    withBroker(async ({ port }) => {
      const client = await RawClient.connected(port);
      const subscriptions = [
        { topic: "a", qos: 2 as const },
        { topic: "$share//a", qos: 1 as const },
        { topic: "b/+", qos: 0 as const },
        { topic: "#", qos: 1 as const },
      ];
      client.send({ cmd: "subscribe", messageId: 3, subscriptions });
      await client.settled();
      const subacks = client.received.filter(({ cmd }) => cmd === "suback");
      assert.deepEqual(
        subacks.map((each) => each.cmd === "suback" && each.granted),
        [[2, 128, 0, 1]],
      );
    }));
});

describe("what is sent to a client", () => {
  it("has an identifier that is in flight for nothing else, at QoS 0 none and no DUP [MQTT-2.3.1-4] [MQTT-2.3.1-5] [MQTT-4.3.1-1] [MQTT-4.3.2-1]", () =>
    withBroker(async ({ port }) => {
      const publisher = await RawClient.connected(port);
      for (let i = 1; i <= 10; i++) publisher.send(retained(`r/${i}`, "r", 1, i));
      for (let i = 1; i <= 10; i++) await publisher.next("puback");
      const keeper = await RawClient.connected(port, KEEP);
      await subscribe(keeper, "$share/g/s", 2);
      await subscribe(keeper, "q/#", 2);
      await subscribe(keeper, "r/+", 1);
      for (let i = 1; i <= 16; i++) {
        publisher.send(publish(i % 2 ? "q" : "s", "x", (i % 3) as 0 | 1 | 2, i));
      }
      await until("all came", () => payloads(keeper).length === 26);
      const came = keeper.received.filter(({ cmd }) => cmd === "publish") as Sent[];
      const [some, none] = [came.filter(({ qos }) => qos > 0), came.filter(({ qos }) => qos === 0)];
      assert.deepEqual([some.length, none.length], [21, 5]);
      assert.equal(new Set(some.map(({ messageId }) => messageId)).size, 21);
      assert.ok(none.every(({ messageId, dup }) => messageId === undefined && !dup));
      assert.ok(some.every(({ messageId, dup }) => (messageId ?? 0) > 0 && !dup));
    }));

  it("has DUP only if it is sent again, whatever its publisher said, and an identifier that was acknowledged is a new message [MQTT-3.3.1-3] [MQTT-4.3.2-2]", () =>
    withBroker(async ({ port }) => {
      const reader = await RawClient.connected(port, { clientId: "reader" });
      await subscribe(reader, "a", 1);
      const publisher = await RawClient.connected(port);
      for (const payload of ["1", "2"]) {
        publisher.send({ ...publish("a", payload, 1, 9), dup: true });
        await publisher.next("puback");
        const came = await reader.next("publish");
        assert.deepEqual([came.payload.toString(), came.dup], [payload, false]);
      }
    }));

  it("is only what its filters match, character by character [MQTT-3.3.2-3] [MQTT-4.7.3-4]", () =>
    withBroker(async ({ port }) => {
      const reader = await RawClient.connected(port, { clientId: "reader" });
      await subscribe(reader, "caf\u00e9/+", 0);
      const publisher = await RawClient.connected(port);
      const others = ["cafe\u0301/a", "CAF\u00c9/a", "caf\u00e9", "caf\u00e9/a/b", "/caf\u00e9/a"];
      for (const topic of [...others, "caf\u00e9/a", "caf\u00e9/"]) {
        publisher.send(publish(topic, topic, 0));
      }
      await publisher.settled();
      await reader.settled();
      assert.deepEqual(payloads(reader), ["caf\u00e9/a", "caf\u00e9/"]);
    }));

  it("is in the order of each publisher, whatever its QoS and the window [MQTT-4.6.0-5] [MQTT-4.6.0-6]", () =>
    withBroker(
      async ({ port }) => {
        for (const clean of [true, false]) {
          const reader = await RawClient.connected(port, { clientId: `r${clean}`, clean });
          await subscribe(reader, "a", 2);
          const publisher = await RawClient.connected(port, { clientId: "p" });
          for (let i = 1; i <= 60; i++) publisher.send(publish("a", `${i}`, i % 2 ? 1 : 2, i));
          await answering(reader, 60);
          const numbers = payloads(reader).map(Number);
          assert.deepEqual(
            numbers,
            [...numbers].sort((a, b) => a - b),
            `clean ${clean}`,
          );
          assert.equal(numbers.length, 60);
        }
      },
      { inflightMax: 3 },
    ));
});

describe("a session", () => {
  it("that is kept goes on with its client's id, with what came meanwhile [MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-3.1.3-2] [MQTT-4.1.0-1] [MQTT-4.5.0-1]", () =>
    withBroker(async ({ port }) => {
      await away(port, "a", 1);
      await away(port, "b", 1, "another");
      const publisher = await RawClient.connected(port);
      publisher.send(publish("a", "mine", 1, 1), publish("b", "another's", 1, 2));
      await publisher.next("puback");
      await publisher.next("puback");
      const again = await RawClient.connected(port, KEEP);
      await again.settled();
      assert.deepEqual([sessionPresent(again), payloads(again)], [true, ["mine"]]);
    }));

  it("that is clean begins with nothing and leaves nothing [MQTT-3.1.2-6] [MQTT-3.1.4-3] [MQTT-3.2.2-1] [MQTT-3.2.2-3] [MQTT-4.1.0-2]", () =>
    withBroker(async ({ port, broker }) => {
      await away(port, "a", 1);
      const publisher = await RawClient.connected(port);
      publisher.send(publish("a", "x", 1, 1));
      await publisher.next("puback");
      const clean = await RawClient.connected(port, { ...KEEP, clean: true });
      await subscribe(clean, "b", 1);
      publisher.send(publish("a", "y", 1, 2), publish("b", "z", 1, 3));
      await clean.next("publish");
      clean.send({ cmd: "disconnect" });
      await clean.ended();
      const again = await RawClient.connected(port, KEEP);
      await again.settled();
      assert.deepEqual([sessionPresent(clean), payloads(clean)], [false, ["z"]]);
      assert.deepEqual([sessionPresent(again), payloads(again)], [false, []]);
      assert.deepEqual(
        broker.desk.clients().find(({ clientId }) => clientId === "keeper")?.subscriptions,
        [],
      );
    }));

  it("ends a subscription by its very filter, many with one UNSUBACK, and what is published then does not come [MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.10.4-6]", () =>
    withBroker(async ({ port }) => {
      const client = await RawClient.connected(port, KEEP);
      for (const filter of ["a/+", "a/b", "c", "d"]) await subscribe(client, filter, 1);
      const unsubscriptions = ["a/#", "+/b", "c", "c", "d", "e"];
      client.send({ cmd: "unsubscribe", messageId: 5, unsubscriptions });
      client.send(...["c", "d", "a/b", "a/x"].map((topic) => publish(topic, topic, 0)));
      await client.settled();
      assert.deepEqual(payloads(client), ["a/b", "a/x"], "filters that match are others");
      assert.equal(kinds(client).filter((kind) => kind === "unsuback").length, 1);
      client.send({ cmd: "unsubscribe", messageId: 6, unsubscriptions: ["a/b"] });
      client.send(publish("a/b", "still by a/+", 1, 7));
      assert.equal((await client.next("publish")).payload.toString(), "still by a/+");
    }));
});

describe("a retained message", () => {
  it("is the last one of its topic, with its QoS, and outlives its publisher's session [MQTT-3.1.2-7] [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7]", () =>
    withBroker(async ({ port }) => {
      const publisher = await RawClient.connected(port);
      publisher.send(retained("a", "1", 2, 1), retained("a", "2", 1, 2), retained("b", "3", 1, 3));
      publisher.send(retained("b", "4", 0), publish("a", "not retained", 1, 4));
      for (let i = 1; i <= 3; i++) await publisher.next("puback");
      publisher.send({ cmd: "disconnect" });
      await publisher.ended();
      const reader = await RawClient.connected(port, { clientId: "reader" });
      await subscribe(reader, "+", 2);
      await reader.settled();
      const came = reader.received.filter(({ cmd }) => cmd === "publish") as Sent[];
      const said = came.map(({ topic, payload, qos }) => `${topic} ${payload} at ${qos}`);
      assert.deepEqual(said.sort(), ["a 2 at 1", "b 4 at 0"]);
    }));

  it("without a payload goes to subscribers, takes away the last one and is not kept; one without RETAIN takes away nothing [MQTT-3.3.1-10] [MQTT-3.3.1-11] [MQTT-3.3.1-12]", () =>
    withBroker(async (site) => {
      const { port, broker } = site;
      const live = await RawClient.connected(port, { clientId: "live" });
      await subscribe(live, "a", 1);
      const publisher = await RawClient.connected(port);
      publisher.send(retained("a", "1", 1, 1), publish("a", "", 1, 2));
      await publisher.next("puback");
      await publisher.next("puback");
      assert.equal(broker.status().retained, 1);
      publisher.send(retained("a", "", 1, 3), retained("never", "", 0));
      await publisher.next("puback");
      await until("all came", () => payloads(live).length === 3);
      assert.deepEqual([broker.status().retained, payloads(live)], [0, ["1", "", ""]]);
      await site.restart();
      assert.equal(site.broker.status().retained, 0);
    }));

  it("comes again when its subscription is made again, and messages go on coming meanwhile [MQTT-3.8.4-3]", () =>
    withBroker(async ({ port }) => {
      const client = await RawClient.connected(port);
      client.send(retained("a", "last", 1, 1));
      await client.next("puback");
      await subscribe(client, "a", 1);
      await subscribe(client, "a", 0);
      client.send(publish("a", "live", 1, 2));
      await client.next("puback");
      await client.settled();
      assert.deepEqual(payloads(client), ["last", "last", "live"]);
    }));
});

describe("a will", () => {
  for (const retain of [true, false]) {
    it(`is ${retain ? "" : "not "}retained as it asks, of a connection that was taken over, too; the will of who took over stays [MQTT-3.1.2-16] [MQTT-3.1.2-17]`, () =>
      withBroker(async ({ port, broker }) => {
        const reader = await RawClient.connected(port, { clientId: "reader" });
        await subscribe(reader, "w/+", 1);
        const will = (name: string) => ({
          ...{ topic: `w/${name}`, payload: Buffer.from(name), qos: 1 as const, retain },
        });
        const first = await RawClient.connected(port, { ...KEEP, will: will("first") });
        const second = await RawClient.connected(port, { ...KEEP, will: will("second") });
        await first.ended();
        assert.equal((await reader.next("publish")).payload.toString(), "first");
        await second.settled();
        assert.deepEqual([payloads(reader), broker.status().retained], [["first"], retain ? 1 : 0]);
        second.drop();
        await reader.next("publish");
        await reader.settled();
        assert.deepEqual(payloads(reader), ["first", "second"]);
        assert.equal(broker.status().retained, retain ? 2 : 0);
      }));
  }
});

type Sent = Extract<Packet, { cmd: "publish" }>;

/** Acknowledges what comes, step by step, until so many messages have come and are complete. */
async function answering(client: RawClient, count: number): Promise<void> {
  let at = 0;
  let complete = 0;
  await until("all came and are complete", () => {
    for (; at < client.received.length; at++) {
      const came = client.received[at];
      if (came?.cmd === "publish") {
        client.send(ack(came.qos === 1 ? "puback" : "pubrec", came.messageId));
        if (came.qos === 1) complete++;
      } else if (came?.cmd === "pubrel") {
        client.send(ack("pubcomp", came.messageId));
        complete++;
      }
    }
    return complete === count;
  });
}

async function away(port: number, filter: string, qos: 0 | 1 | 2, clientId = "keeper") {
  const client = await RawClient.connected(port, { ...KEEP, clientId });
  await subscribe(client, filter, qos);
  client.send({ cmd: "disconnect" });
  await client.ended();
}

function sessionPresent({ received: [first] }: RawClient): boolean | null {
  return first?.cmd === "connack" ? first.sessionPresent : null;
}
