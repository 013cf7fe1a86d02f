import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { systemClock } from "../../src/base/system-clock.ts";
import { ask } from "../../src/control/control-client.ts";
import type { GatewayStatus } from "../../src/gateway-status.ts";
import { etcdClient } from "../../src/site/etcd-client.ts";
import { type EtcdServers, startEtcd } from "../support/etcd.ts";
import { Program } from "../support/program.ts";
import { RawClient } from "../support/raw-client.ts";
import { assertScreen } from "../support/screens.ts";
import { Sender } from "../support/sender.ts";
import { BookedSite } from "../support/site-books.ts";
import { SiteGateway, withTwoGateways } from "../support/site-gateway.ts";
import { until } from "../support/until.ts";

/** Several of each of a gateway's rounds. */
const REST_MS = 4000;

it("two gateways of a site elect one primary, and the other takes over when it is killed, with a higher epoch", async () => {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-site-"));
  const etcd = await startEtcd();
  const gateways = ["gw-a", "gw-b"].map((id) => new Gateway(directory, id, etcd.endpoints));
  try {
    for (const gateway of gateways) await gateway.start();
    const roles = () => Promise.all(gateways.map((gateway) => gateway.role()));
    await until("one primary and one standby", async () => {
      return (await roles()).toSorted().join() === "primary,standby";
    });
    const first = gateways[(await roles()).indexOf("primary")] as Gateway;
    const second = gateways.find((gateway) => gateway !== first) as Gateway;
    await until("each sees both", async () => (await second.cluster()).members.length === 2);
    const { epoch } = await first.cluster();

    await first.program.kill();
    const client = await RawClient.connected(second.port);
    await until("the other is primary", async () => (await second.role()) === "primary");
    await client.settled();
    const after = await second.cluster();
    assert.ok((after.epoch ?? 0) > (epoch ?? 0), `epoch ${after.epoch} after ${epoch}`);

    await first.start();
    await until("the first is back", async () => (await first.role()) === "standby");
    assert.equal(await second.program.terminate(), 0);
    await until("handed over", async () => (await first.role()) === "primary");
    assert.ok(((await first.cluster()).epoch ?? 0) > (after.epoch ?? 0));
    assert.equal(await first.program.terminate(), 0);
  } finally {
    for (const gateway of gateways) await gateway.program.kill();
    await etcd.end();
    await rm(directory, { recursive: true, force: true });
  }
});

it("takes over at once when the primary's process has ended, however long its lease is, and hands over by command", async () => {
  const cluster = { primaryTtlSeconds: 10, registrationTtlSeconds: 30 };
  const gateways = { "gw-a": { cluster }, "gw-b": { cluster } };
  await BookedSite.run({ gateways, perSecond: 100 }, async (site) => {
    const first = await site.primary(site.gateways);
    const second = site.gateways.find((gateway) => gateway !== first) as SiteGateway;
    await first.program.kill();
    await until("the other one is primary", async () => (await second.role()) === "primary");
    assert.equal((await second.status()).cluster.counters?.evicted, 1);

    await first.start();
    await site.inSync(site.gateways);
    const refused = await first.command("site", "hand-over");
    assert.equal(refused.code, 2);
    assert.match(refused.err, new RegExp(`${second.id} is.*ERR_SITE_HAND_OVER`));
    const nobody = await second.command("site", "hand-over", "gw-z");
    assert.match(nobody.err, /gw-z does not stand to be primary/);
    const { code, out } = await second.command("site", "hand-over", first.id);
    assert.equal(code, 0);
    assert.match(out, new RegExp(`^${first.id} is primary now, with epoch \\d+`));
    assertScreen("site-hand-over", out);
    await until("handed over", async () => (await first.role()) === "primary");
    assert.equal((await second.status()).cluster.role, "standby");
    await site.balance();
  });
});

