import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { FieldgateError } from "../../src/base/errors.ts";
import { type Log, silentLog } from "../../src/base/log.ts";
import type { DownConfig } from "../../src/config/schema.ts";
import { DownSite, type DownSiteOptions } from "../support/down-site.ts";
import { RawClient } from "../support/raw-client.ts";
import { ScriptedCommands } from "../support/scripted-commands.ts";
import { until } from "../support/until.ts";

const ends: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

describe("a command", () => {
  it("is delivered here, answered, and only then acknowledged", async () => {
    const { cloud, field } = await begin();
    const subscriber = await RawClient.connected(field.site.port);
    subscriber.send({
      cmd: "subscribe",
      messageId: 1,
      subscriptions: [{ topic: "commands/#", qos: 1 }],
    });
    await subscriber.next("suback");
    cloud.send("on", {
      user: { "fg-id": "7" },
      properties: { responseTopic: "answers/app", correlationData: Buffer.from("c7") },
    });
    const { topic, payload, qos } = await subscriber.next("publish");
    assert.deepEqual([topic, payload.toString(), qos], ["commands/pump", "on", 1]);
    await cloud.heard("puback 1");
    assert.deepEqual(cloud.told, ["answer accepted", "puback 1"]);
    const [answer] = cloud.answers;
    assert.equal(answer?.topic, "answers/app");
    assert.equal(answer?.properties?.correlationData?.toString(), "c7");
    const { time, ...rest } = cloud.results[0] ?? {};
    assert.match(String(time), /^\d{4}-/);
    assert.deepEqual(rest, {
      result: "accepted",
      id: "7",
      topic: "sites/plant-7/commands/pump",
      gateway: "gw-a",
      site: "plant-7",
    });
    subscriber.drop();
    checkBalance(field, { received: 1, accepted: 1 });
  });

  for (const qos of [1, 2] as const) {
    it(`of QoS ${qos} is not acknowledged before it is on disk`, async () => {
      const { cloud, field } = await begin();
      const release = field.site.hold();
      cloud.send("on", { qos, user: { "fg-id": "7" } });
      await until("taken", () => field.routed.length === 1);
      cloud.send("off", { messageId: 2, topic: "nobody/asked" });
      await until("both received", () => field.service.status().received === 2);
      assert.deepEqual(cloud.told, [], "nor is one behind it: acknowledgements come in order");
      release();
      await cloud.heard(`puback 2 ${0x90}`);
      assert.equal(cloud.told[0], `${qos === 1 ? "puback" : "pubrec"} 1`);
    });
  }

  it("of QoS 2 goes through all four packets, once", async () => {
    const { cloud, field } = await begin();
    cloud.send("on", { qos: 2 });
    await cloud.heard("pubrec 1");
    cloud.send("on", { qos: 2, dup: true });
    await cloud.heard("pubrec 1", 2);
    cloud.release(1);
    await cloud.heard("pubcomp 1");
    cloud.send("on", { qos: 2 });
    await cloud.heard("pubrec 1", 3);
    assert.deepEqual(field.payloads, ["on", "on"], "after PUBCOMP it is a new message");
    checkBalance(field, { received: 3, accepted: 2, duplicates: 1 });
  });

  it("keeps many others on the way to the disk, and their order", async () => {
    const { cloud, field } = await begin();
    for (let n = 1; n <= 60; n++) cloud.send(`${n}`, { messageId: n, user: { "fg-id": `${n}` } });
    await cloud.heard("puback 60");
    const numbers = Array.from({ length: 60 }, (_, index) => String(index + 1));
    assert.deepEqual(field.payloads, numbers);
    assert.deepEqual(
      cloud.told,
      numbers.map((n) => `puback ${n}`),
    );
  });

  it("reaches whoever listens here without a session: a device", async () => {
    const { cloud, field } = await begin();
    const heard: string[] = [];
    const end = field.site.broker.listen("commands/pump", ({ payload }) =>
      heard.push(Buffer.from(payload).toString()),
    );
    cloud.send("on", {});
    await cloud.heard("puback 1");
    assert.deepEqual(heard, ["on"]);
    end();
  });

  it("that comes while the gateway stops stays with the cloud", async () => {
    const { cloud, field } = await begin();
    cloud.send("on", {});
    cloud.send("twice", { messageId: 2, qos: 2 });
    cloud.release(3);
    await field.service.stop();
    const { received } = field.service.status();
    await until(`${received} told`, () => cloud.told.length === received);
  });

  it("that is on disk only after its deadline is counted", async () => {
    const { cloud, field } = await begin();
    const release = field.site.hold();
    const deadlineMs = Date.now() + 500;
    cloud.send("on", { user: { "fg-deadline": new Date(deadlineMs).toISOString() } });
    await until("taken", () => field.routed.length === 1);
    await until("too late", () => Date.now() > deadlineMs + 5);
    release();
    await cloud.heard("puback 1");
    assert.equal(field.service.status().late, 1);
  });
});

