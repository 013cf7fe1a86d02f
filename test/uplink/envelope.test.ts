import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { afterEach, describe, it } from "node:test";
import type { EntryTime } from "../../src/base/timepiece.ts";
import type { UplinkConfig } from "../../src/config/schema.ts";
import { IdentityEnvelope } from "../../src/uplink/identity-envelope.ts";
import { MemorySource } from "../support/memory-source.ts";
import { openEnvelope, READER } from "../support/open-envelope.ts";
import { seededRandom } from "../support/random.ts";
import { accept, ScriptedBroker } from "../support/scripted-broker.ts";
import { until } from "../support/until.ts";
import { startUplink } from "../support/uplink-rig.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const ends: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

describe("the envelope", () => {
  it("says which message it is, of which epoch, from when, and what the clock was worth", () => {
    const journal = "ab".repeat(16);
    const envelope = new IdentityEnvelope(journal, { gateway: "gw-a", site: "plant-7" }, 12);
    const time: EntryTime = {
      bootId: "cd".repeat(16),
      quality: () => "unset",
      shiftMs: () => 0,
      bootMs: (wallMs) => wallMs - 1000,
      ageMs: () => null,
    };
    const opened = openEnvelope(envelope.wrap({ ...entryOf(7, 1500, "21.5 °C"), time }));
    assert.deepEqual(opened?.identity, {
      "fg-journal": journal,
      "fg-gateway": "gw-a",
      "fg-site": "plant-7",
      "fg-epoch": "12",
      "fg-seq": "7",
      "fg-time": "1970-01-01T00:00:01.500Z",
      "fg-clock": "unset",
      "fg-boot": "cd".repeat(16),
      "fg-boot-ms": "500",
    });
    assert.equal(Buffer.from(opened?.payload ?? []).toString(), "21.5 °C");
  });

  it(`gives back any payload, bit for bit (SEED=${SEED})`, () => {
    const random = seededRandom(SEED);
    const envelope = new IdentityEnvelope("j", { gateway: "straße", site: '"\\' }, null);
    for (let round = 0; round < 300; round++) {
      const bytes = Buffer.alloc(Math.floor(random() * 300), 0).map(() => random() * 256);
      const seq = Math.floor(random() * Number.MAX_SAFE_INTEGER);
      const opened = openEnvelope(envelope.wrap(entryOf(seq, 0, bytes)));
      assert.deepEqual(Buffer.from(opened?.payload ?? []), Buffer.from(bytes));
      assert.deepEqual(
        [opened?.identity["fg-seq"], opened?.identity["fg-gateway"], opened?.identity["fg-site"]],
        [String(seq), "straße", '"\\'],
      );
    }
  });

  it("is not seen by its reader where there is none", () => {
    const whole = new IdentityEnvelope("j", { gateway: "g", site: "s" }, null).wrap(
      entryOf(1, 0, ""),
    );
    const others = [
      "",
      "FGE1",
      "21.5",
      "FGE2\0\x02{}",
      "FGE1\0\x02[]",
      "FGE1\0\x04null",
      "FGE1\0\x01{",
    ];
    for (const text of others) assert.equal(openEnvelope(Buffer.from(text, "latin1")), null, text);
    for (let length = 0; length < whole.length; length++) {
      assert.equal(openEnvelope(whole.subarray(0, length)), null, `cut at ${length}`);
    }
    assert.notEqual(openEnvelope(whole), null);
  });

  it("is opened by the reader as a program", () => {
    const envelope = new IdentityEnvelope("j", { gateway: "g", site: "s" }, null);
    const read = (input: Buffer) => spawnSync(process.execPath, [READER], { input });
    const { stdout, status } = read(envelope.wrap(entryOf(3, 0, "21.5")));
    assert.equal(status, 0);
    const [header = "", payload] = stdout.toString().split("\n");
    assert.deepEqual([JSON.parse(header)["fg-seq"], payload], ["3", "21.5"]);
    assert.equal(read(Buffer.from("21.5")).status, 1);
  });
});

describe("the uplink with envelopes", () => {
  it("tells a cloud of 3.1.1 who each message is, records of losses too, so that repeats are told apart", async () => {
    const broker = await ScriptedBroker.start({
      connected(visit) {
        if (visit.version === 4) accept(visit);
        else visit.send({ cmd: "connack", sessionPresent: false, reasonCode: 0x84 });
      },
    });
    ends.push(() => broker.stop());
    const { service, journal } = await uplinkTo(broker.endpoint, { envelope: "header" });
    for (let count = 0; count < 50; count++) journal.append(2, "plant/a", `reading ${count}`);
    journal.append(2, "unrouted", "x");
    journal.commit();
    await until("delivered", () => service.status().delivered === 51);
    assert.equal(service.status().protocol, "3.1.1");
    const opened = broker.published.map(({ payload }) => openEnvelope(Buffer.from(payload)));
    const ids = opened.map((one) => `${one?.identity["fg-journal"]}/${one?.identity["fg-seq"]}`);
    const seqs = [...Array.from({ length: 50 }, (_, index) => index + 1), 52];
    assert.deepEqual(
      ids,
      seqs.map((seq) => `${journal.id}/${seq}`),
    );
    const payloads = opened.map((one) => Buffer.from(one?.payload ?? []).toString());
    assert.equal(payloads[49], "reading 49");
    assert.deepEqual(JSON.parse(payloads[50] ?? "").dropped, { unrouted: 1 });
  });

  it("sends bare payloads under MQTT 5, where the user properties say it", async () => {
    const broker = await ScriptedBroker.start();
    ends.push(() => broker.stop());
    const { service, journal } = await uplinkTo(broker.endpoint, { envelope: "header" });
    journal.append(2, "plant/a", "bare");
    journal.commit();
    await until("delivered", () => service.status().delivered === 1);
    assert.equal(broker.published[0]?.payload.toString(), "bare");
  });
});

function entryOf(seq: number, wallMs: number, payload: string | Uint8Array) {
  const bytes = Buffer.from(payload as string);
  const message = { topic: "t", payload: bytes, qos: 1, retain: false, properties: null } as const;
  return { seq, wallMs, message };
}

async function uplinkTo(endpoint: string, changes: Partial<UplinkConfig>) {
  const journal = new MemorySource();
  const service = await startUplink(journal, {
    endpoints: [endpoint],
    connectTimeoutMs: 15_000,
    ...changes,
  });
  ends.push(() => service.stop());
  return { service, journal };
}
