import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { KeyBook } from "../../src/access/key-book.ts";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { Arrivals } from "../../src/broker/arrivals.ts";
import { NOBODY } from "../../src/broker/net-channel.ts";
import { NetListener } from "../../src/broker/net-listener.ts";
import { testListener, withBroker } from "../support/broker.ts";
import { RawClient } from "../support/raw-client.ts";
import { SimClock } from "../support/sim-clock.ts";
import { until } from "../support/until.ts";
import { login, TestUsers } from "../support/users.ts";
import { dialTcp } from "../support/wires.ts";

/** What a client may take of us before we know who it is. */
describe("a stranger", () => {
  it("has one time for its handshake and its CONNECT, from when it came", async () => {
    const clock = new SimClock();
    const sinceMs: number[] = [];
    const rates = { connectRate: 100, connectRatePerAddress: 100 };
    const limits = { connectionsMax: 10, connectionsPerAddressMax: 10, ...rates };
    const world = {
      ...{ clock, log: silentLog, arrivals: new Arrivals(limits, clock) },
      ...{ connectBytesMax: 1000, packetBytesMax: 1000, refused() {}, wallIsSure: () => true },
      accept(_channel: unknown, since: number) {
        sinceMs.push(since);
        return NOBODY;
      },
    };
    const options = { ...testListener({ type: "ws" }), name: "test" };
    const listener = new NetListener(options, world);
    await clock.run(1000);
    await listener.listen();
    const socket = connect({ host: "127.0.0.1", port: listener.port });
    await until("it has come", () => listener.status.sockets === 1);
    await clock.run(7000);
    socket.write(
      "GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
    );
    await until("its handshake is done", () => sinceMs.length === 1);
    assert.deepEqual(sinceMs, [1000]);
    socket.destroy();
    listener.close();
    await listener.end();
  });

  it("whose token waits for keys that do not come is told 3 in time, and closed", async () => {
    const silent = { read: () => new Promise<string>(() => {}) };
    const shelf = { get: async () => null, put: async () => {} };
    const tools = { clock: systemClock, log: silentLog };
    const keys = new KeyBook(silent, { shelf, pauseMs: 1 }, tools);
    await withBroker(
      async ({ port, broker }) => {
        const client = await RawClient.open(port);
        client.send({ cmd: "connect", clientId: "c", clean: true, keepalive: 0, ...TOKEN });
        assert.equal((await client.next("connack")).returnCode, 3);
        await client.ended();
        assert.deepEqual(broker.status().closed, { "credentials not checked in time": 1 });
        const other = await RawClient.connected(port, { clientId: "other" });
        await other.settled();
        other.drop();
      },
      { connectTimeoutMs: 300 },
      {
        tokens: {
          ...{ issuer: "i", audience: "a", userClaim: "sub", rolesClaim: "roles" },
          ...{ toleranceSeconds: 0, whenClockIsUnsure: "accept", keysRefreshSeconds: 3600 },
        },
      },
      // A stop would wait for the source, which never answers: only what is asked of it is passed on.
      { keys: Object.assign(keys, { start: async () => {}, stop: async () => {} }) },
    );
  });

  it("whose right goes while its will is being kept leaves no session, and throws out nobody", async () => {
    const users = await TestUsers.of({ ann: ["all"], bob: ["all"] });
    await withBroker(
      async (site) => {
        const { port, broker } = site;
        const bob = await RawClient.connected(port, { clientId: "bob", ...login("bob") });
        let tries = 0;
        site.journal.onWrite = () => {
          tries++;
          throw new Error("held by the test");
        };
        const ann = await RawClient.open(port);
        const will = { topic: "w", payload: Buffer.from("w"), qos: 1 as const, retain: false };
        const words = { clientId: "ann", clean: false, keepalive: 0, ...login("ann"), will };
        ann.send({ cmd: "connect", ...words });
        await until("it waits for the disk", () => tries > 0);
        await users.write({ bob: ["all"] });
        await ann.ended();
        site.journal.onWrite = () => {};
        await bob.settled();
        await site.journal.committed();
        await until("one is here", () => broker.status().connections === 1);
        assert.equal(broker.status().sessions, 1);
        await users.write({ ann: ["all"], bob: ["all"] });
        const again = await RawClient.connected(port, { clientId: "ann", ...login("ann") });
        await again.settled();
        for (const each of [again, bob]) each.drop();
      },
      {},
      { roles: [{ name: "all", publish: ALL, subscribe: ALL }], usersCheckSeconds: 3600 },
      users.tools,
    );
  });
});

describe("a flood of connections faster than allowed", () => {
  it("is turned away before a socket is made of each, counted, and ends with the flood", () =>
    withBroker(
      async ({ port, broker }) => {
        const inside = await RawClient.connected(port, { clientId: "inside" });
        const sockets = await Promise.all(Array.from({ length: 500 }, () => dialTcp(port)));
        const refused = () => broker.status().closed["too many new connections a second"] ?? 0;
        await until("all were answered", () => broker.status().connections + refused() >= 501);
        assert.deepEqual(Object.keys(broker.status().closed), [
          "too many new connections a second",
        ]);
        assert.ok(broker.status().connections < 400, `${broker.status().connections}`);
        await inside.settled();
        for (const socket of sockets) socket.destroy();
        await until("they are gone", () => broker.status().connections === 1);
        await until("the door is open again", async () => {
          const late = await dialTcp(port);
          const closes = once(late.resume(), "close").then(() => false);
          const isIn = await Promise.race([
            until("it is in", () => broker.status().connections === 2).then(() => true),
            closes,
          ]);
          late.destroy();
          return isIn;
        });
        inside.drop();
      },
      { connectRate: 40 },
    ));
});

const ALL = { allow: ["#"], deny: [] };

/** A token of a key that is not known; who verifies it has to fetch keys first. */
const TOKEN = {
  username: "",
  password: Buffer.from(
    [
      { alg: "ES256", kid: "k" },
      { sub: "ann", iss: "i", aud: "a", exp: 4_000_000_000 },
    ]
      .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
      .concat("AAAA")
      .join("."),
  ),
};