describe("the same command again", () => {
  it("is known by its identity, also after a crash and in a new session", async () => {
    const { cloud, field } = await begin();
    const asked = { user: { "fg-id": "7" }, properties: { responseTopic: "answers" } };
    cloud.send("on", asked);
    await cloud.heard("puback 1");
    await field.crash();
    await cloud.stands(2);
    cloud.send("on", { ...asked, messageId: 9, qos: 2 });
    await cloud.heard("pubrec 9");
    assert.deepEqual(
      cloud.results.map(({ result }) => result),
      ["accepted", "duplicate"],
    );
    assert.deepEqual(field.payloads, ["on"]);
  });

  it("is known by response topic and correlation data, unless these shall not count", async () => {
    const asked = { properties: { responseTopic: "a", correlationData: Buffer.from("1") } };
    for (const correlationIdentifies of [true, false]) {
      const { cloud, field } = await begin({ correlationIdentifies });
      cloud.send("on", asked);
      cloud.send("on", { ...asked, messageId: 2 });
      await cloud.heard("puback 2");
      assert.equal(field.routed.length, correlationIdentifies ? 1 : 2);
    }
  });

  it("is known without a name by packet identifier, DUP and content, and by nothing less", async () => {
    const { cloud, field } = await begin({}, 4);
    cloud.send("on", {});
    await cloud.heard("puback 1");
    await field.crash();
    cloud.sessionPresent = true;
    await until("back", () => field.service.status().state === "connected");
    cloud.send("on", { dup: true });
    await cloud.heard("puback 1", 2);
    assert.equal(field.service.status().duplicates, 1);
    for (const differs of [
      { dup: false },
      { dup: true, messageId: 2 },
      { dup: true, topic: OTHER },
    ]) {
      cloud.send("on", differs);
    }
    await until("all received", () => field.service.status().accepted === 3);
    assert.equal(field.routed.length, 4);
  });

  it("is not looked for by packet identifier in a new session", async () => {
    const { cloud, field } = await begin({}, 4);
    cloud.send("on", {});
    cloud.send("twice", { messageId: 2, qos: 2 });
    await cloud.heard("pubrec 2");
    cloud.broker.hangUpOnAll();
    await until("back", () => cloud.broker.visits.length >= 3 && cloud.subscribed.length === 2);
    cloud.send("on", { dup: true });
    cloud.send("twice", { messageId: 2, qos: 2, dup: true });
    await cloud.heard("pubrec 2", 2);
    assert.deepEqual(field.payloads, ["on", "twice", "on", "twice"]);
  });

  it("is forgotten when too many others came, and that is counted", async () => {
    const { cloud, field } = await begin({ identitiesMax: 3 });
    for (let n = 1; n <= 5; n++) cloud.send(`${n}`, { messageId: n, user: { "fg-id": `${n}` } });
    await cloud.heard("puback 5");
    await field.crash();
    await cloud.stands(2);
    const { identities, identitiesForgotten } = field.service.status();
    assert.deepEqual([identities, identitiesForgotten], [3, 0]);
    cloud.send("3", { messageId: 6, user: { "fg-id": "3" } });
    cloud.send("2", { messageId: 7, user: { "fg-id": "2" } });
    await cloud.heard("puback 7");
    assert.deepEqual(field.payloads, ["1", "2", "3", "4", "5", "2"]);
    assert.equal(field.service.status().identitiesForgotten, 1);
  });
});

