import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { testListener, withBroker } from "../support/broker.ts";
import { publish, retained, subscribe } from "../support/mqtt-words.ts";
import { RawClient } from "../support/raw-client.ts";
import { until } from "../support/until.ts";
import { login, TestUsers } from "../support/users.ts";
import { dial, dialTcp } from "../support/wires.ts";

/** Published advisories on MQTT brokers that no other test replays. docs/security.md has the whole table. */
describe("what has brought down other brokers", () => {
  it("topics below $ of every kind close nobody else's connection (CVE-2018-12543, CVE-2024-42645)", () =>
    withBroker(async ({ port, broker }) => {
      const other = await RawClient.connected(port, { clientId: "other" });
      await subscribe(other, "#", 0);
      for (const topic of [
        "$",
        "$/",
        "$SYS",
        "$SYS/",
        "$SYSTEM",
        "$share/x",
        "$share",
        "$control/x",
      ]) {
        const client = await RawClient.connected(port, { clientId: "c" });
        client.send(publish(topic, "x", 0), retained(topic, "x", 0));
        client.send({ cmd: "pingreq" });
        await until(
          "it was answered",
          () => client.closed || client.received.at(-1)?.cmd === "pingresp",
        );
        client.drop();
      }
      await other.settled();
      assert.equal(other.received.filter(({ cmd }) => cmd === "publish").length, 0);
      assert.ok(broker.status().connections >= 1);
    }));

  it("a topic of 65,535 slashes, as topic, filter, will and share, costs others nothing (CVE-2019-11779, GHSA-52qw-whmv-87c5)", () =>
    withBroker(
      async ({ port, broker }) => {
        const other = await RawClient.connected(port, { clientId: "other" });
        const deep = "/".repeat(65_000);
        const publisher = await RawClient.connected(port, { clientId: "p" });
        publisher.send(publish(deep, "x", 0));
        await publisher.ended();
        assert.equal(broker.status().closed["topic has too many levels"], 1);
        for (const topic of [deep, `${deep}#`, `$share/g/${deep}`]) {
          const subscriber = await RawClient.connected(port, { clientId: "s" });
          subscriber.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos: 0 }] });
          const answers = () => subscriber.received.filter(({ cmd }) => cmd === "suback");
          await until("it is refused", () => subscriber.closed || answers().length > 0);
          for (const each of answers()) assert.deepEqual("granted" in each && each.granted, [128]);
          subscriber.drop();
        }
        const will = { topic: deep, payload: Buffer.from("x"), qos: 0 as const, retain: true };
        const dying = await RawClient.connected(port, { clientId: "w", will });
        dying.drop();
        await until("it is gone", () => broker.status().connections === 1);
        assert.equal(broker.status().retained, 0);
        await other.settled();
      },
      { connectBytesMax: 70_000 },
    ));

  it("20,000 filters full of wildcards are bounded, and a message still finds its way at once (wildcard bombs)", () =>
    withBroker(
      async ({ port }) => {
        const bomber = await RawClient.connected(port, { clientId: "bomber" });
        let granted = 0;
        for (let round = 0; round < 200; round++) {
          const subscriptions = Array.from({ length: 100 }, (_, i) => ({
            topic: `+/${round}-${i}/+/+/+/+/+/+/#`,
            qos: 0 as const,
          }));
          bomber.send({ cmd: "subscribe", messageId: 1, subscriptions });
          const answer = (await bomber.next("suback")).granted;
          granted += answer.filter((each) => each === 0).length;
        }
        assert.equal(granted, 1000);
        const client = await RawClient.connected(port, { clientId: "c" });
        client.send(publish("a/b/c/d/e/f/g/h/i", "x", 1, 1));
        await client.next("puback");
      },
      { subscriptionsMax: 1000 },
    ));

  it("a publisher that leaves between PUBLISH and its commit crashes nothing (CVE-2023-28366, CVE-2026-8741)", () =>
    withBroker(async (site) => {
      const { port, broker } = site;
      const release = site.hold();
      const clients = await Promise.all(
        Array.from({ length: 20 }, (_, i) => RawClient.connected(port, { clientId: `${i}` })),
      );
      for (const client of clients) client.send(publish("a", "x", 2, 1), publish("a", "y", 1, 2));
      await until("all were taken", () => broker.status().accepted === 40);
      for (const client of clients) client.drop();
      await until("they are gone", () => broker.status().connections === 0);
      release();
      const late = await RawClient.connected(port, { clientId: "late" });
      late.send(publish("a", "z", 1, 1));
      await late.next("puback");
    }));

  it("a takeover in each phase of a connection leaves one, and what it said before is not lost (CVE-2026-22040, CVE-2025-59946)", () =>
    withBroker(async ({ port, broker }) => {
      for (let round = 0; round < 20; round++) {
        const clients = await Promise.all(Array.from({ length: 5 }, () => RawClient.open(port)));
        for (const client of clients) {
          client.send({ cmd: "connect", clientId: "same", clean: false, keepalive: 0 });
          client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "a", qos: 1 }] });
          client.send(publish("a", "x", 1, 2));
        }
        await until("one is left", () => broker.status().connections === 1);
        for (const client of clients) client.drop();
        await until("none is left", () => broker.status().connections === 0);
      }
      assert.equal(broker.status().sessions, 1);
    }));

  it("WebSocket with thousands of headers, a subprotocol full of spaces, or less in it than MQTT announces (CVE-2024-37890, CVE-2021-32640, CVE-2026-25627)", () =>
    withBroker(
      async ({ port, broker }) => {
        const handshake = (more: string) =>
          "GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
          `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n${more}\r\n\r\n`;
        const headers = Array.from({ length: 1500 }, (_, i) => `${i}:`).join("\r\n");
        const spaces = `Sec-WebSocket-Protocol: b${" ".repeat(7000)}x`;
        for (const more of [headers, spaces]) {
          const socket = await dialTcp(port);
          socket.resume().write(handshake(more));
          await until("it is closed", () => socket.closed);
        }
        const short = await RawClient.connected(await dial("ws", port), { clientId: "short" });
        short.send([0x30, 0x80, 0x20, 0, 1, 97]);
        const other = await RawClient.connected(await dial("ws", port), { clientId: "other" });
        await other.settled();
        assert.equal(short.closed, false, "the rest may still come");
        assert.equal(broker.status().connections, 2);
        // By what counts as a header's length, which includes the ends of lines from Node 24 on.
        const { closed } = broker.status();
        const {
          "WebSocket without the subprotocol mqtt": without = 0,
          "HTTP header too long": long = 0,
        } = closed;
        assert.equal(without + long, 2);
        for (const each of [short, other]) each.drop();
      },
      { listeners: [testListener({ type: "ws" })] },
    ));

  it("a user without roles, or with roles that say nothing, may do nothing (CVE-2018-12550: an empty file of rules)", async () => {
    const users = await TestUsers.of({ ann: [], bob: ["empty"], eve: ["not configured"] });
    const none = { allow: [], deny: [] };
    await withBroker(
      async ({ port, broker }) => {
        for (const user of ["ann", "bob", "eve"]) {
          const client = await RawClient.connected(port, { clientId: user, ...login(user) });
          const subscriptions = ["#", "a", "$SYS/#", "$share/g/a"].map((topic) => ({
            topic,
            qos: 0 as const,
          }));
          client.send({ cmd: "subscribe", messageId: 1, subscriptions });
          assert.deepEqual((await client.next("suback")).granted, [128, 128, 128, 128]);
          client.send(retained("a", "x", 1, 1));
          await client.next("puback");
        }
        assert.equal(broker.status().retained, 0);
        assert.equal(broker.status().dropped["not allowed to publish"], 3);
      },
      {},
      { roles: [{ name: "empty", publish: none, subscribe: none }] },
      users.tools,
    );
  });

  it("a password that is wrong, empty, endless or of a user who is not there is refused with 4 (CVE-2018-12551)", async () => {
    const users = await TestUsers.of({ ann: [] });
    await withBroker(
      async ({ port, broker }) => {
        const words = [
          { username: "ann", password: Buffer.from("wrong") },
          { username: "ann", password: Buffer.from("ann-secret\0") },
          { username: "ann", password: Buffer.alloc(0) },
          { username: "ann", password: Buffer.alloc(10_000, 97) },
          { username: "ann" },
          { username: "__proto__", password: Buffer.from("x") },
          { username: "nobody", password: Buffer.from("nobody-secret") },
          { username: "", password: Buffer.from("x") },
        ];
        for (const each of words) {
          const client = await RawClient.open(port);
          client.send({ cmd: "connect", clientId: "c", clean: true, keepalive: 0, ...each });
          assert.equal((await client.next("connack")).returnCode, 4, JSON.stringify(each));
          await client.ended();
        }
        const { closed } = broker.status();
        assert.equal((closed["wrong user or password"] ?? 0) + (closed["no password"] ?? 0), 8);
      },
      {},
      { attempts: { ...SLOW, failuresFree: 100 } },
      users.tools,
    );
  });

  it("guessing is slowed for its address only, bounded, and the right password gets in afterwards", async () => {
    const users = await TestUsers.of({ ann: [] });
    await withBroker(
      async ({ port, broker, access }) => {
        const connack = async (password: string) => {
          const client = await RawClient.open(port);
          const words = { username: "ann", password: Buffer.from(password) };
          client.send({ cmd: "connect", clientId: "c", clean: true, keepalive: 0, ...words });
          const { returnCode } = await client.next("connack");
          client.drop();
          return returnCode;
        };
        const first = await Promise.all([1, 2, 3].map(() => connack("wrong")));
        assert.deepEqual(first, [4, 4, 4]);
        const begin = performance.now();
        assert.equal(await connack("ann-secret"), 0);
        assert.ok(performance.now() - begin >= 150, "it had to wait");
        const flood = await Promise.all(Array.from({ length: 30 }, () => connack("wrong")));
        assert.ok(flood.includes(3), flood.join());
        assert.ok((broker.status().closed["too many failed attempts"] ?? 0) > 0);
        assert.equal(access.status().slowedAddresses, 1);
        const quiet = await RawClient.connected(port, { clientId: "quiet" });
        await quiet.settled();
      },
      {},
      { attempts: SLOW },
      users.tools,
    );
  });
});

const SLOW = {
  ...{ failuresFree: 1, pauseFirstMs: 100, pauseMaxMs: 1000, waitMsMax: 1500 },
  ...{ addressesMax: 10, checksMax: 64, knownMax: 100 },
};
