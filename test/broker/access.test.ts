import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { AccessOptions } from "../../src/access/access.ts";
import type { BrokerOptions } from "../../src/broker/broker-options.ts";
import { LocalPublisher } from "../../src/broker/local-publisher.ts";
import { type TestSite, withBroker } from "../support/broker.ts";
import { payloads, publish, retained, subscribe } from "../support/mqtt-words.ts";
import { RawClient } from "../support/raw-client.ts";
import { until } from "../support/until.ts";
import { login, TestUsers } from "../support/users.ts";

const NONE = { allow: [], deny: [] };
const ROLES: AccessOptions["roles"] = [
  {
    name: "sensor",
    publish: { allow: ["plant/{user}/#"], deny: ["plant/+/command"] },
    subscribe: { allow: ["plant/{user}/command"], deny: [] },
  },
  {
    name: "screen",
    publish: NONE,
    subscribe: { allow: ["plant/#", "$SYS/#"], deny: ["plant/secret/#"] },
  },
  { name: "desk", publish: { allow: ["#"], deny: [] }, subscribe: { allow: ["#"], deny: [] } },
  { name: "nothing", publish: NONE, subscribe: NONE },
];
const USERS = {
  ann: ["sensor"],
  bob: ["sensor"],
  eve: [],
  screen: ["screen"],
  desk: ["desk"],
};

describe("a message that its publisher may not publish", () => {
  for (const qos of [0, 1, 2] as const) {
    it(`goes nowhere at QoS ${qos}, is acknowledged all the same [MQTT-3.3.5-2], and counted`, () =>
      check(async (site) => {
        const desk = await as(site, "desk");
        await subscribe(desk, "plant/#", 2);
        const ann = await as(site, "ann");
        ann.send(publish("plant/bob/x", "no", qos, qos === 0 ? undefined : 1));
        if (qos > 0) await ann.next(qos === 1 ? "puback" : "pubrec");
        ann.send(publish("plant/ann/command", "no", qos, qos === 0 ? undefined : 2));
        ann.send(publish("plant/ann/x", "yes", 1, 9));
        await until("it has come", () => payloads(desk).includes("yes"));
        assert.deepEqual(payloads(desk), ["yes"]);
        assert.equal(site.broker.status().dropped["not allowed to publish"], 2);
      }));
  }

  it("ends the connection where the configuration says so, and the will is judged on its own", () =>
    check(
      async (site) => {
        const desk = await as(site, "desk");
        await subscribe(desk, "plant/#", 0);
        const will = {
          topic: "plant/ann/gone",
          payload: Buffer.from("gone"),
          qos: 0,
          retain: false,
        };
        const ann = await as(site, "ann", { will: will as never });
        ann.send(publish("plant/bob/x", "no", 1, 1));
        await ann.ended();
        await until("the will has come", () => payloads(desk).length > 0);
        assert.deepEqual(payloads(desk), ["gone"]);
        assert.equal(site.broker.status().closed["not allowed to publish"], 1);
      },
      { whenDenied: "disconnect" },
    ));

  it("is not retained either", () =>
    check(async (site) => {
      const ann = await as(site, "ann");
      ann.send(retained("plant/bob/x", "no", 1, 1));
      await ann.next("puback");
      assert.equal(site.broker.status().retained, 0);
    }));

  it("does not take away what is retained", () =>
    check(async (site) => {
      const bob = await as(site, "bob");
      bob.send(retained("plant/bob/x", "yes", 1, 1));
      await bob.next("puback");
      const ann = await as(site, "ann");
      ann.send(retained("plant/bob/x", "", 1, 1));
      await ann.next("puback");
      assert.equal(site.broker.status().retained, 1);
    }));

  it("does not reach a listener within: a command to a device", () =>
    check(async (site) => {
      const heard: string[] = [];
      site.broker.listen("plant/ann/command", ({ payload }) => {
        heard.push(Buffer.from(payload).toString());
      });
      const ann = await as(site, "ann");
      ann.send(publish("plant/ann/command", "no", 1, 1));
      await ann.next("puback");
      const desk = await as(site, "desk");
      desk.send(publish("plant/ann/command", "yes", 1, 1));
      await desk.next("puback");
      await until("it was heard", () => heard.length > 0);
      assert.deepEqual(heard, ["yes"]);
    }));

  it("is refused when it comes down the uplink", () =>
    check(
      async (site) => {
        const publisher = new LocalPublisher("downlink", true);
        const message = (topic: string) => ({
          ...{ topic, payload: Buffer.from("x"), qos: 1 as const, retain: false },
          properties: null,
        });
        const denied = site.broker.takeDown(message("plant/bob/x"), publisher);
        assert.equal(denied.refusal?.code, "ERR_TOPIC");
        assert.match(denied.refusal?.message ?? "", /not allowed/);
        const taken = site.broker.takeDown(message("cloud/x"), publisher);
        assert.equal(taken.refusal, null);
        await taken.kept;
      },
      {
        downlinkRoles: ["cloud"],
        roles: [
          { name: "cloud", publish: { allow: ["cloud/#"], deny: [] }, subscribe: NONE },
          ...ROLES,
        ],
      },
    ));
});