describe("a power cut", () => {
  it("before the commit leaves a command unknown here: it comes again and is taken once", async () => {
    const { cloud, field } = await begin();
    field.site.hold();
    cloud.send("on", { qos: 2, user: { "fg-id": "7" } });
    await until("taken", () => field.routed.length === 1);
    await field.crash();
    cloud.sessionPresent = true;
    field.routed.length = 0;
    await until("back", () => field.service.status().state === "connected");
    assert.deepEqual(cloud.told, []);
    cloud.send("on", { qos: 2, dup: true, user: { "fg-id": "7" } });
    await cloud.heard("pubrec 1");
    assert.deepEqual(field.payloads, ["on"]);
  });

  it("between commit and acknowledgement leaves it known: it comes again and is only acknowledged", async () => {
    for (const named of [{ user: { "fg-id": "7" } }, {}]) {
      const { cloud, field } = await begin();
      cloud.send("on", { qos: 2, ...named });
      await cloud.heard("pubrec 1"); // which the cloud now takes for lost
      await field.crash();
      cloud.sessionPresent = true;
      await until("back", () => field.service.status().state === "connected");
      cloud.send("on", { qos: 2, dup: true, ...named });
      await cloud.heard("pubrec 1", 2);
      assert.deepEqual(field.payloads, ["on"]);
      cloud.release(1);
      await cloud.heard("pubcomp 1");
    }
  });
});

describe("a command that is refused", () => {
  const user = { "fg-id": "7" };
  const cases: [name: string, more: Parameters<ScriptedCommands["send"]>[1], told: string][] = [
    ["not-subscribed", { topic: "elsewhere" }, "puback 1 144"],
    ["too-large", { payload: "x".repeat(4097) }, "puback 1 131"],
    ["expired", { properties: { messageExpiryInterval: 0 } }, "puback 1 131"],
    ["expired", { user: { "fg-deadline": "2020-01-01T00:00:00Z" } }, "puback 1 131"],
    ["deadline-invalid", { user: { "fg-deadline": "tomorrow" } }, "puback 1 131"],
    ["expired", { qos: 2, properties: { messageExpiryInterval: 0 } }, "pubrec 1 131"],
  ];
  for (const [reason, more, told] of cases) {
    it(`says ${reason}, answers and forgets it (${told})`, async () => {
      const { cloud, field } = await begin();
      const properties = { responseTopic: "answers", ...more.properties };
      cloud.send("on", { ...more, user: { ...user, ...more.user }, properties });
      await cloud.heard(told);
      const { result, reason: said, final, id } = cloud.results[0] ?? {};
      assert.deepEqual([result, said, final, id], ["refused", reason, true, "7"]);
      assert.deepEqual(field.routed, []);
      checkBalance(field, { received: 1, refused: { [reason]: 1 } });
      cloud.send("in order", { messageId: 2, user });
      await cloud.heard("puback 2");
    });
  }

  it("has a topic here that is none, or the broker's own", async () => {
    const subscriptions = [
      { filter: "down/#", qos: 1 as const, localTopic: "{rest}" },
      { filter: "deep/#", qos: 1 as const, localTopic: "{topic}" },
    ];
    const { cloud, field } = await begin({ subscriptions });
    for (const topic of ["down", "down/$SYS/broker/uptime", `deep/${"x/".repeat(40)}`]) {
      cloud.send("x", { topic });
    }
    await cloud.heard(`puback 1 ${0x90}`, 3);
    assert.equal(field.service.status().refused["topic-invalid"], 3);
  });

  it("has a deadline by a wall clock that nobody has set", async () => {
    let sure = false;
    const { cloud, field } = await begin({}, 5, { wallIsSure: () => sure });
    const inAnHour = new Date(Date.now() + 3_600_000).toISOString();
    cloud.send("on", { user: { "fg-deadline": inAnHour } });
    await cloud.heard("puback 1 131");
    cloud.send("by span", { messageId: 2, properties: { messageExpiryInterval: 3600 } });
    await cloud.heard("puback 2");
    sure = true;
    cloud.send("on", { messageId: 3, user: { "fg-deadline": inAnHour } });
    await cloud.heard("puback 3");
    assert.deepEqual(field.payloads, ["by span", "on"]);
    assert.equal(field.service.status().refused["clock-unsure"], 1);
  });

  it("is our own message that went up", async () => {
    const { cloud, field } = await begin();
    const properties = { responseTopic: "answers" };
    cloud.send("x", { properties, user: { "fg-journal": field.site.journal.id, "fg-seq": "1" } });
    await cloud.heard("puback 1");
    assert.deepEqual([field.routed.length, cloud.answers.length], [0, 0]);
    assert.equal(field.service.status().refused["own-message"], 1);
  });
});

