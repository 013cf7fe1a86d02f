import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { UplinkRuleConfig } from "../../src/config/schema.ts";
import { compileRules } from "../../src/uplink/rules.ts";

const IDENTITY = { gateway: "gw-a", site: "plant-7" };

describe("uplink rules", () => {
  it("let nothing leave that no rule matches", () => {
    check([], "plant/oven", null);
    check([{ match: "plant/#" }], "office/door", null);
  });

  it("are asked in order: the first one that matches decides", () => {
    const rules = [
      { match: "plant/+/fault", lane: "alarm", qos: 2 },
      { match: "plant/#", lane: "bulk" },
    ] as const;
    check(rules, "plant/oven/fault", "lane 1, QoS 2, plant/oven/fault");
    check(rules, "plant/oven/door", "lane 3, QoS 1, plant/oven/door");
  });

  it("number the lanes by priority: alarm, telemetry, bulk", () => {
    check([{ match: "#", lane: "alarm" }], "t", "lane 1, QoS 1, t");
    check([{ match: "#", lane: "telemetry" }], "t", "lane 2, QoS 1, t");
    check([{ match: "#", lane: "bulk" }], "t", "lane 3, QoS 1, t");
  });

  it("fill in topic, gateway and site, and leave braces inside a topic as they are", () => {
    const remote = (remoteTopic: string) => [{ match: "#", remoteTopic }];
    check(remote("sites/{site}/{gateway}/{topic}"), "a/b", "lane 2, QoS 1, sites/plant-7/gw-a/a/b");
    check(remote("{topic}"), "a/{site}/$&", "lane 2, QoS 1, a/{site}/$&");
  });

  it("keep $-topics here unless a rule names them", () => {
    check([{ match: "#" }], "$SYS/uptime", null);
    check([{ match: "+/uptime" }], "$SYS/uptime", null);
    check([{ match: "$SYS/#" }], "$SYS/uptime", "lane 2, QoS 1, $SYS/uptime");
  });

  it("say of a remote topic that it may not be published to", () => {
    const route = compile([{ match: "#", remoteTopic: "x/{topic}" }])("y".repeat(65_534));
    assert.match(route?.fault ?? "", /longer than 65535 bytes/);
  });

  it("are refused all at once, with what is wrong with each", () => {
    assert.throws(
      () =>
        compile([
          { match: "a/#/b" },
          { match: "fine/#" },
          { match: "#", remoteTopic: "{topik}" },
          { match: "#", remoteTopic: "all/#" },
        ]),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, "ERR_CONFIG_INVALID");
        assert.match(error.message, /rules\[0\].*"a\/#\/b".*at the end/);
        assert.doesNotMatch(error.message, /rules\[1\]/);
        assert.match(error.message, /rules\[2\].*\{topik\}/);
        assert.match(error.message, /rules\[3\].*"all\/#".*wildcards/);
        return true;
      },
    );
  });

  it("remember a bounded number of topics and decide the others anew", () => {
    const route = compile([{ match: "#" }], 2);
    const [a, b] = [route("a"), route("b")];
    assert.equal(route("a"), a, "remembered");
    route("c");
    assert.notEqual(route("a"), a, "the oldest was forgotten");
    assert.deepEqual(route("a"), a);
    assert.equal(route("b")?.remoteTopic, b?.remoteTopic);
  });
});

type Rules = ReadonlyArray<Partial<UplinkRuleConfig> & { readonly match: string }>;

function compile(rules: Rules, cachedTopicsMax?: number) {
  const complete = rules.map((rule) => ({
    lane: "telemetry" as const,
    remoteTopic: "{topic}",
    qos: 1 as const,
    ...rule,
  }));
  return compileRules(complete, IDENTITY, cachedTopicsMax);
}

/** Routes a topic, twice: the second answer comes from memory. */
function check(rules: Rules, topic: string, expected: string | null): void {
  const route = compile(rules);
  for (const answer of [route(topic), route(topic)]) {
    const seen =
      answer && `lane ${answer.lane}, QoS ${answer.qos}, ${answer.fault ?? answer.remoteTopic}`;
    assert.equal(seen, expected);
  }
}
