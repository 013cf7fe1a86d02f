import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Packet } from "mqtt-packet";
import { withBroker } from "../support/broker.ts";
import {
  ack,
  changed,
  kinds,
  payloads,
  publish,
  retained,
  subscribe,
} from "../support/mqtt-words.ts";
import { RawClient } from "../support/raw-client.ts";
import { until } from "../support/until.ts";

const KEEP = { clientId: "keeper", clean: false };

/** Of a PUBLISH, all that a redelivery must repeat, and whether it says that it is one. */
type Seen = readonly [payload: string, id: number | undefined, qos: number, retain: boolean];

describe("what a client has not acknowledged", () => {
  it("comes again in the order in which it was sent, retained and queued messages alike [MQTT-4.6.0-1]", () =>
    withBroker(async ({ port }) => {
      const publisher = await RawClient.connected(port);
      publisher.send(retained("r", "retained", 1, 1));
      await publisher.next("puback");
      const keeper = await RawClient.connected(port, KEEP);
      await subscribe(keeper, "a", 2);
      publisher.send(publish("a", "before", 2, 2));
      const sent = [seen(await keeper.next("publish"))];
      await subscribe(keeper, "r", 1);
      sent.push(seen(await keeper.next("publish")));
      publisher.send(publish("a", "after", 1, 3));
      sent.push(seen(await keeper.next("publish")));
      keeper.drop();
      for (const round of [1, 2]) {
        const again = await RawClient.connected(port, KEEP);
        await again.settled();
        const came = again.received.filter(({ cmd }) => cmd === "publish");
        assert.deepEqual(came.map(seen), sent, `reconnection ${round}`);
        assert.ok(came.every((each) => each.cmd === "publish" && each.dup));
        again.drop();
      }
    }));

  it("comes again as it was sent, though its subscription is lowered or gone by then [MQTT-4.4.0-1]", () =>
    withBroker(async ({ port }) => {
      for (const change of ["lowered to 0", "lowered to 1", "gone"] as const) {
        const keeper = await RawClient.connected(port, KEEP);
        await subscribe(keeper, "a", 2);
        const publisher = await RawClient.connected(port);
        publisher.send(publish("a", "x", 2, 1));
        const first = seen(await keeper.next("publish"));
        await changed(keeper, change);
        keeper.drop();
        const again = await RawClient.connected(port, KEEP);
        const came = await again.next("publish");
        assert.deepEqual([seen(came), came.dup], [first, true], change);
        again.send(ack("pubrec", came.messageId));
        again.send(ack("pubcomp", (await again.next("pubrel")).messageId));
        await again.settled();
        again.drop();
        publisher.drop();
      }
    }));

  it("is not told PUBREL on a new connection before its PUBREC is kept", () =>
    withBroker(async (site) => {
      const keeper = await RawClient.connected(site.port, KEEP);
      await subscribe(keeper, "a", 2);
      const publisher = await RawClient.connected(site.port);
      publisher.send(publish("a", "x", 2, 1));
      const { messageId } = await keeper.next("publish");
      await publisher.next("pubrec");
      const release = site.hold();
      keeper.send(ack("pubrec", messageId));
      await keeper.settled();
      keeper.drop();
      const again = await RawClient.connected(site.port, KEEP);
      again.send(ack("pubrec", messageId)); // a client may repeat it
      await again.settled();
      assert.deepEqual(kinds(again), ["connack", "pingresp"]);
      release();
      assert.equal((await again.next("pubrel")).messageId, messageId);
      await again.settled();
      assert.equal(kinds(again).filter((kind) => kind === "pubrel").length, 1);
    }));
});

