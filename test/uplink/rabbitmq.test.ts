import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import type { UplinkConfig } from "../../src/config/schema.ts";
import type { Uplink } from "../../src/uplink/uplink.ts";
import { CloudReceiver } from "../support/cloud-receiver.ts";
import { MemorySource } from "../support/memory-source.ts";
import { openEnvelope } from "../support/open-envelope.ts";
import { FaultyProxy } from "../support/proxy.ts";
import { type RabbitCluster, startRabbitCluster } from "../support/rabbitmq.ts";
import { until } from "../support/until.ts";
import { startUplink } from "../support/uplink-rig.ts";

const ends: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

describe("the uplink to a real RabbitMQ cluster of two nodes", () => {
  let cluster: RabbitCluster;
  let receivers = 0;
  before(async () => {
    cluster = await startRabbitCluster(2);
  });
  after(async () => {
    await cluster?.end();
  });

  it("falls back to MQTT 3.1.1 and delivers over one node to who is connected to the other, in order", async () => {
    const { journal, receiver, service } = await field();
    const sent = backlog(journal, 3000);
    journal.append(2, "twice/a", "QoS 2, which the plug-in takes as QoS 1", { qos: 2 });
    journal.commit();
    await until("all acknowledged", () => service.status().delivered === sent.length + 1, 60_000);
    await until("all arrived", () => receiver.first.length === sent.length + 1, 60_000);
    assert.equal(service.status().protocol, "3.1.1");
    assert.equal(service.status().lastError?.["code"], "ERR_UPLINK_REFUSED", "it knows no MQTT 5");
    assert.deepEqual(
      receiver.of("cloud/plant/a").map(({ payload }) => payload),
      sent,
    );
  });

  it("goes on over the second node when the way to the first one is gone", async () => {
    const { journal, receiver, service, way } = await field();
    const sent = backlog(journal, 3000);
    await until("a part arrived", () => receiver.first.length > 500, 60_000);
    await way.stop();
    await until("all arrived", () => receiver.first.length === sent.length, 60_000);
    assert.ok(service.status().failures >= 1);
    assert.equal(service.status().endpoint, endpointOf(cluster.nodes[1]?.port));
    assert.deepEqual(
      receiver.first.map(({ payload }) => payload),
      sent,
    );
  });

  it("says in an envelope which message it is, where 3.1.1 has no user properties", async () => {
    const opened: (ReturnType<typeof openEnvelope> | null)[] = [];
    const receiver = await CloudReceiver.start({
      port: cluster.nodes[1]?.port ?? 0,
      protocol: 4,
      clientId: "opener",
      filter: "cloud/plant/#",
      onArrival: (_, payload) => opened.push(openEnvelope(payload)),
    });
    ends.push(() => receiver.stop());
    const { journal } = await field({ envelope: "header" });
    const sent = backlog(journal, 200);
    await until("all arrived", () => opened.length >= sent.length, 60_000);
    assert.deepEqual(
      opened.map((one) => [one?.identity["fg-journal"], one?.identity["fg-seq"]]),
      sent.map((_, index) => [journal.id, String(index + 1)]),
    );
    assert.deepEqual(
      opened.map((one) => Buffer.from(one?.payload ?? []).toString()),
      sent,
    );
  });

  // Last: nobody waits until that node is there again.
  it("loses nothing when the node that it sends to is killed and started again", async () => {
    const { journal, receiver } = await field();
    const sent = backlog(journal, 5000);
    await until("a part arrived", () => receiver.first.length > 500, 60_000);
    // Of two nodes one has no majority: the plug-in lets nobody connect until both are there again.
    await cluster.nodes[0]?.kill();
    // Where it is needed is long before it listens again, a minute or two later.
    void cluster.nodes[0]?.start().catch(() => undefined);
    await until("all arrived", () => receiver.first.length === sent.length, 120_000);
    assert.deepEqual(
      receiver.first.map(({ payload }) => payload),
      sent,
    );
  });

  /** An uplink that knows both nodes and begins with the first, and a receiver at the second. */
  async function field(changes: Partial<UplinkConfig> = {}) {
    const [first, second] = cluster.nodes;
    const way = await FaultyProxy.start(() => first?.port ?? 0);
    let open = true;
    const stop = way.stop.bind(way);
    way.stop = async () => {
      if (open) await stop();
      open = false;
    };
    ends.push(() => way.stop());
    const receiver = await CloudReceiver.start({
      port: second?.port ?? 0,
      protocol: 4,
      clientId: `receiver-${++receivers}`,
      filter: "cloud/#",
    });
    ends.push(() => receiver.stop());
    const journal = new MemorySource();
    const service: Uplink = await startUplink(journal, {
      endpoints: [endpointOf(way.port), endpointOf(second?.port)],
      acknowledgeTimeoutMs: 15_000,
      connectTimeoutMs: 15_000,
      backoffMaxMs: 500,
      ...changes,
    });
    ends.push(() => service.stop());
    return { journal, receiver, service, way };
  }
});

function endpointOf(port = 0): string {
  return `mqtt://127.0.0.1:${port}`;
}

/** Numbered messages of one topic; the payload is what tells them apart. */
function backlog(journal: MemorySource, count: number): string[] {
  const sent = Array.from({ length: count }, (_, index) => `reading ${index}`);
  for (const payload of sent) journal.append(2, "plant/a", payload);
  journal.commit();
  return sent;
}
