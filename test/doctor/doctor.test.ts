import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { systemClock } from "../../src/base/system-clock.ts";
import { credentialChecks } from "../../src/doctor/credential-checks.ts";
import { examine } from "../../src/doctor/doctor.ts";
import { type Check, exitCodeOf, type Finding, isMeant } from "../../src/doctor/finding.ts";
import { type GatewayAnswer, gatewayChecks } from "../../src/doctor/gateway-checks.ts";
import { listenerChecks } from "../../src/doctor/listener-checks.ts";
import { screen } from "../../src/doctor/screen.ts";
import { configOf } from "../support/config.ts";
import { verdicts } from "../support/verdicts.ts";

const RUNNING = {
  exit: 0,
  reasons: [],
  uptimeMs: 60_000,
  pid: 1,
  steps: 0,
  lastStepMs: null,
  sessions: { sessions: 3, away: 2, sessionsMax: 10_000, nearlyFull: false },
  peers: null,
} as const;
const FINE: Finding = { id: "a.b", verdict: "fine", what: "well" };

describe("the doctor", () => {
  it("runs what is meant: a check by its name, by what is above it, or by one of its findings", () => {
    assert.ok(isMeant("uplink.dns", null));
    assert.ok(isMeant("uplink.dns", "uplink"));
    assert.ok(isMeant("uplink.dns", "uplink.dns"));
    assert.ok(isMeant("uplink", "uplink.dns"), "the check that finds it");
    assert.ok(!isMeant("uplink.dns", "uplink.tcp"));
    assert.ok(!isMeant("uplinks", "uplink"));
  });

  it("shows only the findings that are meant", async () => {
    const check: Check = { id: "a", run: async () => [FINE, { ...FINE, id: "a.c" }] };
    const other: Check = { id: "d", run: async () => assert.fail("was not asked for") };
    const found = await examine([check, other], "a.c", systemClock);
    assert.deepEqual(
      found.map(({ id }) => id),
      ["a.c"],
    );
  });

  it("says of a step that was not come to what has stopped before, or which there are", async () => {
    const stopped: Finding = { id: "a.tcp", verdict: "critical", what: "tcp fails" };
    const asked = async (...found: Finding[]) =>
      (await examine([{ id: "a", run: async () => found }], "a.tls", systemClock)).map(
        ({ ms: _, ...each }) => each,
      );
    const what = "was not come to";
    const unknown = { id: "a.tls", verdict: "unknown", what } as const;
    assert.deepEqual(await asked(FINE, stopped), [{ ...unknown, why: "a.tcp: tcp fails" }]);
    assert.deepEqual(await asked(FINE), [{ ...unknown, why: "there are a.b" }]);
  });

  it("takes a check that fails for one that cannot tell, and goes on", async () => {
    const broken: Check = { id: "broken", run: () => Promise.reject(new Error("no /proc")) };
    const found = await examine([broken, { id: "a", run: async () => [FINE] }], null, systemClock);
    assert.deepEqual(verdicts(found), { broken: "unknown", "a.b": "fine" });
    assert.equal(found[0]?.why, "no /proc");
  });

  it("does not wait for a check that never ends", async () => {
    const stuck: Check = { id: "stuck", run: () => new Promise(() => {}) };
    const hurried = { ...systemClock, sleep: () => Promise.resolve() };
    const found = await examine([stuck], null, hurried);
    assert.deepEqual(verdicts(found), { stuck: "unknown" });
  });

  it("exits with the worst: 0 fine, 1 warning, 2 critical, 3 when nothing could be told", () => {
    const of = (...all: Finding["verdict"][]) =>
      exitCodeOf(all.map((verdict) => ({ ...FINE, verdict })));
    assert.equal(of("fine", "unknown"), 0);
    assert.equal(of("fine", "warning"), 1);
    assert.equal(of("warning", "critical", "fine"), 2);
    assert.equal(of("unknown"), 3);
  });

  it("says below what is not fine why, and what to do, and colours only when asked", () => {
    const bad: Finding = { id: "x", verdict: "critical", what: "bad", why: "so", todo: "this" };
    const found = [{ ...FINE, why: "not shown", ms: 3.21 }, bad];
    assert.equal(
      screen(found, false),
      `ok  a.b      well (3.2 ms)
!!  x        bad
             so
             -> this

2 checked: 1 critical
`,
    );
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what colours are
    assert.match(screen(found, true), /\u001b\[31m!!/);
  });

  it("says that no gateway answers, and what a running one complains of", async () => {
    const asked = async (answer: GatewayAnswer) =>
      (await examine(gatewayChecks(answer, false), "gateway", systemClock))[0];
    assert.equal((await asked({ error: "ENOENT" }))?.verdict, "critical");
    const forbidden = await asked({ error: "you may not", isForbidden: true });
    assert.equal(forbidden?.verdict, "unknown", "who may not ask knows nothing of it");
    const complains = await asked({
      ...RUNNING,
      exit: 1,
      reasons: ["uplink waiting", "lane paused"],
    });
    assert.deepEqual(
      [complains?.verdict, complains?.why],
      ["warning", "uplink waiting\nlane paused"],
    );
    assert.equal((await asked(RUNNING))?.verdict, "fine");
  });

  it("warns of a clock that was set more than once, and cannot tell without a gateway", async () => {
    const asked = async (answer: GatewayAnswer) =>
      verdicts(await examine(gatewayChecks(answer, false), "clock", systemClock));
    assert.deepEqual(await asked(RUNNING), { "clock.jump": "fine" });
    const once = { ...RUNNING, steps: 1, lastStepMs: 1e9 };
    assert.deepEqual(await asked(once), { "clock.jump": "fine" }, "by NTP, after the start");
    assert.deepEqual(await asked({ ...once, steps: 2 }), { "clock.jump": "warning" });
    assert.deepEqual(await asked({ error: "ENOENT" }), { "clock.jump": "unknown" });
  });

  it("warns before there is no room for another session, and says how to make some", async () => {
    const asked = async (answer: GatewayAnswer) =>
      (await examine(gatewayChecks(answer, false), "sessions", systemClock))[0];
    assert.equal((await asked(RUNNING))?.verdict, "fine");
    const sessions = { sessions: 9000, away: 8000, sessionsMax: 10_000, nearlyFull: true };
    const full = await asked({ ...RUNNING, sessions });
    assert.deepEqual([full?.verdict, full?.what.slice(0, 13)], ["warning", "9000 of 10000"]);
    assert.match(full?.todo ?? "", /clients forget ID.*mqtt\.sessionExpiryHours/);
    assert.equal((await asked({ error: "ENOENT" }))?.verdict, "unknown");
  });

  it("tells of each peer whether it is in sync, and why not", async () => {
    const peer = {
      id: "gw-b",
      address: "10.0.0.12:7883",
      state: "connected",
      inSync: true,
      lagMs: 0,
      lastError: null,
    };
    const asked = async (answer: GatewayAnswer) =>
      examine(gatewayChecks(answer, true), "peers", systemClock);
    const found = await asked({
      ...RUNNING,
      peers: [peer, { ...peer, id: "gw-c", inSync: false, lastError: { error: "is silent" } }],
    });
    assert.deepEqual(verdicts(found), { "peers.gw-b": "fine", "peers.gw-c": "warning" });
    assert.equal(found[1]?.why, "is silent");
    assert.deepEqual(verdicts(await asked({ ...RUNNING, peers: [] })), { peers: "warning" });
    assert.deepEqual(verdicts(await asked({ error: "ENOENT" })), { peers: "unknown" });
  });

  it("warns of a password that everybody tries first, and does not show it", async () => {
    const asked = async (...endpoints: string[]) => {
      const checks = credentialChecks(configOf({ uplink: { endpoints } }));
      return examine(checks, null, systemClock);
    };
    for (const [endpoint, verdict] of [
      ["mqtt://admin:Admin@cloud", "warning"],
      ["mqtt://gw:gw@cloud", "warning"],
      ["mqtt://gw:nooPh4ee@cloud", "fine"],
      ["mqtt://gw@cloud", "fine"],
      ["mqtt://cloud", "fine"],
    ] as const) {
      const found = await asked("mqtt://other", endpoint);
      assert.deepEqual(verdicts(found), { "credentials.uplink": verdict }, endpoint);
      assert.doesNotMatch(JSON.stringify(found), /Admin|gw@/);
    }
  });

  it("warns of a listener beyond loopback that takes anybody", async () => {
    const config = configOf({
      listeners: [
        { name: "here", port: 1883 },
        { name: "there", host: "0.0.0.0", insecure: true, port: 1884, anonymous: true },
      ],
      access: { anonymousRoles: ["everything"] },
    });
    const found = await examine(listenerChecks(config), null, systemClock);
    assert.deepEqual(verdicts(found), { "listeners.here": "fine", "listeners.there": "warning" });
  });
});
