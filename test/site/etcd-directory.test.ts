import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { etcdClient } from "../../src/site/etcd-client.ts";
import { EtcdDirectory } from "../../src/site/etcd-directory.ts";
import { startEtcd } from "../support/etcd.ts";
import { until } from "../support/until.ts";

const ends: Array<() => Promise<void> | void> = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

describe("what a real etcd has below a prefix", () => {
  it("is known, in the order of the keys, as it changes, and while etcd is away", async () => {
    const servers = await startEtcd();
    ends.push(() => servers.end());
    const endpoint = servers.endpoints[0] as string;
    const etcd = etcdClient(endpoint, systemClock, 1000);
    ends.push(() => etcd.close());
    const put = (key: string, value: string) => etcd.commit([], [{ key, value }]);
    await put("brokers/2", "mqtt://two");
    await put("brokers-not/1", "mqtt://no");
    const cluster = {
      endpoints: [endpoint],
      registrationTtlSeconds: 10,
      primaryTtlSeconds: 3,
      onEtcdLoss: "hold" as const,
      priority: 100,
    };
    const tools = { clock: systemClock, log: silentLog, random: Math.random };
    const directory = new EtcdDirectory(cluster, "brokers/", tools);
    await directory.start();
    ends.push(() => directory.stop());
    await until("listed", () => directory.values().length === 1);
    await put("brokers/1", "mqtt://one");
    await until("watched", () => directory.values().length === 2);
    assert.deepEqual(directory.values(), ["mqtt://one", "mqtt://two"]);
    await servers.nodes[0]?.kill();
    assert.deepEqual(directory.values(), ["mqtt://one", "mqtt://two"]);
  });
});
