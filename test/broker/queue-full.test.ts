import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { BrokerOptions } from "../../src/broker/broker-options.ts";
import { type TestSite, withBroker } from "../support/broker.ts";
import { payloads, publish, subscribe } from "../support/mqtt-words.ts";
import { RawClient } from "../support/raw-client.ts";

type Policy = BrokerOptions["queueWhenFull"];

const SHORT = "s".repeat(100);
const LONG = "l".repeat(1000);

/** Three messages fit; the window of one is taken by the first where the client is here. */
const BY_MESSAGES = { queueMessagesMax: 3 };
const BY_BYTES = { queueBytesMax: 1024 };

describe("the queue of a client that is away, full by messages", () => {
  const sent = ["1", "2", "3", "4", "5"];
  it("drops the oldest", () => checkAway(BY_MESSAGES, "drop-oldest", sent, ["3", "4", "5"], 2));
  it("drops the new", () => checkAway(BY_MESSAGES, "drop-new", sent, ["1", "2", "3"], 2));
  it("drops the new where it would disconnect, and keeps what it has", () =>
    checkAway(BY_MESSAGES, "disconnect", sent, ["1", "2", "3"], 2));
});

describe("the queue of a client that is away, full by bytes", () => {
  const many = Array.from({ length: 12 }, (_, i) => `${i} ${SHORT}`);
  it("drops the oldest, as many as one long message takes the place of", () =>
    checkAway(BY_BYTES, "drop-oldest", [...many, LONG, LONG, "last"], [LONG, "last"], 13));
  it("drops the new", () => checkAway(BY_BYTES, "drop-new", [LONG, SHORT, LONG], [LONG, SHORT], 1));
  it("drops the new where it would disconnect, and keeps what it has", () =>
    checkAway(BY_BYTES, "disconnect", [LONG, SHORT, LONG], [LONG, SHORT], 1));
});

for (const clean of [true, false]) {
  const kind = clean ? "in memory" : "on disk";
  describe(`the queue ${kind} of a client that is here and acknowledges nothing`, () => {
    for (const [name, limits, messages] of [
      ["messages", BY_MESSAGES, Array.from({ length: 8 }, (_, i) => `${i}`)],
      ["bytes", BY_BYTES, Array.from({ length: 8 }, () => LONG)],
    ] as const) {
      it(`full by ${name}, drops the oldest or the new, counted, and leaves the connection`, async () => {
        for (const queueWhenFull of ["drop-oldest", "drop-new"] as const) {
          await withBroker(
            async (site) => {
              const client = await here(site, clean);
              await say(site, messages);
              await client.settled();
              assert.ok((site.broker.status().dropped["queue-full"] ?? 0) > 0, queueWhenFull);
              assert.deepEqual(site.broker.status().closed, {});
              assert.equal(payloads(client).length, 1, "the window is one");
              const told = site.broker.desk.clients().find(({ clientId }) => clientId === "keeper");
              assert.equal(told?.dropped, site.broker.status().dropped["queue-full"]);
              assert.ok(
                (told?.queued ?? 0) > 0 && (told?.queuedBytes ?? 0) > 0,
                "what waits is shown",
              );
            },
            { ...limits, queueWhenFull, inflightMax: 1 },
          );
        }
      });

      it(`full by ${name}, closes the connection, counted, where so configured`, () =>
        withBroker(
          async (site) => {
            const client = await here(site, clean);
            await say(site, messages);
            await client.ended();
            assert.equal(site.broker.status().closed["queue full"], 1);
            assert.ok((site.broker.status().dropped["queue-full"] ?? 0) > 0);
          },
          { ...limits, queueWhenFull: "disconnect", inflightMax: 1 },
        ));
    }
  });
}

it("a full shared queue gives up as many short messages as one long one takes the place of", () =>
  withBroker(async (site) => {
    const member = await RawClient.connected(site.port, { clientId: "member", clean: false });
    await subscribe(member, "$share/g/a", 1);
    member.drop();
    await say(site, [...Array.from({ length: 12 }, () => SHORT), LONG, LONG, "last"]);
    const again = await RawClient.connected(site.port, { clientId: "member", clean: false });
    await again.next("publish");
    await again.next("publish");
    await again.settled();
    assert.deepEqual(payloads(again), [LONG, "last"]);
    assert.equal(site.broker.status().dropped["shared-queue-full"], 13);
  }, BY_BYTES));

async function checkAway(
  limits: Partial<BrokerOptions>,
  queueWhenFull: Policy,
  sent: readonly string[],
  expected: readonly string[],
  dropped: number,
): Promise<void> {
  await withBroker(
    async (site) => {
      const before = await here(site, false);
      before.drop();
      await say(site, sent);
      assert.deepEqual(site.broker.status().dropped, { "queue-full": dropped });
      const client = await RawClient.connected(site.port, { clientId: "keeper", clean: false });
      for (const _ of expected) await client.next("publish");
      await client.settled();
      assert.deepEqual(payloads(client), expected);
    },
    { ...limits, queueWhenFull },
  );
}

async function here({ port }: TestSite, clean: boolean): Promise<RawClient> {
  const client = await RawClient.connected(port, { clientId: "keeper", clean });
  await subscribe(client, "a", 1);
  return client;
}

/** Each in a commit of its own: PUBACK came before the next one goes. */
async function say({ port }: TestSite, messages: readonly string[]): Promise<void> {
  const publisher = await RawClient.connected(port, { clientId: "publisher" });
  for (const [i, message] of messages.entries()) {
    publisher.send(publish("a", message, 1, i + 1));
    await publisher.next("puback");
  }
  publisher.drop();
}