describe("a full store", () => {
  it("leaves commands with the cloud, and takes them in order when there is room", async () => {
    const { cloud, field } = await begin();
    let full = true;
    const error = new FieldgateError("ERR_STORE_FULL", "no room");
    field.refuses = ({ payload }) => (full && payload.length > 4 ? error : null);
    cloud.sessionPresent = true;
    const properties = { responseTopic: "answers" };
    cloud.send("a", { messageId: 1, user: { "fg-id": "a" }, properties });
    cloud.send("a long one", { messageId: 2, user: { "fg-id": "b" }, properties });
    cloud.send("c", { messageId: 3, user: { "fg-id": "c" }, properties });
    await cloud.heard("answer refused");
    await until("it gave up", () => field.service.status().failures >= 1);
    assert.deepEqual(cloud.told, ["answer accepted", "puback 1", "answer refused"]);
    assert.deepEqual(
      [cloud.results[1]?.["reason"], cloud.results[1]?.["final"]],
      ["store-full", false],
    );
    assert.equal(field.service.status().lastError?.["code"], "ERR_STORE_FULL");
    assert.deepEqual(field.payloads, ["a"], "the one behind it did not overtake it");
    full = false;
    const again = cloud.broker.visits.length;
    await until("back", () => cloud.broker.visits.length > again || connected(field));
    cloud.send("a long one", { messageId: 2, dup: true, user: { "fg-id": "b" }, properties });
    cloud.send("c", { messageId: 3, dup: true, user: { "fg-id": "c" }, properties });
    await cloud.heard("puback 3");
    assert.deepEqual(field.payloads, ["a", "a long one", "c"]);
    checkBalance(field, { received: 4, accepted: 3, refused: { "store-full": 1 } });
  });
});

describe("the session at the cloud", () => {
  it("is asked for again when it is gone, and that is said", async () => {
    const lines: string[] = [];
    const log: Log = {
      ...silentLog,
      part: () => log,
      warn: (message: string) => lines.push(message),
    };
    const { cloud, field } = await begin({}, 5, { log });
    await until("up", () => connected(field));
    cloud.broker.hangUpOnAll();
    await until("subscribed again", () => cloud.subscribed.length === 2 && connected(field));
    assert.equal(field.service.status().sessionsLost, 1);
    assert.equal(lines.filter((line) => line.includes("no session of ours")).length, 1);
    cloud.sessionPresent = true;
    cloud.broker.hangUpOnAll();
    await until("resumed", () => cloud.broker.visits.length === 3 && connected(field));
    assert.equal(cloud.subscribed.length, 2, "what stands is not asked for");
    assert.equal(field.service.status().sessionsLost, 1);
  });

  it("is asked for with its expiry, its window and its longest packet", async () => {
    const { cloud } = await begin();
    const { connect } = await cloud.stands();
    const { sessionExpiryInterval, receiveMaximum, maximumPacketSize } = connect.properties ?? {};
    assert.equal(connect.clean, false);
    assert.equal(connect.clientId, "plant-7-gw-a-down");
    assert.deepEqual([sessionExpiryInterval, receiveMaximum], [3600, 64]);
    assert.equal(maximumPacketSize, 2 * 4096 + 65_536);
  });

  it("loses the filters that are no longer wanted", async () => {
    const { cloud, field } = await begin();
    await until("up", () => connected(field));
    cloud.sessionPresent = true;
    await field.reconfigure({
      subscriptions: [{ filter: "other/#", qos: 1, localTopic: "{topic}" }],
    });
    await until("changed", () => connected(field));
    assert.deepEqual(cloud.unsubscribed, ["sites/plant-7/commands/#"]);
    assert.deepEqual(cloud.subscribed, ["sites/plant-7/commands/#", "other/#"]);
  });

  it("says which filters the cloud refused, and asks again the next time", async () => {
    const { cloud, field } = await begin({}, 5, {}, [0x87]);
    await until("refused", () => field.service.status().filtersRefused.length === 1);
    assert.deepEqual(field.service.status().filtersRefused, ["sites/plant-7/commands/#"]);
    cloud.grants = null;
    cloud.sessionPresent = true;
    cloud.broker.hangUpOnAll();
    await until("granted", () => field.service.status().filtersRefused.length === 0);
  });
});

