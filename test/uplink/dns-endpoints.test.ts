import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { once } from "node:events";
import { afterEach, describe, it } from "node:test";
import { FieldgateError } from "../../src/base/errors.ts";
import { findCandidates, type SrvRecord } from "../../src/uplink/dns-endpoints.ts";
import { MemorySource } from "../support/memory-source.ts";
import { ScriptedBroker } from "../support/scripted-broker.ts";
import { until } from "../support/until.ts";
import { startUplink } from "../support/uplink-rig.ts";

const ends: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

const RECORD: SrvRecord = { name: "b1.example.com", port: 8884, priority: 5, weight: 7 };

describe("DNS SRV", () => {
  it("says hosts, ports, priorities and weights; user and password come from the URL", async () => {
    const endpoints = ["mqtt://plain:1", "srv+mqtts://me:p%40ss@_mqtt._tcp.example.com"];
    const asked: string[] = [];
    const found = await findCandidates(endpoints, async (name) => {
      asked.push(name);
      return [RECORD, { ...RECORD, name: "B2.Example.com." }];
    });
    assert.deepEqual(asked, ["_mqtt._tcp.example.com"]);
    assert.deepEqual(
      found.map(({ endpoint, place, priority, weight }) => [endpoint, place, priority, weight]),
      [
        ["mqtt://plain:1", 0, 0, 1],
        ["mqtts://me:p%40ss@b1.example.com:8884", 1, 5, 7],
        ["mqtts://me:p%40ss@B2.Example.com:8884", 1, 5, 7],
      ],
    );
  });

  it("sends nobody out of its domain when a certificate is all that proves the host", async () => {
    const elsewhere = [RECORD, { ...RECORD, name: "b1.example.com.evil.net" }];
    const found = await findCandidates(
      ["srv+mqtts://_mqtt._tcp.example.com"],
      async () => elsewhere,
    );
    assert.deepEqual(
      found.map(({ endpoint }) => endpoint),
      ["mqtts://b1.example.com:8884"],
    );
    const plain = await findCandidates(
      ["srv+mqtt://_mqtt._tcp.example.com"],
      async () => elsewhere,
    );
    assert.equal(plain.length, 2);
    await checkRefuses([{ ...RECORD, name: "evilexample.com" }]);
  });

  it("may say that there is no such service, or nothing", async () => {
    await checkRefuses([{ ...RECORD, name: "." }]);
    await checkRefuses([{ ...RECORD, name: "" }]);
    await checkRefuses([]);
  });
});

describe("an uplink to a name", () => {
  it("connects to what DNS says, asks again for each connection, and goes on with what it knew", async () => {
    const [one, two] = [await ScriptedBroker.start(), await ScriptedBroker.start()];
    ends.push(
      () => one.stop(),
      () => two.stop(),
    );
    const portOf = (broker: ScriptedBroker) => Number(new URL(broker.endpoint).port);
    let says: (() => SrvRecord[]) | null = null;
    const service = await startUplink(
      new MemorySource(),
      { endpoints: ["srv+mqtt://_mqtt._tcp.site.test"] },
      {
        lookupSrv: async () => {
          if (says === null) throw new Error("SERVFAIL");
          return says();
        },
      },
    );
    ends.push(() => service.stop());
    await until("failed", () => service.status().failures > 0);
    assert.equal(service.status().lastError?.["code"], "ERR_UPLINK_LOOKUP");
    const at = (broker: ScriptedBroker) => ({ ...RECORD, name: "127.0.0.1", port: portOf(broker) });
    says = () => [at(one)];
    await until("connected", () => service.status().state === "connected");
    assert.equal(service.status().endpoint, one.endpoint);
    says = () => [at(two)];
    one.hangUpOnAll();
    await until("moved", () => service.status().endpoint === two.endpoint);
    await until("connected", () => service.status().state === "connected");
    says = null;
    two.hangUpOnAll();
    await until("back", () => two.visits.length === 2 && service.status().state === "connected");
  });

  it("asks a real resolver", async () => {
    const broker = await ScriptedBroker.start();
    ends.push(() => broker.stop());
    const port = await nameServer(Number(new URL(broker.endpoint).port));
    const resolver = new Resolver({ timeout: 2000, tries: 2 });
    resolver.setServers([`127.0.0.1:${port}`]);
    const service = await startUplink(
      new MemorySource(),
      { endpoints: ["srv+mqtt://_mqtt._tcp.site.test"] },
      { lookupSrv: (name) => resolver.resolveSrv(name) },
    );
    ends.push(() => service.stop());
    await until("connected", () => service.status().state === "connected");
    assert.equal(service.status().endpoint, broker.endpoint.replace("127.0.0.1", "localhost"));
  });
});

async function checkRefuses(records: readonly SrvRecord[]): Promise<void> {
  await assert.rejects(
    findCandidates(["srv+mqtts://u:secret@_mqtt._tcp.example.com"], async () => records),
    (error) => {
      assert.ok(error instanceof FieldgateError);
      assert.equal(error.code, "ERR_UPLINK_LOOKUP");
      assert.doesNotMatch(JSON.stringify(error.details), /secret/);
      return true;
    },
  );
}

/** A name server that answers every question with one SRV record: localhost and the port (RFC 1035, RFC 2782). */
async function nameServer(brokerPort: number): Promise<number> {
  const socket = createSocket("udp4");
  socket.on("message", (question, from) => {
    const header = Buffer.from(question.subarray(0, 12));
    header.writeUInt16BE(0x8180, 2); // a response, recursion available
    header.writeUInt16BE(1, 6);
    header.writeUInt32BE(0, 8);
    const end = question.indexOf(0, 12) + 5;
    const target = Buffer.from("\u0009localhost\u0000");
    const record = Buffer.alloc(18);
    record.writeUInt16BE(0xc00c, 0); // the name of the question
    record.writeUInt16BE(33, 2); // SRV
    record.writeUInt16BE(1, 4);
    record.writeUInt32BE(60, 6);
    record.writeUInt16BE(6 + target.length, 10);
    record.writeUInt16BE(brokerPort, 16);
    socket.send(Buffer.concat([header, question.subarray(12, end), record, target]), from.port);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  ends.push(async () => {
    socket.close();
    await once(socket, "close");
  });
  return socket.address().port;
}
