import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { withBroker } from "../support/broker.ts";
import { checkAsBefore, memory } from "../support/memory.ts";
import { publish, retained, subscribe } from "../support/mqtt-words.ts";
import { RawClient } from "../support/raw-client.ts";
import { until } from "../support/until.ts";

const LONG = process.env["FIELDGATE_TEST_LONG"] !== undefined;
const MIB = 2 ** 20;

describe("memory", () => {
  it("is not taken by what a client announces before its CONNECT, or after it", () =>
    withBroker(async ({ port, broker }) => {
      const clients = await Promise.all(
        Array.from({ length: 200 }, async (_, i) => {
          if (i % 2 === 0) return RawClient.open(port);
          return RawClient.connected(port, { clientId: `${i}` });
        }),
      );
      const before = await memory();
      for (const [i, client] of clients.entries()) {
        // 16,000 bytes of CONNECT, or a megabyte of PUBLISH: what the bounds allow.
        if (i % 2 === 0) client.send([0x10, 0x80, 0x7d, 0, 4]);
        else client.send([0x30, 0xf0, 0xff, 0x3f, 0, 1, 97]);
      }
      const witness = await RawClient.connected(port, { clientId: "witness" });
      await witness.settled();
      const after = await memory();
      assert.equal(broker.status().connections, clients.length + 1, "nobody was refused");
      assert.ok(
        after.buffers - before.buffers < MIB,
        `${after.buffers - before.buffers} bytes more`,
      );
      assert.ok(after.resident - before.resident < 20 * MIB, "resident memory");
      for (const client of [...clients, witness]) client.drop();
    }));

  it("is not kept by small messages that wait for a client, each in a chunk of which the rest is for nobody", () =>
    withBroker(async ({ port, broker }) => {
      const deaf = await RawClient.connected(port, { clientId: "deaf" });
      await subscribe(deaf, "a", 1);
      const publisher = await RawClient.connected(port, { clientId: "publisher" });
      const before = await memory();
      for (let i = 1; i <= 500; i++) {
        publisher.send(publish("nobody", "x".repeat(60_000), 0), publish("a", "x", 1, i));
        await publisher.next("puback");
      }
      await deaf.settled();
      const [told] = broker.desk.clients().filter(({ clientId }) => clientId === "deaf");
      assert.equal(told?.queued, 500 - 32, "all but the window waits");
      const more = (await memory()).buffers - before.buffers;
      assert.ok(more < 22 * MIB, `${more} bytes more`);
    }));

  it("is not kept by shared messages that came back from members who left, each in a chunk of which the rest is for nobody", () =>
    withBroker(async ({ port, broker }) => {
      const members = await Promise.all(
        ["a", "b", "c", "d", "e", "f"].map(async (clientId) => {
          const member = await RawClient.connected(port, { clientId, clean: false });
          await subscribe(member, "$share/group/job", 1);
          return member;
        }),
      );
      const publisher = await RawClient.connected(port, { clientId: "publisher" });
      const before = await memory();
      const count = members.length * 32;
      for (let i = 1; i <= count; i++) {
        publisher.send(publish("nobody", "x".repeat(60_000), 0), publish("job", "x", 1, i));
        await publisher.next("puback");
      }
      for (const member of members) member.drop();
      await until("all came back", () => broker.status().shared[0]?.givenBack === count);
      const more = (await memory()).buffers - before.buffers;
      assert.ok(more < 2 * MIB, `${more} bytes more for ${count} messages`);
    }));

  it("is that of the wills alone, whatever came between two of them", () =>
    withBroker(async ({ port }) => {
      const others = await RawClient.connected(port, { clientId: "others" });
      const will = {
        topic: "gone",
        payload: Buffer.alloc(100, "x"),
        qos: 1,
        retain: false,
      } as const;
      const before = await memory();
      const clients: RawClient[] = [];
      for (let i = 0; i < 300; i++) {
        clients.push(await RawClient.connected(port, { clientId: `${i}`, will }));
        others.send(publish("nobody", "x".repeat(4000), 0));
        await others.settled();
      }
      const more = (await memory()).buffers - before.buffers;
      for (const client of [...clients, others]) client.drop();
      assert.ok(more < MIB, `${more} bytes more for 300 wills of 100`);
    }));

  it("is that of the retained messages alone, whatever came between two of them", () =>
    withBroker(async ({ port }) => {
      const publisher = await RawClient.connected(port, { clientId: "publisher" });
      const before = await memory();
      for (let i = 1; i <= 500; i++) {
        publisher.send(retained(`last/${i}`, "x".repeat(100), 1, i));
        publisher.send(publish("nobody", "x".repeat(4000), 0));
        await publisher.next("puback");
      }
      const more = (await memory()).buffers - before.buffers;
      assert.ok(more < MIB, `${more} bytes more for 500 messages of 100`);
    }));

  it(`and descriptors are after ${LONG ? 30_000 : 3000} connections as before`, () =>
    withBroker(async ({ port, broker }) => {
      const churn = async (count: number) => {
        for (let done = 0; done < count; done += 50) {
          await Promise.all(Array.from({ length: 50 }, (_, i) => comeAndGo(port, done + i)));
        }
        await until("all are gone", () => broker.status().connections === 0);
      };
      const connections = LONG ? 30_000 : 3000;
      // As many before: a leak grows with each round, while what an engine compiles and keeps in reserve does not.
      await churn(connections);
      const before = await memory();
      await churn(connections);
      checkAsBefore(before, await memory());
      assert.equal(broker.status().sessions, 0);
    }));
});

async function comeAndGo(port: number, index: number): Promise<void> {
  const client = await RawClient.connected(port, { clientId: `churn-${index}` });
  const subscriptions = [{ topic: `churn/${index}/#`, qos: 1 as const }];
  client.send({ cmd: "subscribe", messageId: 1, subscriptions });
  client.send(publish(`churn/${index}/x`, "x", 1, 2));
  await client.next("publish");
  if (index % 2 === 0) client.send({ cmd: "disconnect" });
  else client.drop();
  await client.ended();
}
