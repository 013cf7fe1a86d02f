import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Arrival, wireProperties } from "../../src/uplink/arrival.ts";
import { readCommand } from "../../src/uplink/command.ts";
import { leftMs } from "../../src/uplink/command-deadline.ts";
import { openEnvelope } from "../../src/uplink/command-envelope.ts";
import { compileSubscriptions } from "../../src/uplink/subscriptions.ts";
import { downOptions } from "../support/down-options.ts";

const NAMES = { gateway: "gw-a", site: "s" };
const NOW = { wallMs: Date.parse("2026-06-01T12:00:00Z"), wallIsSure: true };

describe("a deadline", () => {
  const unsure = { ...NOW, wallIsSure: false };
  it("is the earlier of the expiry and the time of day", () => {
    assert.equal(leftMs(null, null, NOW), Number.POSITIVE_INFINITY);
    assert.equal(leftMs({ messageExpiryInterval: 5 }, null, NOW), 5000);
    assert.equal(leftMs(null, "2026-06-01T12:00:01.5Z", NOW), 1500);
    assert.equal(leftMs(null, "2026-06-01T14:00:01+02:00", NOW), 1000);
    assert.equal(leftMs({ messageExpiryInterval: 5 }, "2026-06-01T12:01Z", NOW), 5000);
    assert.equal(leftMs(null, "2026-06-01T11:59:59Z", NOW), -1000);
  });

  it("by time of day means nothing to who does not know the time; a time span does", () => {
    assert.equal(leftMs(null, "2026-06-01T12:00:01Z", unsure), "clock-unsure");
    assert.equal(leftMs({ messageExpiryInterval: 5 }, null, unsure), 5000);
  });

  it("is refused when it could be read in two ways", () => {
    for (const text of ["tomorrow", "2026-06-01", "2026-06-01T12:00:00", "1780315200", ""]) {
      assert.equal(leftMs(null, text, NOW), "deadline-invalid", text);
    }
    assert.equal(leftMs(null, "2026-13-01T12:00:00Z", NOW), "deadline-invalid");
  });
});

describe("an envelope", () => {
  const open = (text: string) => openEnvelope(Buffer.from(text));
  it("holds text, bytes or JSON, and says what it likes to", () => {
    const full = open('{"id":"7","deadline":"d","replyTo":"r","payload":"on","more":1}');
    assert.deepEqual(full, {
      payload: Buffer.from("on"),
      id: "7",
      deadline: "d",
      replyTo: "r",
    });
    assert.deepEqual(open('{"payloadBase64":"AAH/"}')?.payload, Buffer.from([0, 1, 255]));
    assert.equal(String(open('{"payload":{"a":[1]}}')?.payload), '{"a":[1]}');
    assert.equal(String(open('{"payload":""}')?.payload), "");
    assert.equal(String(open('{"payload":null}')?.payload), "null");
  });

  it("is nothing else", () => {
    for (const text of [
      "on",
      "[]",
      "7",
      "null",
      "{}",
      '{"id":7,"payload":"x"}',
      '{"payload":"x"',
    ]) {
      assert.equal(open(text), null, text);
    }
    assert.equal(open('{"id":"","payload":"x"}'), null);
    assert.equal(open('{"payloadBase64":"A"}'), null);
    assert.equal(open('{"payloadBase64":"AAH/","payload":"x"}'), null);
    assert.equal(openEnvelope(Buffer.from([0x22, 0xff, 0x22])), null);
  });
});

describe("a topic of the cloud", () => {
  const localTopic = (filter: string, template: string, topic: string) =>
    compileSubscriptions([{ filter, qos: 1, localTopic: template }], NAMES).place(topic)
      ?.localTopic;

  it("becomes one of ours by the first filter that matches", () => {
    assert.equal(localTopic("a/{site}/{gateway}/#", "c/{rest}", "a/s/gw-a/x/y"), "c/x/y");
    assert.equal(localTopic("a/+/set", "{gateway}/{rest}", "a/pump/set"), "gw-a/pump/set");
    assert.equal(localTopic("a/#", "{topic}", "a/{site}"), "a/{site}");
    assert.equal(localTopic("a/#", "c/{rest}", "b"), undefined);
  });
});

describe("the properties of a command", () => {
  it("go on to those here who get it", () => {
    const wire = wireProperties({
      payloadFormatIndicator: true,
      messageExpiryInterval: 258,
      contentType: "t",
      responseTopic: "r",
      correlationData: Buffer.from("c"),
      userProperties: { a: ["1", "2"] },
    });
    const expected = ["0101", "0200000102", "03000174", "08000172", "09000163"];
    const user = ["26000161000131", "26000161000132"];
    assert.equal(wire?.toString("hex"), [...expected, ...user].join(""));
    assert.equal(wireProperties({}), null);
  });

  it("name it by its id before anything else, whatever its topic", () => {
    const subscriptions = compileSubscriptions(
      [{ filter: "#", qos: 1, localTopic: "{topic}" }],
      NAMES,
    );
    const identity = (more: Partial<Arrival>) =>
      readCommand({ ...ARRIVAL, ...more }, downOptions(), subscriptions, "j", NOW).identity;
    const named = { userProperties: { "fg-id": "7" } };
    const asked = { responseTopic: "r", correlationData: Buffer.from("7") };
    assert.equal(identity({ properties: null }), null);
    assert.equal(identity({ properties: { responseTopic: "r" } }), null);
    assert.equal(identity({ properties: named }), identity({ properties: named, topic: "b" }));
    assert.equal(identity({ properties: { ...named, ...asked } }), identity({ properties: named }));
    assert.notEqual(identity({ properties: asked }), identity({ properties: named }));
    assert.equal(identity({ properties: named })?.length, 22);
  });
});

const ARRIVAL: Arrival = {
  topic: "a",
  payload: Buffer.from("x"),
  qos: 1,
  retain: false,
  duplicate: false,
  packetId: 1,
  properties: null,
};