describe("what waits for a session", () => {
  it("comes at the QoS of the subscription under which it was queued, though that is lowered or gone [MQTT-3.8.4-6]", () =>
    withBroker(
      async ({ port }) => {
        for (const change of ["lowered to 0", "gone"] as const) {
          const keeper = await RawClient.connected(port, KEEP);
          await subscribe(keeper, "a/+", 1);
          const publisher = await RawClient.connected(port);
          publisher.send(publish("a/b", "1", 2, 1), publish("a/b", "2", 2, 2));
          await publisher.next("pubrec");
          await publisher.next("pubrec");
          const first = await keeper.next("publish");
          await changed(keeper, change, "a/+");
          publisher.send(publish("a/b", "3", 0));
          await publisher.settled();
          keeper.send(ack("puback", first.messageId));
          await keeper.settled();
          const came = keeper.received.filter(({ cmd }) => cmd === "publish").map(seen);
          const qos = came.map(([payload, , each]) => `${payload} at ${each}`);
          const live = change === "gone" ? [] : ["3 at 0"];
          assert.deepEqual(qos, ["1 at 1", ...live, "2 at 1"], change);
          keeper.send(ack("puback", came.at(-1)?.[1]));
          await keeper.settled();
          keeper.drop();
          publisher.drop();
        }
      },
      { inflightMax: 1 },
    ));
});

describe("a QoS 2 message from a client", () => {
  it("is complete only when its identifier is free for good, though PUBREL is repeated on a new connection", () =>
    withBroker(async (site) => {
      const reader = await RawClient.connected(site.port, { clientId: "reader" });
      await subscribe(reader, "a", 1);
      const first = await RawClient.connected(site.port, KEEP);
      first.send(publish("a", "x", 2, 7));
      await first.next("pubrec");
      const release = site.hold();
      first.send(ack("pubrel", 7), ack("pubrel", 7));
      await first.settled();
      first.drop();
      const again = await RawClient.connected(site.port, KEEP);
      again.send(ack("pubrel", 7));
      await again.settled();
      assert.deepEqual(
        [kinds(first), kinds(again)].flat().filter((kind) => kind === "pubcomp"),
        [],
      );
      release();
      await again.next("pubcomp");
      await site.restart("crash");
      const third = await RawClient.connected(site.port, KEEP);
      const other = await RawClient.connected(site.port, { clientId: "reader" });
      await subscribe(other, "a", 1);
      third.send({ ...publish("a", "y", 2, 7), dup: true });
      await third.next("pubrec");
      assert.equal((await other.next("publish")).payload.toString(), "y", "7 is another message");
    }));

  it("leaves nothing under its identifier when its PUBREL comes before the PUBREC", () =>
    withBroker(async (site) => {
      const reader = await RawClient.connected(site.port, { clientId: "reader" });
      await subscribe(reader, "a", 1);
      for (const clean of [true, false]) {
        const hasty = await RawClient.connected(site.port, { clientId: `hasty${clean}`, clean });
        const release = site.hold();
        hasty.send(publish("a", "1", 2, 7), ack("pubrel", 7));
        await hasty.settled();
        release();
        await hasty.next("pubrec");
        hasty.send(publish("a", "2", 2, 7));
        await hasty.next("pubrec");
        await reader.next("publish");
        assert.equal((await reader.next("publish")).payload.toString(), "2", `clean ${clean}`);
      }
    }));

  it("goes on with a second connection that takes over in any phase of it, and is delivered once [MQTT-4.3.3-2]", () =>
    withBroker(async (site) => {
      const reader = await RawClient.connected(site.port, { clientId: "reader" });
      await subscribe(reader, "a", 1);
      const release = site.hold();
      const first = await RawClient.connected(site.port, KEEP);
      first.send(publish("a", "x", 2, 7));
      await first.settled();
      const second = await RawClient.connected(site.port, KEEP);
      second.send({ ...publish("a", "x", 2, 7), dup: true });
      await second.settled();
      assert.deepEqual(kinds(second), ["connack", "pingresp"], "not kept yet");
      release();
      await second.next("pubrec");
      const third = await RawClient.connected(site.port, KEEP);
      third.send({ ...publish("a", "x", 2, 7), dup: true });
      await third.next("pubrec");
      third.send(ack("pubrel", 7));
      await third.next("pubcomp");
      third.send(publish("a", "y", 2, 7));
      await third.next("pubrec");
      await until("both are there", () => payloads(reader).length === 2);
      assert.deepEqual(payloads(reader), ["x", "y"]);
    }));
});

function seen(came: Packet): Seen {
  assert.ok(came.cmd === "publish");
  return [came.payload.toString(), came.messageId, came.qos, came.retain];
}