describe("a message that another gateway of the site has taken", () => {
  it("comes to those who may receive it here, retained or not, and below $SYS to nobody", () =>
    check(async (site) => {
      const [screen, desk] = [await as(site, "screen"), await as(site, "desk")];
      await subscribe(screen, "plant/#", 1);
      await subscribe(desk, "plant/#", 1);
      await subscribe(screen, "$SYS/#", 1);
      const peer = new LocalPublisher("peer gw-b", true);
      for (const [topic, retain] of [
        ["plant/secret/x", true],
        ["plant/ann/x", false],
        ["$SYS/x", true],
        ["plant/#", false],
      ] as const) {
        const payload = Buffer.from(topic);
        const message = { topic, payload, qos: 1, retain, properties: null } as const;
        assert.equal(site.broker.takeFromPeer(message, peer, { lane: 14, wallMs: 1 }), null);
      }
      await until("both came", () => payloads(desk).length === 2);
      await screen.settled();
      assert.deepEqual(payloads(desk), ["plant/secret/x", "plant/ann/x"]);
      assert.deepEqual(payloads(screen), ["plant/ann/x"]);
      const later = await as(site, "screen", { clientId: "later" });
      await subscribe(later, "plant/#", 1);
      await later.settled();
      assert.deepEqual([payloads(later), site.broker.status().retained], [[], 1]);
    }));
});

describe("a will that its client may not publish", () => {
  it("is refused with 5 when it is left", () =>
    check(async (site) => {
      const will = { topic: "plant/bob/x", payload: Buffer.from("no"), qos: 0, retain: false };
      assert.equal(await answer(site, { ...login("ann"), will: will as never }), 5);
      assert.equal(site.broker.status().closed["not allowed to leave that will"], 1);
    }));

  it("is not published when the right has gone since", () =>
    check(async (site, users) => {
      const desk = await as(site, "desk");
      await subscribe(desk, "plant/#", 1);
      const will = { topic: "plant/ann/gone", payload: Buffer.from("no"), qos: 1, retain: false };
      const ann = await as(site, "ann", { will: will as never });
      await users.write({ ...USERS, ann: [] });
      ann.drop();
      await until(
        "it is dropped",
        () => site.broker.status().dropped["not allowed to publish"] === 1,
      );
      await desk.settled();
      assert.deepEqual(payloads(desk), []);
    }));

  it("is not published when its role is not configured any more", () =>
    check(async (site) => {
      const desk = await as(site, "desk");
      await subscribe(desk, "plant/#", 1);
      const will = { topic: "plant/ann/gone", payload: Buffer.from("no"), qos: 1, retain: true };
      const ann = await as(site, "ann", { will: will as never });
      site.access.replaceRoles(ROLES.filter(({ name }) => name !== "sensor"));
      ann.drop();
      const dropped = () => site.broker.status().dropped["not allowed to publish"];
      await until("it is dropped", () => dropped() === 1);
      await desk.settled();
      assert.deepEqual([payloads(desk), site.broker.status().retained], [[], 0]);
    }));

  for (const stays of [true, false]) {
    it(`is ${stays ? "" : "not "}published after a crash of the gateway when the right ${stays ? "is there" : "has gone"}`, () =>
      check(async (site, users) => {
        const will = { topic: "plant/ann/gone", payload: Buffer.from("no"), qos: 1, retain: true };
        await as(site, "ann", { will: will as never });
        if (!stays) users.text = users.text.replace(/^(ann:.*):sensor$/m, "$1:nothing");
        await site.restart("crash");
        assert.equal(site.broker.status().retained, stays ? 1 : 0);
        const { dropped } = site.broker.status();
        assert.equal(dropped["not allowed to publish"], stays ? undefined : 1);
      }));
  }

  it("is not published when the user is removed, which closes the connection", () =>
    check(async (site, users) => {
      const desk = await as(site, "desk");
      await subscribe(desk, "plant/#", 1);
      const will = { topic: "plant/ann/gone", payload: Buffer.from("no"), qos: 1, retain: false };
      const ann = await as(site, "ann", { will: will as never });
      const { ann: _, ...others } = USERS;
      await users.write(others);
      await ann.ended();
      assert.equal(site.broker.status().closed["not allowed here any more"], 1);
      await until(
        "it is dropped",
        () => site.broker.status().dropped["not allowed to publish"] === 1,
      );
      await desk.settled();
      assert.deepEqual(payloads(desk), []);
    }));
});

