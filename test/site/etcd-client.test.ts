import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { errorFields } from "../../src/base/errors.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { type EtcdUser, etcdClient } from "../../src/site/etcd-client.ts";
import { EtcdCluster } from "../../src/site/etcd-cluster.ts";
import type { Etcd, EtcdChange } from "../../src/site/etcd-port.ts";
import { etcdContract } from "../contract/etcd.ts";
import { SimEtcd, SimLink } from "../sim/site-etcd.ts";
import { type EtcdServers, startEtcd } from "../support/etcd.ts";
import { FaultyProxy } from "../support/proxy.ts";
import { seededRandom } from "../support/random.ts";
import { SimClock } from "../support/sim-clock.ts";
import { until } from "../support/until.ts";
import { within } from "../support/within.ts";

let servers: EtcdServers;

before(async () => {
  servers = await startEtcd();
});
after(() => servers.end());

etcdContract({
  name: "the real one",
  open: async () => etcdClient(servers.endpoints[0] as string, systemClock, 20_000),
  until,
  done: (work) => work,
  end: async () => {},
});

const clock = new SimClock();
etcdContract({
  name: "the simulated one",
  open: async () => new SimLink(new SimEtcd(clock, seededRandom(1)), clock, seededRandom(2)),
  async until(what, claim) {
    for (let tries = 0; tries < 100; tries++) {
      if (await claim()) return;
      await clock.run(clock.monotonicMs() + 100);
    }
    throw new Error(`not within 10 s: ${what}`);
  },
  async done(work) {
    let isDone = false;
    const settled = work.finally(() => {
      isDone = true;
    });
    settled.catch(() => undefined);
    while (!isDone) await clock.run(clock.monotonicMs() + 1);
    return settled;
  },
  end: async () => {},
});

describe("a client of etcd", () => {
  it("gives up in time on a member that is silent, and has a new connection for the next request", async () => {
    const { proxy, client } = await throughProxy();
    await until("it answers", () => answers(client));
    proxy.way = "blackhole";
    const refused = assert.rejects(client.list("x/"), { code: "ERR_ETCD" });
    await within(30_000, "it did not give up", refused);
    proxy.way = "clear"; // the old connection passes nothing ever again
    await until("it answers again", () => answers(client));
    client.close();
    await proxy.stop();
  });

  it("says so when a watch is cut, or cannot be created", async () => {
    const { proxy, client } = await throughProxy(2000);
    const { revision } = await client.list("x/");
    const troubles: Error[] = [];
    const listener = { changed: () => {}, trouble: (error: Error) => troubles.push(error) };
    client.watch("x/", revision + 1, listener);
    await client.list("x/");
    proxy.cut();
    await until("told of the cut", () => troubles.length === 1);
    proxy.way = "blackhole";
    client.watch("x/", revision + 1, listener);
    await until("told that there is none", () => troubles.length === 2);
    client.close();
    await proxy.stop();
  });

  it("says so when it is asked to watch what was compacted away", async () => {
    const client = etcdClient(servers.endpoints[0] as string, systemClock, 20_000);
    for (let round = 0; round < 3; round++) await client.commit([], [{ key: "c/a", value: "" }]);
    const { revision } = await client.list("c/");
    const { Etcd3 } = await import("etcd3");
    const admin = new Etcd3({ hosts: servers.endpoints[0] as string });
    await admin.kv.compact({ revision, physical: true });
    admin.close();
    const trouble = await new Promise<Error>((resolve) => {
      client.watch("c/", revision - 2, { changed: () => {}, trouble: resolve });
    });
    assert.match(String(trouble), /could not watch/);
    client.close();
  });

  it("lists what is there although someone has put more than 4 MiB beside it", async () => {
    const client = etcdClient(servers.endpoints[0] as string, systemClock, 20_000);
    for (let n = 0; n < 4; n++) {
      await client.commit([], [{ key: `huge/${n}`, value: "x".repeat(1_300_000) }]);
    }
    await client.commit([], [{ key: "huge/ours", value: "sound" }]);
    const { entries } = await client.list("huge/");
    assert.equal(entries.find(({ key }) => key === "huge/ours")?.value, "sound");
    client.close();
  });

  it("rejects with a code when nobody is there", async () => {
    const client = etcdClient("http://127.0.0.1:1", systemClock, 500);
    await assert.rejects(client.grant(3), { code: "ERR_ETCD" });
    await assert.rejects(client.renew("123"), { code: "ERR_ETCD" });
    client.close();
  });
});

