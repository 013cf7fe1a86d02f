import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { CloudReceiver } from "../support/cloud-receiver.ts";
import { startEtcd } from "../support/etcd.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { Sender } from "../support/sender.ts";
import { SiteGateway } from "../support/site-gateway.ts";
import { until } from "../support/until.ts";

it("what two gateways have acknowledged under safe is in the cloud, in order, when the primary is killed and its disk is gone", async () => {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-replication-"));
  const etcd = await startEtcd();
  const cloud = await startMosquitto();
  const receiver = await CloudReceiver.start({ port: cloud.port });
  const options = {
    directory,
    endpoints: etcd.endpoints,
    cloudPort: cloud.port,
    store: { durability: "safe" },
  };
  const gateways = ["gw-a", "gw-b"].map((id) => new SiteGateway(options, id));
  const senders: Sender[] = [];
  try {
    for (const gateway of gateways) await gateway.start();
    await until("each has the other in sync", async () => {
      const all = await Promise.all(gateways.map((gateway) => gateway.status()));
      return all.every(({ replication }) => replication?.inSync.length === 1);
    });
    await until("there is a primary", async () => (await roles(gateways)).includes("primary"));
    for (const gateway of gateways) {
      for (const n of [1, 2]) {
        const { id, port } = gateway;
        senders.push(new Sender({ id: `${id}-${n}`, port, windowMax: 50, perSecond: 500 }));
      }
    }
    for (const sender of senders) sender.start();
    await until("all are taken", () => senders.every(({ acked }) => acked >= 300));

    const primary = gateways[(await roles(gateways)).indexOf("primary")] as SiteGateway;
    const other = gateways.find((gateway) => gateway !== primary) as SiteGateway;
    await primary.lose();
    const orphans = senders.filter(({ id }) => id.startsWith(primary.id));
    for (const sender of orphans) sender.stop();

    await until("the other is primary", async () => (await other.role()) === "primary");
    for (const sender of senders) if (!orphans.includes(sender)) sender.finish();
    await until("the other's clients are served", () =>
      senders.every((sender) => orphans.includes(sender) || sender.done),
    );
    await until("all is in the cloud", () =>
      senders.every((sender) => arrived(receiver, sender) >= sender.acked),
    );
    await receiver.settled();
    for (const sender of senders) check(receiver, sender);
    const status = await other.status();
    assert.equal(status.replication?.isAlone, true, "it says that it is alone");
    assert.ok((status.replication?.counters.syncLost ?? 0) > 0);
    assert.equal(await other.program.terminate(), 0);
  } finally {
    for (const sender of senders) sender.stop();
    for (const gateway of gateways) await gateway.program.kill();
    await receiver.stop();
    await cloud.end();
    await etcd.end();
    await rm(directory, { recursive: true, force: true });
  }
});

function roles(gateways: readonly SiteGateway[]): Promise<string[]> {
  return Promise.all(gateways.map((gateway) => gateway.role()));
}

function arrived(receiver: CloudReceiver, { id }: Sender): number {
  return numbers(receiver, id).length;
}

function numbers(receiver: CloudReceiver, id: string): number[] {
  return receiver.first
    .filter(({ payload }) => payload.startsWith(`${id}/`))
    .map(({ payload }) => Number(payload.slice(id.length + 1)));
}

/** Each of the sender's acknowledged messages came, and the first arrivals are in order. */
function check(receiver: CloudReceiver, { id, acked }: Sender): void {
  const came = numbers(receiver, id);
  const distinct = [...new Set(came)];
  assert.ok(distinct.length >= acked, `${id}: ${distinct.length} of ${acked}`);
  assert.deepEqual(
    distinct,
    distinct.toSorted((a, b) => a - b),
    `${id}: out of order`,
  );
}