it("a gateway at rest asks etcd six times a second at most", () =>
  withTwoGateways(async (a, b, etcd) => {
    const beganMs = performance.now();
    const before = await requestsTo(etcd);
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
    const asked = (await requestsTo(etcd)) - before;
    const perSecond = asked / 2 / ((performance.now() - beganMs) / 1000);
    assert.ok(perSecond > 0.5 && perSecond <= 6, `${asked} requests: ${perSecond} a second`);
    const { role } = (await a.status()).cluster;
    assert.deepEqual([role, await b.role()].sort(), ["primary", "standby"], "all the while");
  }));

it("rules of the uplink that etcd lays over the file take effect at once, and stay after a restart without etcd", async () => {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-site-"));
  const etcd = await startEtcd();
  const writer = etcdClient(etcd.endpoints[0] as string, systemClock, 2000);
  const uplink = { rules: [{ match: "nothing", lane: "bulk" }] };
  const options = { directory, endpoints: etcd.endpoints, cloudPort: 1, uplink };
  const gateway = new SiteGateway(options, "gw-a");
  const put = (path: string, value: string) =>
    writer.commit([], [{ key: `fieldgate/plant-7/config/${path}`, value }]);
  const alarms = async () => (await gateway.status()).ledger.alarm.accepted;
  let publisher: Sender | null = null;
  try {
    await gateway.start();
    const sender = new Sender({ id: "s", port: gateway.port, windowMax: 5, perSecond: 100 });
    publisher = sender;
    sender.start();
    await until("taken", () => sender.acked >= 10);
    assert.equal(await alarms(), 0);
    await put("uplink.rules", '[{ match: "plant/#", lane: alarm }]');
    await until("they are alarms now", async () => (await alarms()) > 10);

    await put("log.level", "loud");
    await until("refused", async () => (await gateway.status()).settings?.error !== null);
    assert.match((await gateway.command("status")).out, /log\.level must be one of/);

    await gateway.program.kill();
    await etcd.nodes[0]?.kill();
    await gateway.start();
    const before = await alarms();
    await until("still alarms", async () => (await alarms()) > before + 10);
    assert.deepEqual((await gateway.status()).settings?.keys, ["uplink.rules"]);
  } finally {
    publisher?.stop();
    await gateway.program.kill();
    writer.close();
    await etcd.end();
    await rm(directory, { recursive: true, force: true });
  }
});

it("a gateway whose etcd does not answer serves its sensors all the same, and says so", async () => {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-site-"));
  const gateway = new Gateway(directory, "gw-a", ["http://127.0.0.1:1"]);
  try {
    await gateway.start();
    const client = await RawClient.connected(gateway.port);
    await client.settled();
    await until("it says so", async () => (await gateway.cluster()).etcd === "silent");
    assert.equal((await gateway.cluster()).role, "standby");
    assert.equal(await gateway.program.terminate(), 0);
  } finally {
    await gateway.program.kill();
    await rm(directory, { recursive: true, force: true });
  }
});

class Gateway {
  readonly program: Program;
  port = 0;
  readonly #file: string;
  readonly #config: { readonly control: { readonly socket: string } };

  constructor(directory: string, id: string, endpoints: readonly string[]) {
    this.#file = join(directory, `${id}.yaml`);
    this.#config = {
      gateway: { id, site: "plant-7" },
      store: { path: join(directory, id) },
      listeners: [{ name: "lan", port: 0 }],
      cluster: { endpoints },
      control: { socket: join(directory, `${id}.sock`) },
    } as { control: { socket: string } };
    this.program = new Program(this.#file);
  }

  async start(): Promise<void> {
    await writeFile(this.#file, JSON.stringify(this.#config));
    this.port = await this.program.start();
  }

  async cluster(): Promise<GatewayStatus["cluster"]> {
    const status = (await ask(this.#config.control.socket, "status")) as GatewayStatus;
    return status.cluster;
  }

  async role(): Promise<string> {
    return (await this.cluster()).role;
  }
}

/** Requests that etcd has begun to answer, of all kinds, since it was started. */
async function requestsTo({ endpoints }: EtcdServers): Promise<number> {
  const metrics = await (await fetch(`${endpoints[0]}/metrics`)).text();
  const counts = [...metrics.matchAll(/^grpc_server_started_total\{.*\} (\d+)$/gm)];
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}