describe("an etcd that asks who it is", () => {
  let own: EtcdServers;
  let folder = "";
  const passwordFile = () => join(folder, "password");

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "fieldgate-etcd-user-"));
    own = await startEtcd();
    await asksWhoItIs(own.endpoints[0] as string);
  });
  after(async () => {
    await own.end();
    await rm(folder, { recursive: true });
  });

  const open = (user: EtcdUser) =>
    etcdClient(own.endpoints[0] as string, systemClock, 20_000, user);

  it("lets in the user of the configuration, with the password in the file as it is then, and nobody else", async () => {
    const nobody = open({});
    await assert.rejects(nobody.list("ours/"), { code: "ERR_ETCD" });
    nobody.close();
    const client = open({ username: "gw", passwordFile: passwordFile() });
    await assert.rejects(client.list("ours/"), /could not list keys/, "no file yet");
    await writeFile(passwordFile(), "wrong-secret\n");
    const refused = await client.list("ours/").catch((error: unknown) => error);
    assert.equal((refused as { code?: string }).code, "ERR_ETCD");
    assert.doesNotMatch(JSON.stringify(errorFields(refused)), /wrong-secret/);
    await writeFile(passwordFile(), "right-secret\n");
    assert.ok(await client.commit([], [{ key: "ours/a", value: "1" }]));
    await assert.rejects(client.list("others/"), { code: "ERR_ETCD" }, "beyond its rights");
    client.close();
  });

  it("is asked as that user for leases and watches, and again after it has forgotten whom it had let in", async () => {
    await writeFile(passwordFile(), "right-secret");
    const client = open({ username: "gw", passwordFile: passwordFile() });
    const { revision } = await client.list("ours/");
    const changes: EtcdChange[] = [];
    const listener = {
      changed: (some: readonly EtcdChange[]) => changes.push(...some),
      trouble: () => {},
    };
    client.watch("ours/", revision + 1, listener);
    const { lease } = await client.grant(30);
    assert.ok((await client.renew(lease)) !== null);
    assert.ok(await client.commit([], [{ key: "ours/b", value: "2", lease }]));
    await until("the change was seen", () => changes.length === 1);
    await own.nodes[0]?.kill();
    await own.nodes[0]?.start();
    await until("it is let in again", () =>
      client.list("ours/").then(
        ({ entries }) => entries.length > 0,
        () => false,
      ),
    );
    client.close();
  });
});

describe("a cluster of etcd", () => {
  it("asks the next member when one is silent, then stays with it, and moves its watches", async () => {
    const proxy = await FaultyProxy.start(() => servers.nodes[0]?.port ?? 0);
    const endpoints = [`http://127.0.0.1:${proxy.port}`, servers.endpoints[0] as string];
    const clients = endpoints.map((endpoint) => etcdClient(endpoint, systemClock, 20_000));
    for (const client of clients) await until("it answers", () => answers(client));
    const cluster = new EtcdCluster(clients, systemClock, TURN_MS);
    const { revision } = await cluster.list("x/");
    const troubles: Error[] = [];
    const listener = { changed: () => {}, trouble: (error: Error) => troubles.push(error) };
    cluster.watch("x/", revision + 1, listener);
    proxy.way = "blackhole";
    const first = await took(() => cluster.list("x/"));
    assert.ok(first >= TURN_MS, "did not wait for the first member");
    await until("told of the watch", () => troubles.length === 1);
    const second = await took(() => cluster.list("x/"));
    assert.ok(second < TURN_MS, "asked the silent member again");
    cluster.close();
    await proxy.stop();
  });
});

/** Its user gw, with the password right-secret, may read and write below ours/ only. */
async function asksWhoItIs(endpoint: string): Promise<void> {
  const { Etcd3, Range } = await import("etcd3");
  const admin = new Etcd3({ hosts: endpoint });
  const role = await admin.role("ours").create();
  await role.grant({ permission: "Readwrite", range: Range.prefix("ours/") });
  const root = await admin.user("root").create("root-secret");
  await root.addRole(await admin.role("root").create());
  await (await admin.user("gw").create("right-secret")).addRole(role);
  await admin.auth.authEnable();
  admin.close();
}

/** How long a member has before the next one is asked: more than one that answers takes on a busy machine. */
const TURN_MS = 1000;

function answers(client: Etcd): Promise<boolean> {
  return client.list("x/").then(Boolean, () => false);
}

async function throughProxy(msMax = 500) {
  const proxy = await FaultyProxy.start(() => servers.nodes[0]?.port ?? 0);
  const client = etcdClient(`http://127.0.0.1:${proxy.port}`, systemClock, msMax);
  return { proxy, client };
}

async function took(work: () => Promise<unknown>): Promise<number> {
  const begunMs = performance.now();
  await work();
  return performance.now() - begunMs;
}
