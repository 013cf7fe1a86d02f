import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { command } from "../../src/cli/uplink.ts";
import { runCommand } from "../support/run-command.ts";

const CONFIG = {
  gateway: { id: "gw-a", site: "plant-7" },
  uplink: {
    endpoints: ["mqtt://127.0.0.1"],
    rules: [
      { match: "plant/+/alarm", lane: "alarm", qos: 2, expirySeconds: 60 },
      { match: "plant/#", remoteTopic: "sites/{site}/{topic}" },
      { match: "+/up", lane: "bulk" },
      { match: "a/b/c/#" },
      { match: "long/#", remoteTopic: `${"x".repeat(65_530)}/{topic}` },
    ],
  },
};

describe("fieldgate uplink route", () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "fieldgate-route-"));
    const control = { socket: join(directory, "none.sock") };
    await writeFile(join(directory, "full.yaml"), JSON.stringify({ ...CONFIG, control }));
    await writeFile(join(directory, "bare.yaml"), JSON.stringify({ control }));
  });
  after(() => rm(directory, { recursive: true }));

  it("says where a topic leaves for, by which rule, and why by none before it", async () => {
    const { code, out } = await route("plant/oven/door");
    assert.equal(code, 0);
    assert.equal(
      out,
      `plant/oven/door leaves: rule 1 is the first that matches
  to         sites/plant-7/plant/oven/door
  lane       telemetry
  QoS        1
  expires    never by the rule
  rule 0     plant/+/alarm: level 3 is door, not alarm
  rule 1     plant/#: matches
by ${join(directory, "full.yaml")}: no gateway answers
`,
    );
    const alarm = (await route("plant/oven/alarm", { json: true })).out;
    const { to, rules, by } = JSON.parse(alarm);
    assert.equal(by, join(directory, "full.yaml"));
    assert.deepEqual(to, {
      rule: 0,
      lane: "alarm",
      remoteTopic: "plant/oven/alarm",
      qos: 2,
      expirySeconds: 60,
    });
    assert.equal(rules.length, 1, "the others are not asked");
  });

  it("says why a topic stays, rule by rule", async () => {
    const { code, out } = await route("a/b");
    assert.equal(code, 1);
    assert.match(out, /^a\/b stays here: no rule matches\n/);
    assert.match(out, /rule 0 +plant\/\+\/alarm: level 1 is a, not plant\n/);
    assert.match(out, /rule 2 +\+\/up: level 2 is b, not up\n/);
    assert.match(out, /rule 3 +a\/b\/c\/#: the topic has no level 3, the filter wants c\n/);
    assert.match((await route("x/up/y")).out, /\+\/up: the filter ends after level 2.* y\n/);
    assert.match((await route("$x/up")).out, /\+\/up: a wildcard at the beginning .*\$/);
    assert.match((await route("$fieldgate/gap")).out, /stays here: it is the gateway's own/);
    assert.match(
      (await route("long/er")).out,
      /stays here: rule 4 matches, but .*topic-invalid: the remote topic is longer/,
    );
  });

  it("works without an uplink", async () => {
    const { code, out } = await route("plant/oven/door", { file: "bare.yaml" });
    assert.equal(code, 1);
    assert.match(out, /^plant\/oven\/door stays here: no uplink is configured\nby /);
  });

  it("does not take a file for the gateway that was asked for", async () => {
    const socket = join(directory, "none.sock");
    await assert.rejects(run(["route", "plant/oven/door"], { socket }), { code: "ERR_CONTROL" });
  });

  it("refuses what nobody can publish to, and what it does not know", async () => {
    await assert.rejects(route("plant/#"), { code: "ERR_TOPIC" });
    await assert.rejects(route(""), { code: "ERR_TOPIC" });
    await assert.rejects(run(["fly"]), { code: "ERR_USAGE" });
    await assert.rejects(run(["route"]), { code: "ERR_USAGE" });
    await assert.rejects(run(["route", "a", "b"]), { code: "ERR_USAGE" });
  });

  function route(topic: string, how: RouteOptions = {}) {
    return run(["route", topic], how);
  }

  function run(
    rest: readonly string[],
    { json = false, file = "full.yaml", socket = null }: RouteOptions = {},
  ) {
    return runCommand(command, { configPath: join(directory, file), socket, json, rest });
  }
});

interface RouteOptions {
  readonly json?: boolean;
  readonly file?: string;
  readonly socket?: string | null;
}
