import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { describe, it } from "node:test";
import { withBroker } from "../support/broker.ts";
import { collectGarbage } from "../support/collect-garbage.ts";
import { publish } from "../support/mqtt-words.ts";
import { mutatedConversation, pureNoise, sliced } from "../support/noise.ts";
import { seededRandom } from "../support/random.ts";
import { RawClient } from "../support/raw-client.ts";
import { until } from "../support/until.ts";

const LONG = process.env["FIELDGATE_TEST_LONG"] !== undefined;
const MIB = 2 ** 20;

describe("memory", () => {
  it("is not taken by what a client announces before its CONNECT, or after it", () =>
    withBroker(async ({ port, broker }) => {
      const clients = await Promise.all(
        Array.from({ length: 200 }, async (_, i) => {
          if (i % 2 === 0) return RawClient.open(port);
          return RawClient.connected(port, { clientId: `${i}` });
        }),
      );
      const before = await memory();
      for (const [i, client] of clients.entries()) {
        // 16,000 bytes of CONNECT, or a megabyte of PUBLISH: what the bounds allow.
        if (i % 2 === 0) client.send([0x10, 0x80, 0x7d, 0, 4]);
        else client.send([0x30, 0xf0, 0xff, 0x3f, 0, 1, 97]);
      }
      const witness = await RawClient.connected(port, { clientId: "witness" });
      await witness.settled();
      const after = await memory();
      assert.equal(broker.status().connections, clients.length + 1, "nobody was refused");
      assert.ok(
        after.buffers - before.buffers < MIB,
        `${after.buffers - before.buffers} bytes more`,
      );
      assert.ok(after.resident - before.resident < 20 * MIB, "resident memory");
      for (const client of [...clients, witness]) client.drop();
    }));

  it(`and descriptors are after ${LONG ? 30_000 : 3000} connections as before`, () =>
    withBroker(async ({ port, broker }) => {
      const churn = async (count: number) => {
        for (let done = 0; done < count; done += 50) {
          await Promise.all(Array.from({ length: 50 }, (_, i) => comeAndGo(port, done + i)));
        }
        await until("all are gone", () => broker.status().connections === 0);
      };
      const connections = LONG ? 30_000 : 3000;
      // As many before: a leak grows with each round, while what an engine compiles and keeps in reserve does not.
      await churn(connections);
      const before = await memory();
      await churn(connections);
      checkAsBefore(before, await memory());
      assert.equal(broker.status().sessions, 0);
    }));
});

describe("noise", () => {
  for (const [name, made] of [
    ["mutations of a conversation", mutatedConversation],
    ["pure noise", pureNoise],
  ] as const) {
    const connections = LONG ? 10_000 : 2000;
    it(`closes connections, crashes and leaks nothing, disturbs nobody: ${connections} times ${name}`, () =>
      withBroker(
        async ({ port, broker }) => {
          const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
          const random = seededRandom(seed);
          const witness = await RawClient.connected(port, { clientId: "witness" });
          const send = async (count: number) => {
            for (let done = 0; done < count; done += 50) await noisy(port, random, made, witness);
            await until("all are gone", () => broker.status().connections === 1);
          };
          await send(1000);
          const before = await memory();
          await send(connections);
          checkAsBefore(before, await memory(), `SEED=${seed}`);
          assert.ok(Object.keys(broker.status().closed).length > 3, `SEED=${seed}`);
        },
        { sessionsMax: 10, retainedMax: 10 }, // noise makes sessions and retained messages, too
      ));
  }
});

/** Fifty connections that send noise: some in one piece, some in many. */
async function noisy(
  port: number,
  random: () => number,
  made: (random: () => number) => Buffer,
  witness: RawClient,
): Promise<void> {
  const clients = await Promise.all(Array.from({ length: 50 }, () => RawClient.open(port)));
  for (const client of clients) {
    const bytes = made(random);
    for (const piece of random() < 0.7 ? [bytes] : sliced(random, bytes)) client.send(piece);
  }
  await witness.settled();
  for (const client of clients) client.drop();
}

async function comeAndGo(port: number, index: number): Promise<void> {
  const client = await RawClient.connected(port, { clientId: `churn-${index}` });
  const subscriptions = [{ topic: `churn/${index}/#`, qos: 1 as const }];
  client.send({ cmd: "subscribe", messageId: 1, subscriptions });
  client.send(publish(`churn/${index}/x`, "x", 1, 2));
  await client.next("publish");
  if (index % 2 === 0) client.send({ cmd: "disconnect" });
  else client.drop();
  await client.ended();
}

interface Memory {
  readonly heap: number;
  readonly buffers: number;
  readonly resident: number;
  readonly descriptors: number;
}

async function memory(): Promise<Memory> {
  await collectGarbage();
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  const descriptors = readdirSync("/proc/self/fd").length;
  return { heap: heapUsed, buffers: arrayBuffers, resident: rss, descriptors };
}

/** Within ten percent, and what the journal in memory keeps until it trims. */
function checkAsBefore(before: Memory, after: Memory, seed = ""): void {
  const said = `${seed} ${JSON.stringify({ before, after })}`;
  assert.ok(after.heap < before.heap * 1.1 + MIB, `heap: ${said}`);
  assert.ok(after.resident < before.resident * 1.1 + 10 * MIB, `resident: ${said}`);
  assert.ok(after.buffers < before.buffers * 1.1 + 2 * MIB, `buffers: ${said}`);
  assert.ok(after.descriptors <= before.descriptors * 1.1, `descriptors: ${said}`);
}
