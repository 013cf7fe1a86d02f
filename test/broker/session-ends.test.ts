import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { FieldgateError } from "../../src/base/errors.ts";
import { jsonLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import type { BrokerOptions } from "../../src/broker/broker-options.ts";
import { levelPersistence } from "../../src/broker/level-persistence.ts";
import { TestSite } from "../support/broker.ts";
import { payloads, publish, subscribe } from "../support/mqtt-words.ts";
import { RawClient } from "../support/raw-client.ts";
import { SimClock } from "../support/sim-clock.ts";
import { until } from "../support/until.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

describe("a persistent session whose client stays away", () => {
  it("ends when the gateway has run so long without it, and what waited for it is counted", () =>
    staged({ sessionExpiryHours: 2 }, async ({ site, run, leaves, here }) => {
      await leaves("panel", "plant/#");
      const stays = await here("stays", "plant/#");
      await published(site, "plant/oven", 3);
      await run(2 * HOUR - MINUTE);
      assert.deepEqual(site.broker.desk.clients().at(-1)?.queued, 3);
      await run(2 * MINUTE);
      const { persistent, dropped, accepted } = site.broker.status();
      assert.deepEqual(persistent, {
        ...{ sessions: 1, away: 0, sessionsMax: 1000, sessionExpiryHours: 2, nearlyFull: false },
        ...{ expired: 1, forgotten: 0 },
      });
      assert.deepEqual(dropped, { "session-expired": 3 });
      assert.equal(accepted, 3);
      assert.deepEqual(payloads(stays), ["0", "1", "2"], "who is here has nothing to fear");
      assert.deepEqual(site.said("a session has expired"), [
        { clientId: "panel", away: "2 h", dropped: 3 },
      ]);
      await isNew(site, "panel");
    }));

  it("never ends by itself unless that is configured", () =>
    staged({}, async ({ site, run, leaves }) => {
      await leaves("panel", "plant/#");
      await run(5 * HOUR);
      assert.equal(site.broker.status().persistent.away, 1);
    }));

  it("grows old only while the gateway runs, over crashes, whatever year the clock shows", () =>
    staged({ sessionExpiryHours: 2 }, async ({ site, run, reboot, leaves }) => {
      await leaves("panel", "plant/#");
      await published(site, "plant/oven", 1);
      await run(HOUR + MINUTE);
      await reboot("crash", Date.UTC(2099, 0, 1));
      await run(30 * MINUTE);
      const [panel] = site.broker.desk.clients();
      const awayMs = panel?.awayMs ?? 0;
      assert.ok(awayMs >= 80 * MINUTE && awayMs <= 91 * MINUTE, `${awayMs}`);
      const year = new Date(panel?.awaySinceMs ?? 0).getUTCFullYear();
      assert.equal(year, 2023, "as the clock was when it left");
      await reboot("crash", Date.UTC(1971, 0, 1));
      await run(20 * MINUTE);
      assert.equal(site.broker.status().persistent.sessions, 1);
      await run(40 * MINUTE);
      assert.equal(site.broker.status().persistent.expired, 1);
    }));

  it("does not end in the first minutes after a start: clients come back first", () =>
    staged({ sessionExpiryHours: 1 }, async ({ site, run, reboot, leaves }) => {
      await leaves("panel", "plant/#");
      await run(HOUR - MINUTE);
      await reboot("stop");
      await run(9 * MINUTE);
      assert.equal(site.broker.status().persistent.sessions, 1);
      await run(2 * MINUTE);
      assert.equal(site.broker.status().persistent.expired, 1);
    }));

  it("is young again when it was here for a moment, though a crash follows", () =>
    staged({ sessionExpiryHours: 2 }, async ({ site, run, reboot, leaves }) => {
      await leaves("panel", "plant/#");
      await run(2 * HOUR - 5 * MINUTE);
      await leaves("panel", "plant/#");
      await site.journal.committed();
      await reboot("crash");
      await run(HOUR);
      assert.equal(site.broker.status().persistent.sessions, 1);
    }));

  it("takes along what waits for a shared group in which it was alone", () =>
    staged({ sessionExpiryHours: 1 }, async ({ site, run, leaves }) => {
      await leaves("worker", "$share/g/plant/#");
      await published(site, "plant/oven", 2);
      await run(HOUR + MINUTE);
      assert.deepEqual(site.broker.status().dropped, { "shared-group-ended": 2 });
      assert.deepEqual(site.broker.status().shared, []);
    }));

  it("has no date where the clock was never set", () =>
    staged({}, async ({ site, run, leaves }) => {
      site.wallIsSure = false;
      await leaves("panel", "plant/#");
      await run(MINUTE);
      const [panel] = site.broker.desk.clients();
      assert.deepEqual([panel?.awaySinceMs, (panel?.awayMs ?? 0) >= 58_000], [null, true]);
    }));
});

describe("a session that a technician forgets", () => {
  it("goes with its messages only when that is confirmed, and does not come back after a crash", () =>
    staged({}, async ({ site, run, reboot, leaves }) => {
      const forget = (...asked: [string, boolean]) => site.broker.desk.forget(...asked);
      await leaves("panel", "plant/#");
      await published(site, "plant/oven", 2);
      await run(MINUTE);
      const kept = { id: "panel", forgotten: false, messages: 2 };
      assert.deepEqual(await forget("panel", false), kept);
      assert.deepEqual(await forget("panel", true), { ...kept, forgotten: true });
      assert.deepEqual(site.broker.status().dropped, { "session-forgotten": 2 });
      assert.equal(site.broker.status().persistent.forgotten, 1);
      await reboot("crash");
      assert.equal(site.broker.status().persistent.sessions, 0);
      assert.deepEqual(site.journal.queueNames(), []);
      await published(site, "plant/oven", 1);
      await isNew(site, "panel");
    }));

  it("is not one that is in use, or that nobody has", () =>
    staged({}, async ({ site, here }) => {
      await here("panel", "plant/#");
      const code = (id: string) =>
        site.broker.desk.forget(id, true).then(
          () => "forgotten",
          (error: FieldgateError) => error.code,
        );
      assert.equal(await code("panel"), "ERR_CLIENT_CONNECTED");
      assert.equal(await code("stranger"), "ERR_NOT_THERE");
      assert.equal(site.broker.status().persistent.sessions, 1);
    }));

  it("makes room for another one where there were as many as may be", () =>
    staged({ sessionsMax: 2 }, async ({ site, leaves }) => {
      await RawClient.connected(site.port, { clientId: "clean", clean: true });
      await leaves("one", "plant/#");
      await leaves("two", "plant/#");
      assert.equal(site.broker.status().persistent.nearlyFull, true);
      assert.equal(await returnCode(site, "three"), 3);
      const [said] = site.said("a client is refused: no room for its session");
      assert.deepEqual([said?.["clientId"], said?.["sessionsMax"]], ["three", 2]);
      assert.match(String(said?.["todo"]), /clients forget ID.*mqtt\.sessionExpiryHours/);
      await site.broker.desk.forget("one", false);
      assert.equal(await returnCode(site, "three"), 0);
    }));
});

it("a session that its client ends by a clean one is counted with what waited for it", () =>
  staged({}, async ({ site, leaves }) => {
    await leaves("panel", "plant/#");
    await published(site, "plant/oven", 2);
    await RawClient.connected(site.port, { clientId: "panel", clean: true });
    assert.deepEqual(site.broker.status().dropped, { "session-ended": 2 });
  }));

it("subscriptions of a session that ended just before a crash are no client's", () =>
  staged({}, async ({ site, reboot }) => {
    const rows = site.journal.rows("aedes");
    const left = [{ topic: "plant/#", qos: 1 as const }];
    await levelPersistence(rows).addSubscriptions({ id: "ghost" }, left);
    await reboot("crash");
    await until("they are gone", async () => {
      const kept = levelPersistence(site.journal.rows("aedes"));
      return (await kept.subscriptionsByClient({ id: "ghost" })).length === 0;
    });
    await isNew(site, "ghost");
  }));

/** Its wall clock is set to what a reboot makes of it. */
class BootedClock extends SimClock {
  readonly #startMs: number;

  constructor(startMs = 1_700_000_000_000) {
    super();
    this.#startMs = startMs;
  }

  override wallMs(): number {
    return this.#startMs + this.monotonicMs();
  }
}

interface Stage {
  readonly site: TestSite & { said(message: string): Record<string, unknown>[] };
  /** Lets time pass. */
  run(ms: number): Promise<void>;
  reboot(how: "stop" | "crash", wallMs?: number): Promise<void>;
  /** Comes, subscribes at QoS 1, and goes. */
  leaves(clientId: string, filter: string): Promise<void>;
  here(clientId: string, filter: string): Promise<RawClient>;
}

/** A broker whose time is the test's. */
async function staged(
  options: Partial<BrokerOptions>,
  test: (stage: Stage) => Promise<void>,
): Promise<void> {
  const lines: Record<string, unknown>[] = [];
  const log = jsonLog({
    clock: systemClock,
    level: "info",
    write: (line) => lines.push(JSON.parse(line)),
  });
  const said = (message: string) =>
    lines
      .filter((line) => line["message"] === message)
      .map(({ time: _, level: __, message: ___, ...fields }) => fields);
  const site = Object.assign(new TestSite(options), { log, said });
  const reboot: Stage["reboot"] = async (how, wallMs) => {
    site.clock = new BootedClock(wallMs);
    await site.restart(how);
  };
  const run: Stage["run"] = async (ms) => {
    const clock = site.clock as BootedClock;
    await clock.run(clock.monotonicMs() + ms);
    await site.journal.committed();
  };
  const here: Stage["here"] = async (clientId, filter) => {
    const client = await RawClient.connected(site.port, { clientId, clean: false });
    await subscribe(client, filter, 1);
    return client;
  };
  const leaves: Stage["leaves"] = async (clientId, filter) => {
    const client = await here(clientId, filter);
    client.send({ cmd: "disconnect" });
    await client.ended();
    await until("it has left", () => site.broker.site.has(clientId) && !isHere(site, clientId));
  };
  await site.start();
  try {
    await reboot("stop");
    await test({ site, run, reboot, leaves, here });
  } finally {
    await site.stop();
  }
}

function isHere({ broker }: TestSite, clientId: string): boolean {
  return broker.desk.clients().some((each) => each.clientId === clientId && each.connected);
}

async function published({ port }: TestSite, topic: string, count: number): Promise<void> {
  const client = await RawClient.connected(port, { clientId: "publisher" });
  for (let i = 0; i < count; i++) {
    client.send(publish(topic, `${i}`, 1, i + 1));
    await client.next("puback");
  }
  client.drop();
}

async function returnCode({ port }: TestSite, clientId: string): Promise<number | undefined> {
  const client = await RawClient.open(port);
  client.send({ cmd: "connect", clientId, clean: false, keepalive: 0 });
  return (await client.next("connack")).returnCode;
}

/** Nothing of an earlier session comes to the client, nor what it was subscribed to. */
async function isNew({ port, broker }: TestSite, clientId: string): Promise<void> {
  const client = await RawClient.connected(port, { clientId, clean: false });
  const [connack] = client.received;
  assert.equal(connack?.cmd === "connack" && connack.sessionPresent, false);
  client.send(publish("plant/oven", "now", 1, 1));
  await client.next("puback");
  await client.settled();
  assert.deepEqual(payloads(client), []);
  const seen = broker.desk.clients().find((each) => each.clientId === clientId);
  assert.deepEqual(seen?.subscriptions, []);
}
