import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FieldgateError } from "../../src/base/errors.ts";
import { type TestSite, withBroker } from "../support/broker.ts";
import { ack, payloads, publish, subscribe } from "../support/mqtt-words.ts";
import { RawClient } from "../support/raw-client.ts";
import { until } from "../support/until.ts";

describe("while the store has no room", () => {
  it("QoS 0 stays behind what is held of its publisher to the same topic, and others pass [MQTT-4.6.0-6]", () =>
    withBroker(async (site) => {
      const { port, broker } = site;
      const reader = await RawClient.connected(port, { clientId: "reader" });
      await subscribe(reader, "#", 0);
      const publisher = await RawClient.connected(port, { clientId: "p" });
      const makeRoom = fill(site);
      publisher.send(publish("a", "1", 1, 1), publish("a", "2", 0), publish("b", "3", 0));
      publisher.send(publish("c", "4", 2, 2), publish("a", "5", 0), publish("c", "6", 0));
      await reader.next("publish");
      await publisher.settled();
      assert.deepEqual([payloads(reader), broker.status().held], [["3"], 5]);
      makeRoom();
      await publisher.next("puback");
      await publisher.next("pubrec");
      await until("all are there", () => payloads(reader).length === 6);
      assert.deepEqual(payloads(reader), ["3", "1", "2", "4", "5", "6"]);
      publisher.send(ack("pubrel", 2), publish("a", "7", 0));
      await publisher.next("pubcomp");
      assert.equal((await reader.next("publish")).qos, 0);
      assert.equal(broker.status().held, 0);
    }));
});

describe("while nothing becomes durable", () => {
  it("no more of a client's QoS 0 waits behind its QoS 1 than may; others are served, and all is taken afterwards", () =>
    withBroker(
      async (site) => {
        const { port, broker } = site;
        const reader = await RawClient.connected(port, { clientId: "reader" });
        await subscribe(reader, "a", 0);
        const publisher = await RawClient.connected(port, { clientId: "p" });
        const release = site.hold();
        publisher.send(publish("a", "first", 1, 1));
        const payload = "x".repeat(1000);
        const flood = Buffer.concat(Array.from({ length: 50 }, () => packetOf("a", payload)));
        const bursts = 200;
        try {
          for (let i = 0; i < bursts; i++) publisher.send(flood);
          await until("it is not read", () => broker.status().paused === 1);
          const other = await RawClient.connected(port, { clientId: "other" });
          await other.settled();
          assert.ok(broker.status().accepted < 600, `${broker.status().accepted} were taken`);
        } finally {
          release();
        }
        await publisher.settled();
        assert.equal(broker.status().accepted, bursts * 50 + 1);
        assert.equal(payloads(reader)[0], "first");
      },
      { heldBytesMax: 262_144, outputBytesMax: 2 ** 26 },
    ));
});

/** The store takes nothing of QoS 1 and 2 until the returned function is called. */
function fill({ journal }: TestSite): () => void {
  const append = journal.append.bind(journal);
  journal.append = (message, ...rest) => {
    if (message.qos === 0) return append(message, ...rest);
    throw new FieldgateError("ERR_STORE_FULL", "filled by the test");
  };
  return () => {
    journal.append = append;
  };
}

/** A PUBLISH of QoS 0. */
function packetOf(topic: string, payload: string): Buffer {
  const length = 2 + topic.length + payload.length;
  const header = [0x30, (length & 127) | 128, length >> 7, 0, topic.length];
  return Buffer.from([...header, ...Buffer.from(topic + payload)]);
}
