import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { describe, it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import { FRAME, frameOf, jsonFrame, PROTOCOL_VERSION } from "../../src/replica/frames.ts";
import { SafeJournal } from "../../src/replica/safe-journal.ts";
import { message, NOW } from "../support/journal-samples.ts";
import { type TestPeer, type TestPeerOptions, TestPeers } from "../support/peers.ts";
import { FaultyProxy } from "../support/proxy.ts";
import { until } from "../support/until.ts";

describe("replication over TLS", () => {
  it("copies journals both ways, and a peer in sync releases what a publisher waits for", () =>
    withPeers(async (peers) => {
      // On a machine that is busy a peer may fall silent meanwhile: then nothing is released.
      const [a, b] = await pair(peers, { whenAlone: "reject" });
      const publisher = new SafeJournal(a.journal, a.replication.release);
      const released: number[] = [];
      publisher.onCommit((seq) => {
        assert.ok(b.has(a) >= seq, `${seq} was released and the peer has ${b.has(a)}`);
        released.push(seq);
      });
      for (let n = 1; n <= 200; n++) publisher.append(message("t", "x".repeat(n * 20)), 1, NOW, []);
      assert.ok(publisher.pendingBytes > 0);
      await until("released", () => released.at(-1) === 200);
      await fill(b, 50);
      await until("copied back", () => a.has(b) === 50);
      assert.equal(publisher.pendingBytes, 0);
    }));

  it("notices a peer that has fallen silent within a second, says so, and goes on alone or not at all", () =>
    withPeers(async (peers) => {
      for (const whenAlone of ["accept", "reject"] as const) {
        const [a, b] = await pair(peers, { whenAlone }, whenAlone);
        const publisher = new SafeJournal(a.journal, a.replication.release);
        const beganMs = performance.now();
        await b.stop();
        await until("out of sync", () => a.status.isAlone);
        assert.ok(performance.now() - beganMs < 1000, "a second");
        assert.equal(a.status.counters.syncLost, 1);
        const append = () => publisher.append(message("t", "alone"), 1, NOW, []);
        if (whenAlone === "reject") {
          assert.throws(append, { code: "ERR_PEER_NONE" });
        } else {
          const seq = append();
          await until("released alone", () => publisher.durableSeq === seq);
        }
      }
    }));

  it("says that a peer's process has ended when nobody listens there after a broken connection, and never when it fell silent", () =>
    withPeers(async (peers) => {
      const [a, b] = await pair(peers);
      await b.stop();
      await until("ended", () => a.ended.includes("gw-b"));
      assert.equal(failures(a, "ERR_PEER_GONE") > 0, true);

      const c = await peers.start("gw-c");
      const proxy = await FaultyProxy.start(() => Number(c.replication.address.split(":").at(-1)));
      const address = `127.0.0.1:${proxy.port}`;
      peers.members.set([{ id: "gw-c", address, journal: c.journal.id }]);
      await until("in sync", () => a.status.inSync.includes("gw-c"));
      proxy.way = "blackhole";
      await until("silent", () => !a.status.inSync.includes("gw-c"));
      const before = failures(a, "ERR_PEER_GONE");
      await proxy.stop();
      await until("nobody listens", () => failures(a, "ERR_PEER_GONE") > before + 1);
      assert.deepEqual(a.ended, ["gw-b"]);
    }));

  it("brings a peer up to date that was away, from where it was", () =>
    withPeers(async (peers) => {
      const [a, b] = await pair(peers);
      await fill(a, 100);
      await until("copied", () => b.has(a) === 100);
      await b.replication.stop();
      await fill(a, 500);
      const later = await peers.start("gw-b");
      const replica = b.replicas.get(a.journal.id);
      assert.ok(replica);
      later.replicas.set(a.journal.id, replica);
      later.register();
      await until("caught up", () => later.has(a) === 600);
      assert.equal(later.status.counters.blocksKnown, 0, "nothing was sent twice");
      assert.equal(later.status.counters.seqsMissed, 0);
      await until("in sync", () => a.status.inSync.includes("gw-b"));
    }));

  it("keeps for a peer that is away what is bounded, and then it has a gap, which is counted", () =>
    withPeers(async (peers) => {
      const [a, b] = await pair(peers, { backlogBytesMax: 20_000 });
      await fill(a, 10);
      await until("copied", () => b.has(a) === 10);
      await b.replication.stop();
      const uplink = a.journal.cursor("uplink/telemetry");
      await fill(a, 300);
      uplink.move(a.journal.lastSeq - 5, 300);
      await until("forgotten", () => a.status.counters.cursorsForgotten === 1);
      await a.journal.tidy();
      assert.ok(a.journal.copies.trimmedSeq > 100, "what nobody needs is gone");
      const later = await peers.start("gw-b");
      const replica = b.replicas.get(a.journal.id);
      assert.ok(replica);
      later.replicas.set(a.journal.id, replica);
      later.register();
      await until("caught up", () => later.has(a) === 310);
      assert.equal(later.status.counters.seqsMissed, a.journal.copies.trimmedSeq - 10);
    }));

  it("tells how far a journal is dealt with, so that copies are trimmed and its origin too", () =>
    withPeers(async (peers) => {
      const [a, b] = await pair(peers);
      a.journal.cursor("uplink/telemetry");
      await fill(a, 50);
      await until("copied", () => b.has(a) === 50);
      const replica = b.replicas.get(a.journal.id);
      assert.ok(replica);
      // As the primary, which has delivered them from its copy, would.
      replica.cursor("uplink/telemetry").move(40, 40, { expired: 3 });
      const own = a.journal.cursor("uplink/telemetry");
      await until("the origin knows", () => own.seq === 40);
      assert.deepEqual([own.count, own.dropped], [40, { expired: 3 }]);
      await until("the copy may go", () => replica.cursor("origin").seq >= 40);
    }));
  it("a copy that is full takes more as soon as its gateway has told that it needs less, and hears of hand-overs meanwhile", () =>
    withPeers(async (peers) => {
      const [a, b] = await pair(peers, { replicaBytesMax: 20_000 });
      const own = a.journal.cursor("uplink/telemetry");
      await fill(a, 200);
      await until("full", () => b.status.counters.replicaFull > 0);
      await until("out of sync", () => a.status.isAlone);
      assert.ok(b.has(a) < 150, `${b.has(a)} of 200 are there`);
      const note = { is: "named", epoch: 7, lease: "4711" } as const;
      assert.equal(a.replication.office(b.id, note), true);
      await until("told", () => b.notes.length > 0);
      // What the copy has is in the cloud.
      own.move(b.has(a), b.has(a));
      await until("some more", () => b.has(a) > 150);
      own.move(200, 200 - own.count);
      await until("in sync", () => b.has(a) === 200 && !a.status.isAlone);
      const copied = b.replicas.get(a.journal.id)?.cursor("uplink/telemetry");
      await until("the copy knows", () => copied?.seq === 200);
      assert.equal(copied?.count, 200);
    }));
});

describe("what gateways tell each other of a hand-over", () => {
  it("comes behind what they know of positions, and cannot be told to one that is not connected", () =>
    withPeers(async (peers) => {
      const [a, b] = await pair(peers);
      await fill(a, 20);
      await until("copied", () => b.has(a) === 20);
      a.journal.cursor("uplink/telemetry").move(15, 15);
      const replica = b.replicas.get(a.journal.id);
      assert.ok(replica);
      const note = { is: "over", epoch: 7, lease: "4711" } as const;
      assert.equal(a.replication.office(b.id, note), true);
      await until("told", () => b.notes.length > 0);
      assert.deepEqual(b.notes, [{ gateway: "gw-a", ...note }]);
      assert.equal(replica.cursor("uplink/telemetry").seq, 15);
      await b.stop();
      await until("it is gone", () => a.status.inSync.length === 0);
      assert.equal(a.replication.office(b.id, note), false);
      assert.equal(a.replication.office("gw-z", note), false);
    }));
});

it("one that does not finish the handshake, or sends garbage, is let go, counted and logged once, and keeps nobody from stopping", () =>
  withPeers(async (peers) => {
    const warned: string[] = [];
    const log = {
      ...silentLog,
      part: () => ({ ...silentLog, warn: (line: string) => warned.push(line) }),
    };
    const a = await peers.start("gw-a", { connectTimeoutMs: 200, log: log as never });
    const address = { host: "127.0.0.1", port: Number(a.replication.address.split(":").at(-1)) };
    await Promise.all([letGo(connect(address)), letGo(connect(address))]);
    for (let n = 0; n < 20; n++) {
      const garbage = connect(address);
      garbage.write("GET / HTTP/1.0\r\n\r\n");
      await letGo(garbage);
    }
    await until("each is counted", () => failures(a, "ERR_PEER_CERTIFICATE") === 22);
    assert.deepEqual(warned, ["a peer was refused"]);
    const late = connect(address);
    await once(late, "connect");
    await Promise.all([a.stop(), letGo(late)]);
  }));

it("an address that opens connections without end gets a few, each of the others is counted, and peers elsewhere are taken all the same", () =>
  withPeers(async (peers) => {
    const a = await peers.start("gw-a", { connectionsPerAddressMax: 4, connectTimeoutMs: 20_000 });
    const port = Number(a.replication.address.split(":").at(-1));
    const flood = Array.from({ length: 40 }, () =>
      connect({ host: "127.0.0.1", port, localAddress: "127.0.0.2" }).on("error", () => undefined),
    );
    await until("all but a few are let go", () => failures(a, "ERR_PEER_CONNECTIONS") === 36);
    const b = await peers.start("gw-b");
    a.register();
    b.register();
    for (const one of [a, b]) await until("in sync", () => one.status.inSync.length === 1);
    for (const socket of flood) socket.destroy();
    await until("they are gone", () => failures(a, "ERR_PEER_CERTIFICATE") === 4);
    for (let n = 0; n < 4; n++) {
      const later = connect({ host: "127.0.0.1", port, localAddress: "127.0.0.2" });
      later.write("GET / HTTP/1.0\r\n\r\n");
      await letGo(later);
    }
    await until("they came to the handshake", () => failures(a, "ERR_PEER_CERTIFICATE") === 8);
    assert.equal(failures(a, "ERR_PEER_CONNECTIONS"), 36);
  }));

describe("a gateway that is no peer is refused, and nothing of it is kept:", () => {
  it("one whose certificate is another authority's", () =>
    refused({ authority: "other" }, "ERR_PEER_CERTIFICATE"));
  it("one with the certificate of another gateway", () =>
    refused({ certified: "gw-x" }, "ERR_PEER_CERTIFICATE"));
  it("one of another site", () => refused({ site: "plant-8" }, "ERR_PEER_SITE"));
  it("one with an older format", () => refused({ format: 0 }, "ERR_PEER_VERSION"));
  it("one with a newer format", () => refused({ format: 2 }, "ERR_PEER_VERSION"));

  it("a second one with the id of one that is connected, and another store", () =>
    withPeers(async (peers) => {
      const [a] = await pair(peers);
      const twin = await peers.start("gw-b");
      await fill(twin, 5);
      await until("refused", () => failures(twin, "ERR_SITE_DUPLICATE") > 0);
      assert.equal(a.has(twin), 0);
      assert.ok(a.status.inSync.includes("gw-b"), "the first one stays");
    }));

  it("one with the journal of another gateway that is there", () =>
    withPeers(async (peers) => {
      const [a, b] = await pair(peers);
      await fill(b, 5);
      await until("copied", () => a.has(b) === 5);
      const c = await peers.start("gw-c");
      const hello = { protocol: PROTOCOL_VERSION, site: "plant-7", gateway: "gw-c", format: 1 };
      const stolen = jsonFrame(FRAME.hello, { ...hello, journal: b.journal.id, epoch: 1 });
      const channel = c.network.dial(a.replication.address, "gw-a", {
        opened: () => channel.send(stolen),
        frame: () => undefined,
        closed: () => undefined,
      });
      await until("refused", () => failures(a, "ERR_SITE_DUPLICATE") > 0);
      await fill(b, 5);
      await until("that goes on", () => a.has(b) === 10);
    }));

  it("one that sends what is not understood: out of turn, garbage, too large", () =>
    withPeers(async (peers) => {
      const a = await peers.start("gw-a");
      const b = await peers.start("gw-b");
      const hello = {
        protocol: PROTOCOL_VERSION,
        site: "plant-7",
        gateway: "gw-b",
        journal: "b".repeat(32),
        format: 1,
        epoch: 0,
      };
      const cases = [
        [frameOf(99)],
        [frameOf(FRAME.hello, Buffer.from("{"))],
        [jsonFrame(FRAME.hello, { ...hello, journal: "../x" })],
        [jsonFrame(FRAME.hello, { ...hello, epoch: -1 })],
        [jsonFrame(FRAME.hello, { ...hello, epoch: 2 ** 50 })],
        [jsonFrame(FRAME.hello, hello), frameOf(FRAME.batch, Buffer.from([7, 0, 0, 0, 1, 1]))],
        [jsonFrame(FRAME.hello, hello), frameOf(FRAME.batch, Buffer.from([1, 0, 0, 0, 9, 1]))],
        [jsonFrame(FRAME.hello, hello), frameOf(FRAME.batch, Buffer.from([0, 0, 0, 0, 1, 1]))],
        [jsonFrame(FRAME.hello, hello), jsonFrame(FRAME.positions, { journal: 1 })],
        [jsonFrame(FRAME.hello, hello), frameOf(FRAME.relay, Buffer.alloc(9))],
        [jsonFrame(FRAME.hello, hello), jsonFrame(FRAME.office, { is: "over", epoch: 1 })],
        [
          jsonFrame(FRAME.hello, hello),
          jsonFrame(FRAME.office, { is: "all", epoch: 1, lease: "1" }),
        ],
        [jsonFrame(FRAME.hello, hello), frameOf(FRAME.want, Buffer.from("{}"))],
        [jsonFrame(FRAME.hello, hello), Buffer.alloc(2 ** 20 + 1, 5)],
      ];
      for (const [index, frames] of cases.entries()) {
        const before = failures(a, "ERR_PEER_PROTOCOL");
        const channel = b.network.dial(a.replication.address, "gw-a", {
          opened: () => {
            for (const frame of frames) channel.send(frame);
          },
          frame: () => undefined,
          closed: () => undefined,
        });
        await until(`case ${index}`, () => failures(a, "ERR_PEER_PROTOCOL") > before);
      }
      assert.equal(a.replicas.get("b".repeat(32))?.lastSeq ?? 0, 0);
      const older = jsonFrame(FRAME.hello, { ...hello, protocol: PROTOCOL_VERSION - 1 });
      const channel = b.network.dial(a.replication.address, "gw-a", {
        opened: () => channel.send(older),
        frame: () => undefined,
        closed: () => undefined,
      });
      await until("one that speaks an older version", () => failures(a, "ERR_PEER_VERSION") > 0);
    }));
});

/** Two gateways that are peers and in sync. */
async function pair(
  peers: TestPeers,
  options: TestPeerOptions = {},
  suffix = "",
): Promise<[TestPeer, TestPeer]> {
  if (suffix !== "") peers.members.set([]);
  const a = await peers.start(`gw-a${suffix}`, options);
  const b = await peers.start(`gw-b${suffix}`, options);
  a.register();
  b.register();
  for (const one of [a, b]) await until("in sync", () => one.status.inSync.length === 1);
  return [a, b];
}

/** The other one is odd: neither copies to the other, each says why, and neither has a replica. */
async function refused(odd: TestPeerOptions, code: string): Promise<void> {
  await withPeers(async (peers) => {
    const a = await peers.start("gw-a");
    const b = await peers.start("gw-b", odd);
    await fill(a, 5);
    await fill(b, 5);
    a.register();
    b.register();
    for (const one of [a, b]) await until(`${code} at ${one.id}`, () => failures(one, code) > 0);
    for (const one of [a, b]) assert.deepEqual([one.replicas.size, one.status.inSync], [0, []]);
  });
}

/** Resolves when the other side has closed it, with or without a word. */
function letGo(socket: Socket): Promise<void> {
  socket.on("error", () => undefined).resume();
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

function failures(peer: TestPeer, code: string): number {
  return (peer.status.counters.failures as Record<string, number>)[code] ?? 0;
}

async function fill({ journal }: TestPeer, count: number): Promise<void> {
  for (let n = 1; n <= count; n++) {
    journal.append(message(`t/${n}`, `${n} ${"x".repeat(200)}`), 1, NOW, []);
    if (n % 5 === 0) await journal.committed();
  }
  await journal.committed();
}

async function withPeers(use: (peers: TestPeers) => Promise<void>): Promise<void> {
  const peers = new TestPeers();
  try {
    await use(peers);
  } finally {
    await peers.end();
  }
}
