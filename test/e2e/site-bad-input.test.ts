import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { systemClock } from "../../src/base/system-clock.ts";
import { BLOCK_VERSION } from "../../src/journal/block.ts";
import { enrollGateway, initSite } from "../../src/replica/file-certificates.ts";
import { FRAME, jsonFrame, PROTOCOL_VERSION, readJson } from "../../src/replica/frames.ts";
import { tlsNetwork } from "../../src/replica/tls-network.ts";
import { etcdClient } from "../../src/site/etcd-client.ts";
import { BookedSite } from "../support/site-books.ts";
import { SiteGateway } from "../support/site-gateway.ts";
import { until } from "../support/until.ts";

const HUGE = "x".repeat(200_000);
const WAIT_MS_MAX = 60_000;
const VALUES = [
  "",
  "null",
  "[]",
  "{",
  "\u0000\u0001\uffff",
  '{"__proto__":{"run":"r","epoch":9},"constructor":{"gateway":"gw-a"}}',
  '{"epoch":-1,"gateway":"gw-a","lease":"x"}',
  '{"run":"r","address":7,"priority":1e9,"version":{},"journal":"","offset":-1,"replicated":null}',
  HUGE,
];
const KEYS = ["__proto__", "constructor", "x/y", "4711", "ü", ""];

it("garbage in etcd under every key that a gateway reads is ignored and named, and nothing is lost", async () => {
  const gateways = { "gw-a": {}, "gw-b": {} };
  await BookedSite.run({ gateways, perSecond: 50, sendersEach: 1 }, async (site) => {
    const etcd = etcdClient(site.etcd.endpoints[0] as string, systemClock, 5000);
    const put = async (key: string, value: string) => {
      assert.ok(await etcd.commit([], [{ key: `fieldgate/plant-7/${key}`, value }]));
    };
    const first = await site.primary(site.gateways);
    for (const [n, value] of VALUES.entries()) {
      const key = KEYS[n % KEYS.length] as string;
      for (const space of ["election/standing/", "election/", "gateways/", "config/"]) {
        await put(`${space}${key}${n}`, value);
      }
    }
    await put("gateways/gw-a", HUGE);
    await put("config/gw-a/log.level", "loud");
    await put("config/mqtt.packetBytesMax", "[1, {");

    for (const gateway of site.gateways) {
      await waits("it names what it does not understand", async () => {
        const { out } = await gateway.command("status");
        return (
          /say nothing are ignored: .*\(ERR_SITE_KEY\)/.test(out) && /ERR_CONFIG|refused/.test(out)
        );
      });
    }
    await waits(
      "it is registered, over the garbage on its own key, and refuses what is laid over its file",
      async () => {
        const { cluster, settings } = await site.gateway("gw-a").status();
        const isSound = cluster.etcd === "answers" && cluster.registration === "registered";
        assert.deepEqual(settings?.keys, []);
        return isSound && settings?.error?.["code"] === "ERR_CONFIG_INVALID";
      },
    );
    await site.acknowledged(20);

    await waits("it hands over all the same", async () => {
      return (await first.command("site", "hand-over")).code === 0;
    });
    const second = site.gateways.find((gateway) => gateway !== first) as SiteGateway;
    await site.primary([second]);
    const { epoch } = (await second.status()).cluster;
    await put("election/epoch", HUGE);
    await waits("there is a primary with a higher epoch", async () => {
      const all = await Promise.all(site.gateways.map((gateway) => gateway.status()));
      return all.some(
        ({ cluster: { role, epoch: now } }) => role === "primary" && (now ?? 0) > (epoch ?? 0),
      );
    });
    await site.acknowledged(20);
    await site.balance();
    etcd.close();
  });
});

it("a second gateway with an id that is taken, one of another authority, and one with an older format take no part, it is said why, and nothing is lost", async () => {
  const cluster = { registrationTtlSeconds: 2, primaryTtlSeconds: 2 };
  const common = { cluster };
  const gateways = { "gw-a": common, "gw-b": common };
  const elsewhere = await mkdtemp(join(tmpdir(), "fieldgate-strangers-"));
  await BookedSite.run({ gateways, perSecond: 50, sendersEach: 1 }, async (site) => {
    const options = { directory: elsewhere, endpoints: site.etcd.endpoints, cluster };
    const authority = join(elsewhere, "other");
    await initSite("plant-7", authority, systemClock);
    await enrollGateway("gw-c", authority, systemClock);
    const peer = {
      caFile: join(authority, "site-ca.crt"),
      certFile: join(authority, "gw-c.crt"),
      keyFile: join(authority, "gw-c.key"),
    };
    const twin = new SiteGateway(options, "gw-a");
    const stranger = new SiteGateway({ ...options, peer }, "gw-c");
    try {
      await twin.start();
      await stranger.start();
      await says(twin, /another gateway with the id gw-a is running.*\(ERR_SITE_DUPLICATE\)/);
      await says(stranger, /peer gw-b is not in sync: .*\(ERR_PEER_CERTIFICATE\)/);
      await says(site.gateway("gw-b"), /peer gw-c is not in sync: .*\(ERR_PEER_CERTIFICATE\)/);
      const { replication } = await site.gateway("gw-b").status();
      assert.deepEqual(
        replication?.replicas.map(({ gateway }) => gateway),
        ["gw-a"],
      );
      assert.ok(replication?.inSync.includes("gw-a"));
      const b = site.gateway("gw-b");
      assert.equal(await refusedOlder(b), "ERR_PEER_VERSION");
      const { counters, replicas } = (await b.status()).replication ?? assert.fail();
      assert.ok((counters.failures.ERR_PEER_VERSION ?? 0) > 0);
      assert.equal(replicas.length, 1);
      await site.acknowledged(20);
    } finally {
      await twin.program.kill();
      await stranger.program.kill();
    }
    await site.balance();
  }).finally(() => rm(elsewhere, { recursive: true, force: true }));
});

/** What a gateway answers to one of its site whose journal is of an older format: the code. */
async function refusedOlder(gateway: SiteGateway): Promise<unknown> {
  const { address } = (await gateway.status()).replication ?? assert.fail();
  const network = tlsNetwork({
    host: "127.0.0.1",
    port: 0,
    ...(await gateway.certificates("gw-old")),
    frameBytesMax: 2 ** 20,
    connectTimeoutMs: WAIT_MS_MAX,
    peersMax: 1,
    connectionsPerAddressMax: 1,
  });
  const hello = {
    protocol: PROTOCOL_VERSION,
    site: "plant-7",
    gateway: "gw-old",
    journal: "0".repeat(32),
    format: BLOCK_VERSION - 1,
    epoch: 0,
  };
  const answer = new Promise<Buffer>((resolve, reject) => {
    const channel = network.dial(address, gateway.id, {
      opened: () => channel.send(jsonFrame(FRAME.hello, hello)),
      frame: (frame) => frame[0] === FRAME.refused && resolve(frame),
      closed: reject,
    });
  });
  return readJson(await answer.finally(() => network.close()))["code"];
}

function waits(what: string, holds: () => Promise<boolean>): Promise<void> {
  return until(what, holds, WAIT_MS_MAX);
}

async function says(gateway: SiteGateway, what: RegExp): Promise<void> {
  let said = "";
  await until(
    `${gateway.id} says ${what}`,
    async () => {
      said = (await gateway.command("status")).out;
      return what.test(said);
    },
    WAIT_MS_MAX,
  ).catch((error: Error) => {
    throw new Error(`${error.message}, and not:\n${said}`);
  });
}
