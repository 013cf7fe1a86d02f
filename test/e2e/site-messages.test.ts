import assert from "node:assert/strict";
import { it } from "node:test";
import type { IPublishPacket } from "mqtt-packet";
import { RawClient } from "../support/raw-client.ts";
import { type SiteGateway, withTwoGateways } from "../support/site-gateway.ts";
import { until } from "../support/until.ts";

it("a message published at one gateway reaches subscribers at every gateway once, in order, of each QoS, and those that were away", () =>
  withTwoGateways(async (a, b) => {
    const away = await subscriber(b, "away", false);
    away.drop();
    const here = await subscriber(b, "here", true);
    const home = await subscriber(a, "home", true);
    await until("a knows what b wants", async () => {
      const probe = await RawClient.connected(a.port, { clientId: "probe" });
      probe.send(publish("probe", 0, 0));
      await probe.settled();
      probe.drop();
      return texts(here).includes("probe 0");
    });

    const publisher = await RawClient.connected(a.port, { clientId: "publisher" });
    for (let n = 1; n <= 100; n++) publisher.send(publish(`q${n % 3}`, n, (n % 3) as 0 | 1 | 2));
    await until(
      "acknowledged",
      () => count(publisher, "puback") + count(publisher, "pubrec") >= 66,
    );
    for (const qos of [0, 1, 2]) {
      const wanted = Array.from({ length: 100 }, (_, n) => n + 1)
        .filter((n) => n % 3 === qos)
        .map((n) => `q${qos} ${n}`);
      for (const client of [home, here]) await came(client, wanted);
    }

    await b.program.kill();
    publisher.send(publish("late", 101, 1));
    await b.start();
    const back = await RawClient.connected(b.port, { clientId: "away", clean: false });
    const kept = Array.from({ length: 100 }, (_, n) => n + 1).filter((n) => n % 3 === 1);
    await came(back, [...kept.map((n) => `q1 ${n}`)]);
    await came(back, ["late 101"]);
    const { replication } = await a.status();
    assert.equal(replication?.counters.messagesFed, 0, "nothing came back to where it was");
  }));

it("retained messages are the site's: at every gateway the last one of a topic is the same, and one that is taken away is gone", () =>
  withTwoGateways(async (a, b) => {
    const atA = await RawClient.connected(a.port, { clientId: "at-a" });
    const atB = await RawClient.connected(b.port, { clientId: "at-b" });
    const retain = (client: RawClient, n: number, payload = `r ${n}`) =>
      client.send({ ...publish("r", n, 1), topic: "plant/r", payload, retain: true });
    const retained = async (gateway: SiteGateway) => {
      const client = await subscriber(gateway, "reader", true);
      await client.settled();
      client.drop();
      return texts(client).join();
    };
    const agree = (text: string) =>
      until(`both have ${text}`, async () => {
        return (await retained(a)) === text && (await retained(b)) === text;
      });
    retain(atA, 1);
    await agree("r 1");
    retain(atB, 2);
    await agree("r 2");
    for (let n = 3; n <= 40; n++) retain(n % 2 === 0 ? atA : atB, n);
    await until("all are taken", () => count(atA, "puback") + count(atB, "puback") === 40);
    await until("they agree", async () => {
      const [one, other] = [await retained(a), await retained(b)];
      return one === other && /^r \d+$/.test(one);
    });
    retain(atA, 41, "");
    await agree("");
  }));

async function subscriber(gateway: SiteGateway, clientId: string, clean: boolean) {
  const client = await RawClient.connected(gateway.port, { clientId, clean });
  const subscriptions = [{ topic: "plant/#", qos: 1 as const }];
  client.send({ cmd: "subscribe", messageId: 1, subscriptions });
  await client.next("suback");
  return client;
}

function publish(name: string, n: number, qos: 0 | 1 | 2): IPublishPacket {
  const bare = { cmd: "publish" as const, topic: `plant/${name}`, payload: `${name} ${n}` };
  const packet = { ...bare, qos, retain: false, dup: false };
  return qos === 0 ? packet : { ...packet, messageId: n };
}

function texts(client: RawClient): string[] {
  return client.received.flatMap((packet) =>
    packet.cmd === "publish" ? [packet.payload.toString()] : [],
  );
}

function count(client: RawClient, cmd: string): number {
  return client.received.filter((packet) => packet.cmd === cmd).length;
}

/** Of QoS 1: its window would be full otherwise. */
function acknowledge(client: RawClient): void {
  const done = acknowledged.get(client) ?? 0;
  acknowledged.set(client, client.received.length);
  for (const packet of client.received.slice(done)) {
    if (packet.cmd !== "publish" || packet.qos !== 1) continue;
    client.send({ cmd: "puback", messageId: packet.messageId ?? 0 });
  }
}

const acknowledged = new Map<RawClient, number>();

/** These came, each once, in this order; of the same name nothing else did. */
async function came(client: RawClient, wanted: readonly string[]): Promise<void> {
  const name = wanted[0]?.split(" ")[0] ?? "";
  const ours = () => texts(client).filter((text) => text.startsWith(`${name} `));
  await until(`${name} came`, () => {
    acknowledge(client);
    return ours().length >= wanted.length;
  });
  await client.settled();
  assert.deepEqual(ours(), wanted);
}
