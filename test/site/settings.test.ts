import assert from "node:assert/strict";
import { it } from "node:test";
import { FieldgateError } from "../../src/base/errors.ts";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { etcdClient } from "../../src/site/etcd-client.ts";
import type { Etcd } from "../../src/site/etcd-port.ts";
import { EtcdSettings } from "../../src/site/etcd-settings.ts";
import { startEtcd } from "../support/etcd.ts";
import { until } from "../support/until.ts";

const PREFIX = "fieldgate/plant-7/config/";

it("a site's configuration in a real etcd is laid over the file, refused as a whole, reported, and outlives a wiped etcd", async () => {
  const servers = await startEtcd();
  const endpoint = servers.endpoints[0] as string;
  const etcd = etcdClient(endpoint, systemClock, 2000);
  const laid: Record<string, string>[] = [];
  const settings = new EtcdSettings(
    {
      endpoints: [endpoint],
      registrationTtlSeconds: 10,
      primaryTtlSeconds: 3,
      priority: 100,
      onEtcdLoss: "hold",
    },
    {
      clock: systemClock,
      log: silentLog,
      random: Math.random,
      identity: { gateway: "gw-a", site: "plant-7" },
      lastGood: {},
      lay: async (overlay) => {
        if (overlay["log.level"] === "loud") {
          const details = { refused: [{ key: "log.level", message: "must be one of" }] };
          throw new FieldgateError("ERR_CONFIG_INVALID", "refused", { details });
        }
        laid.push(overlay);
        return { applied: [], waiting: ["mqtt.packetBytesMax"] };
      },
    },
  );
  try {
    await put(etcd, "log.level", "info");
    await put(etcd, "gw-a/log.level", "debug");
    await put(etcd, "gw-b/log.level", "error");
    await settings.start();
    await until("laid", () => laid.at(-1)?.["log.level"] === "debug");
    await reported(
      etcd,
      /"inForce":\["log.level"\],"waiting":\["mqtt.packetBytesMax"\],"refused":null/,
    );

    const before = laid.length;
    await put(etcd, "gw-a/log.level", "loud");
    await reported(etcd, /"refused":\{.*log\.level.*must be one of/);
    assert.equal(laid.length, before);
    assert.deepEqual(settings.status().keys, ["log.level"]);
    assert.equal(settings.status().error?.["code"], "ERR_CONFIG_INVALID");

    await put(etcd, "gw-a/log.level", "warn");
    await until("mended", () => settings.status().error === null);
    assert.equal(laid.at(-1)?.["log.level"], "warn");

    const count = laid.length;
    await servers.wipe();
    await until("orphaned", () => settings.status().isOrphaned);
    assert.equal(laid.length, count, "what it was stays in force");
    await put(etcd, "log.level", "error");
    await until("laid anew", () => laid.at(-1)?.["log.level"] === "error");
    assert.equal(settings.status().isOrphaned, false);
  } finally {
    await settings.stop();
    etcd.close();
    await servers.end();
  }
});

async function put(etcd: Etcd, path: string, value: string): Promise<void> {
  const write = () => etcd.commit([], [{ key: PREFIX + path, value }]).catch(() => false);
  await until(`${path} is written`, write);
}

async function reported(etcd: Etcd, what: RegExp): Promise<void> {
  await until(`reported ${what}`, async () => {
    const { entries } = await etcd.list("fieldgate/plant-7/config-report/");
    return entries.some(({ key, value }) => key.endsWith("/gw-a") && what.test(value));
  });
}