describe("a subscription that is not allowed", () => {
  it("is answered with 0x80, beside others that are granted", () =>
    check(async (site) => {
      const ann = await as(site, "ann");
      const topics = ["plant/bob/command", "plant/ann/command", "#", "$SYS/#", "plant/ann/+"];
      const asked = topics.map((topic) => ({ topic, qos: 1 as const }));
      ann.send({ cmd: "subscribe", messageId: 1, subscriptions: asked });
      assert.deepEqual((await ann.next("suback")).granted, [128, 1, 128, 128, 128]);
      assert.equal(site.broker.status().dropped["not allowed to subscribe"], 4);
    }));

  it("is refused with $share before it, whatever the group is called", () =>
    check(async (site) => {
      const screen = await as(site, "screen");
      for (const [topic, granted] of [
        ["$share/g/plant/#", 128],
        ["$share/g/plant/+/x", 128],
        ["$share/g/lab/#", 128],
        ["$share/plant/plant/secret/x", 128],
        ["$share/g/plant/a/#", 1],
      ] as const) {
        screen.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos: 1 }] });
        assert.deepEqual((await screen.next("suback")).granted, [granted], topic);
      }
    }));

  it("brings no retained message of what is denied within it", () =>
    check(async (site) => {
      const desk = await as(site, "desk");
      desk.send(retained("plant/secret/x", "secret", 1, 1), retained("plant/open", "open", 1, 2));
      await desk.next("puback");
      await desk.next("puback");
      const screen = await as(site, "screen");
      await subscribe(screen, "plant/#", 1);
      await until("it has come", () => payloads(screen).length > 0);
      await screen.settled();
      assert.deepEqual(payloads(screen), ["open"]);
      desk.send(publish("plant/secret/y", "secret", 1, 3), publish("plant/open", "more", 1, 4));
      await until("it has come", () => payloads(screen).length > 1);
      assert.deepEqual(payloads(screen), ["open", "more"]);
    }));

  it("to what the broker says of itself needs a rule that says $SYS", () =>
    check(async (site) => {
      site.broker.announce("$SYS/broker/x", "figure");
      const desk = await as(site, "desk");
      desk.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "$SYS/#", qos: 0 }] });
      assert.deepEqual((await desk.next("suback")).granted, [128]);
      const screen = await as(site, "screen");
      await subscribe(screen, "$SYS/#", 0);
      await until("it has come", () => payloads(screen).includes("figure"));
    }));
});