describe("an answer", () => {
  it("goes to the configured topic under 3.1.1, where the envelope says nothing else", async () => {
    const { cloud, field } = await begin(
      { envelope: "json", replyTopic: "sites/{site}/answers/{rest}" },
      4,
    );
    cloud.send('{"id":"1","payload":"on"}', {});
    cloud.send('{"id":"1","payload":"on"}', { messageId: 2 });
    cloud.send('{"id":"2","replyTo":"mine","payload":{"speed":5}}', { messageId: 3 });
    cloud.send("on", { messageId: 4 });
    await cloud.heard("puback 4");
    assert.deepEqual(field.payloads, ["on", '{"speed":5}']);
    assert.deepEqual(
      cloud.answers.map(({ topic }, index) => [topic, cloud.results[index]?.["result"]]),
      [
        ["sites/plant-7/answers/pump", "accepted"],
        ["sites/plant-7/answers/pump", "duplicate"],
        ["mine", "accepted"],
        ["sites/plant-7/answers/pump", "refused"],
      ],
    );
    assert.equal(cloud.results[3]?.["reason"], "payload-invalid");
  });

  it("is not given where it would come back as a command, or where no topic is", async () => {
    const { cloud, field } = await begin();
    cloud.send("a", { properties: { responseTopic: "sites/plant-7/commands/x" } });
    cloud.send("b", { messageId: 2, properties: { responseTopic: "a/+" } });
    await cloud.heard("puback 2");
    assert.equal(cloud.answers.length, 0);
    assert.equal(field.service.status().answersFailed, 2);
    assert.equal(field.service.status().accepted, 2);
  });

  it("waits for the cloud's window, and its acknowledgement with it", async () => {
    const { cloud, field } = await begin({}, 5, {}, null, 1);
    cloud.acknowledgesAnswers = false;
    for (const n of [1, 2]) {
      cloud.send(`${n}`, { messageId: n, properties: { responseTopic: "answers" } });
    }
    await until("both kept", () => field.service.status().accepted === 2);
    await cloud.heard("puback 1");
    assert.deepEqual(cloud.told, ["answer accepted", "puback 1"]);
    cloud.acknowledgeAnswer(0);
    await cloud.heard("puback 2");
  });
});

const OTHER = "sites/plant-7/commands/valve";

async function begin(
  down: Partial<DownConfig> = {},
  version: 4 | 5 = 5,
  more: Partial<DownSiteOptions> = {},
  grants: number[] | null = null,
  receiveMaximum?: number,
): Promise<{ cloud: ScriptedCommands; field: DownSite }> {
  const cloud = await ScriptedCommands.start(version, receiveMaximum);
  cloud.grants = grants;
  ends.push(() => cloud.stop());
  const field = await DownSite.start({ endpoints: [cloud.broker.endpoint], down, ...more });
  ends.push(() => field.stop());
  await until("up", () => connected(field));
  return { cloud, field };
}

function connected(field: DownSite): boolean {
  return field.service.status().state === "connected";
}

interface Balance {
  readonly received: number;
  readonly accepted?: number;
  readonly duplicates?: number;
  readonly refused?: Record<string, number>;
}

/** received = accepted + duplicates + refused, and nothing waits. */
function checkBalance(field: DownSite, expected: Balance): void {
  const { received, accepted, duplicates, refused, waiting } = field.service.status();
  const some = Object.fromEntries(Object.entries(refused).filter(([, count]) => count > 0));
  assert.deepEqual(
    { received, accepted, duplicates, refused: some, waiting },
    { accepted: 0, duplicates: 0, refused: {}, ...expected, waiting: 0 },
  );
}