describe("rights that change", () => {
  it("count at once for a subscription that stands, and come back with the right", () =>
    check(async (site, users) => {
      const desk = await as(site, "desk");
      const screen = await as(site, "screen");
      await subscribe(screen, "plant/#", 1);
      const say = async (text: string) => {
        desk.send(publish("plant/a", text, 1, 1));
        await desk.next("puback");
      };
      await say("1");
      await users.write({ ...USERS, screen: ["nothing"] });
      await say("2");
      await users.write(USERS);
      await say("3");
      await until("it has come", () => payloads(screen).includes("3"));
      assert.deepEqual(payloads(screen), ["1", "3"]);
    }));

  it("count at once for one who publishes to the same topic again", () =>
    check(async (site, users) => {
      const desk = await as(site, "desk");
      await subscribe(desk, "#", 1);
      const ann = await as(site, "ann");
      ann.send(publish("plant/ann/x", "1", 1, 1));
      await ann.next("puback");
      await users.write({ ...USERS, ann: ["nothing"] });
      ann.send(publish("plant/ann/x", "2", 1, 2));
      await ann.next("puback");
      await desk.settled();
      assert.deepEqual(payloads(desk), ["1"]);
    }));

  it("count for other rules, too: nothing decided before is remembered", () =>
    check(async (site) => {
      const desk = await as(site, "desk");
      await subscribe(desk, "#", 1);
      const ann = await as(site, "ann");
      ann.send(publish("plant/ann/x", "1", 1, 1));
      await ann.next("puback");
      site.access.replaceRoles(ROLES.filter(({ name }) => name !== "sensor"));
      ann.send(publish("plant/ann/x", "2", 1, 2));
      await ann.next("puback");
      await desk.settled();
      assert.deepEqual(payloads(desk), ["1"]);
    }));

  it("count for a session whose client is away: nothing is kept for it that it may not have", () =>
    check(async (site, users) => {
      const screen = await as(site, "screen", { clean: false });
      await subscribe(screen, "plant/#", 1);
      screen.drop();
      const desk = await as(site, "desk");
      const say = async (text: string) => {
        desk.send(publish("plant/a", text, 1, 1));
        await desk.next("puback");
      };
      await say("kept while it might");
      await users.write({ ...USERS, screen: ["nothing"] });
      await say("not kept");
      const back = await as(site, "screen", { clean: false });
      await back.settled();
      assert.deepEqual(payloads(back), [], "what had waited is not given out either");
      assert.equal(site.broker.status().dropped["not allowed to receive"], 1);
      await users.write(USERS);
      await say("later");
      await until("it has come", () => payloads(back).length > 0);
      assert.deepEqual(payloads(back), ["later"]);
    }));

  for (const how of ["stop", "crash"] as const) {
    it(`count for sessions taken up after a ${how === "stop" ? "restart" : "crash"}`, () =>
      check(async (site, users) => {
        const screen = await as(site, "screen", { clean: false });
        await subscribe(screen, "plant/#", 1);
        await subscribe(screen, "$share/g/plant/a/#", 1);
        screen.drop();
        await until("it is gone", () => site.broker.status().connections === 0);
        await users.write({ ...USERS, screen: ["nothing"] });
        await site.restart(how);
        const desk = await as(site, "desk");
        desk.send(publish("plant/a", "no", 1, 1));
        await desk.next("puback");
        assert.equal(site.broker.status().shared.length, 0);
        const back = await as(site, "screen", { clean: false });
        await back.settled();
        assert.deepEqual(payloads(back), []);
        await users.write(USERS);
        desk.send(publish("plant/b", "yes", 1, 2));
        await until("it has come", () => payloads(back).includes("yes"));
        assert.equal(site.broker.status().shared.length, 1);
      }));
  }

  it("take a member out of a shared group, whose messages go to the others", () =>
    check(async (site, users) => {
      const a = await as(site, "screen", { clientId: "a" });
      const b = await as(site, "desk", { clientId: "b" });
      await subscribe(a, "$share/g/plant/a/#", 1);
      await subscribe(b, "$share/g/plant/a/#", 1);
      await users.write({ ...USERS, screen: ["nothing"] });
      const desk = await as(site, "desk", { clientId: "publisher" });
      for (let i = 1; i <= 10; i++) desk.send(publish("plant/a/x", `${i}`, 1, i));
      await until("they have come", () => payloads(b).length === 10);
      assert.deepEqual(payloads(a), []);
    }));

  it("close who uses a password that was changed", () =>
    check(async (site, users) => {
      const ann = await as(site, "ann");
      const bob = await as(site, "bob");
      users.text = users.text.replace(/^ann:.*\n/m, "");
      await users.write(USERS);
      await ann.ended();
      await bob.settled();
    }));
});

describe("a retained message whose publisher has lost the right, or is gone", () => {
  for (const restarts of [false, true]) {
    it(`is not given out any more${restarts ? ", after a restart either" : ""}, until it has it again`, () =>
      check(async (site, users) => {
        const ann = await as(site, "ann");
        const bob = await as(site, "bob");
        ann.send(retained("plant/ann/x", "of ann", 1, 1));
        bob.send(retained("plant/bob/x", "of bob", 1, 1));
        await Promise.all([ann.next("puback"), bob.next("puback")]);
        const { ann: _, ...others } = USERS;
        await users.write(others);
        await ann.ended();
        if (restarts) await site.restart();
        const screen = await as(site, "screen");
        await subscribe(screen, "plant/#", 1);
        await until("it has come", () => payloads(screen).length > 0);
        await screen.settled();
        assert.deepEqual(payloads(screen), ["of bob"]);
        await users.write(USERS);
        await subscribe(screen, "plant/ann/#", 1);
        await until("it has come", () => payloads(screen).includes("of ann"));
      }));
  }

  it("is nobody's any more once another one has published there, and goes when it is taken away", () =>
    check(async (site, users) => {
      const ann = await as(site, "ann");
      const desk = await as(site, "desk");
      ann.send(retained("plant/ann/x", "of ann", 1, 1), retained("plant/ann/y", "of ann", 1, 2));
      await ann.next("puback");
      await ann.next("puback");
      desk.send(retained("plant/ann/x", "of desk", 1, 1), retained("plant/ann/y", "", 1, 2));
      await desk.next("puback");
      await desk.next("puback");
      await users.write({ ...USERS, ann: ["nothing"] });
      const screen = await as(site, "screen");
      await subscribe(screen, "plant/#", 1);
      await until("it has come", () => payloads(screen).includes("of desk"));
      await screen.settled();
      assert.deepEqual(payloads(screen), ["of desk"]);
    }));
});

describe("a client id", () => {
  it("of another user's session is refused with 5; neither loses anything", () =>
    check(async (site) => {
      const ann = await as(site, "ann", { clientId: "shared", clean: false });
      await subscribe(ann, "plant/ann/command", 1);
      for (const clean of [true, false]) {
        assert.equal(await answer(site, { ...login("bob"), clientId: "shared", clean }), 5);
      }
      assert.equal(site.broker.status().closed["client id of another user"], 2);
      await ann.settled();
      ann.drop();
      await until("it is gone", () => site.broker.status().connections === 0);
      const desk = await as(site, "desk");
      desk.send(publish("plant/ann/command", "for ann", 1, 1));
      await desk.next("puback");
      assert.equal(await answer(site, { ...login("bob"), clientId: "shared", clean: true }), 5);
      await site.restart();
      assert.equal(await answer(site, { ...login("bob"), clientId: "shared", clean: false }), 5);
      const back = await as(site, "ann", { clientId: "shared", clean: false });
      await until("it has come", () => payloads(back).includes("for ann"));
    }));

  it("with wildcards or separators, or named as what every object has, opens nothing", () =>
    check(
      async (site) => {
        const ids = ["+", "a/b", "a+", "../x", "__proto__", "constructor", "toString", "$SYS"];
        for (const clientId of ids) {
          const eve = await as(site, "eve", { clientId });
          const plain = !/[+/]/.test(clientId);
          for (const topic of ["by/+/x", "by/#", "#", "by/a/x", "by/b/x", "by/a/b/x"]) {
            eve.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos: 0 }] });
            assert.deepEqual((await eve.next("suback")).granted, [128], `${clientId}: ${topic}`);
          }
          if (plain) await subscribe(eve, `by/${clientId}/x`, 0);
          eve.drop();
        }
      },
      {
        roles: [
          ...ROLES,
          { name: "own", publish: NONE, subscribe: { allow: ["by/{clientId}/x"], deny: [] } },
        ],
      },
      { ...USERS, eve: ["own"] },
    ));

  it("must be the user's own where the configuration says so", () =>
    check(
      async (site) => {
        for (const [clientId, code] of [
          ["ann", 0],
          ["ann-2", 0],
          ["annabel", 5],
          ["bob", 5],
          ["", 5],
        ] as const) {
          assert.equal(await answer(site, { ...login("ann"), clientId }), code, clientId);
        }
      },
      { clientIds: "own" },
    ));
});

async function check(
  test: (site: TestSite, users: TestUsers) => Promise<void>,
  access: Partial<AccessOptions> = {},
  roles: Readonly<Record<string, readonly string[]>> = USERS,
  options: Partial<BrokerOptions> = {},
): Promise<void> {
  const users = await TestUsers.of(roles);
  const all = { roles: ROLES, ...access };
  await withBroker((site) => test(site, users), options, all, users.tools);
}

type ConnectWords = Parameters<typeof RawClient.connected>[1];

async function as(site: TestSite, user: string, words: ConnectWords = {}): Promise<RawClient> {
  const client = await RawClient.connected(site.port, {
    ...{ clientId: user, ...login(user) },
    ...words,
  });
  return client;
}

/** The return code of CONNACK; the connection is closed again. */
async function answer(site: TestSite, words: ConnectWords): Promise<number | undefined> {
  const client = await RawClient.open(site.port);
  client.send({ cmd: "connect", clientId: "raw", clean: true, keepalive: 0, ...words });
  const { returnCode } = await client.next("connack");
  client.drop();
  return returnCode;
}
