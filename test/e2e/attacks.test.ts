import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, it } from "node:test";
import { hashPassword } from "../../src/access/phc.ts";
import type { BrokerStatus } from "../../src/broker/broker-status.ts";
import { ask } from "../../src/control/control-client.ts";
import { publish } from "../support/mqtt-words.ts";
import { Program } from "../support/program.ts";
import { RawClient } from "../support/raw-client.ts";
import { until } from "../support/until.ts";

const RATE = "too many new connections a second";

/** What each attack is counted as: closed, or dropped. */
const ATTACKS: readonly (readonly [name: string, what: string, reason: string])[] = [
  ["flood", "5,000 connections in a burst, again and again", `${RATE} of one address`],
  ["spread", "the same from 250 addresses", RATE],
  ["loris", "500 CONNECTs, byte by byte", "no CONNECT in time"],
  ["middle", "200 packets that do not end", "packet not finished in time"],
  ["guess", "100 connections that guess a password", "too many failed attempts"],
  ["crowd", "passwords that are guessed from 50 addresses", "wrong user or password"],
  ["subscribe", "filters full of wildcards, without end", "too many subscriptions"],
  ["halfopen", "QoS 2 that is never released", "too many QoS 2 messages wait for PUBREL"],
];

/** Those beside which an honest client logs in, for the first time, with its own password. */
const GUESSING = ["guess", "crowd"];

/** A machine that others use, too: bench/attacks.ts has the figure that is meant. */
const MS_MAX = 3000;
const LOGIN_MS_MAX = 120_000;

describe("the program serves others, and counts what it refuses, beside", () => {
  let folder = "";
  let port = 0;
  let program: Program;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "fieldgate-attacks-"));
    const usersFile = join(folder, "users");
    const hash = await hashPassword(Buffer.from("right"));
    const users = ["ann", ...GUESSING.map((name) => `${name}-login`)];
    const lines = users.map((name) => `${name}:${hash}`);
    await writeFile(usersFile, ["# fieldgate users 1", ...lines, "# end", ""].join("\n"));
    const path = join(folder, "fieldgate.yaml");
    const config = {
      store: { path: join(folder, "store") },
      listeners: [{ name: "test", port: 0 }],
      control: { socket: join(folder, "control.sock") },
      mqtt: {
        ...{ connectTimeoutMs: 1000, packetTimeoutMs: 1000, inboundInflightMax: 200 },
        ...{ subscriptionsMax: 500, overloadLagMs: 0 },
      },
      access: { usersFile, attempts: { waitMsMax: 500 } },
    };
    await writeFile(path, JSON.stringify(config));
    program = new Program(path);
    port = await program.start();
  });

  after(async () => {
    await program.terminate();
    await rm(folder, { recursive: true, force: true });
  });

  for (const [name, what, reason] of ATTACKS) {
    it(what, async () => {
      const other = await honest();
      const attacker = await begin(name);
      try {
        const times: number[] = [];
        const counted = async () => {
          const { broker } = (await ask(join(folder, "control.sock"), "status")) as {
            broker: BrokerStatus;
          };
          return (broker.closed[reason] ?? 0) + (broker.dropped[reason] ?? 0) > 0;
        };
        const measure = async () => {
          const sent = performance.now();
          other.send(publish("other", "x", 1, 1));
          await other.next("puback");
          times.push(performance.now() - sent);
        };
        await until("it is counted", async () => {
          await measure();
          return counted();
        });
        for (let i = 0; i < 100; i++) await measure();
        if (GUESSING.includes(name)) await login(`${name}-login`);
        const p99 = times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? 0;
        assert.ok(p99 < MS_MAX, `p99 ${p99.toFixed(1)} ms`);
      } finally {
        attacker.kill("SIGKILL");
        other.drop();
      }
    });
  }

  /** Who is served meanwhile. The attack before may have used up the second's connections. */
  async function honest(): Promise<RawClient> {
    let client: RawClient | null = null;
    await until("an honest one is in", async () => {
      client = await RawClient.connected(port, { clientId: "other" }).catch(() => null);
      return client !== null;
    });
    return client as unknown as RawClient;
  }

  /** Somebody who was not here before gets in, trying again where it is told to come later. */
  async function login(clientId: string): Promise<void> {
    const words = { clientId, username: clientId, password: Buffer.from("right") };
    await until(
      "an honest one is in",
      async () => {
        const client = await RawClient.open(port);
        client.send({ cmd: "connect", clean: true, keepalive: 0, ...words });
        const code = await client.next("connack").then(
          ({ returnCode }) => returnCode,
          () => 3,
        );
        client.drop();
        assert.notEqual(code, 4);
        return code === 0;
      },
      LOGIN_MS_MAX,
    );
  }

  async function begin(name: string): Promise<ChildProcess> {
    const argv = ["bench/support/attacker.mjs", name, String(port)];
    const child = spawn(process.execPath, argv, { stdio: ["pipe", "pipe", "inherit"] });
    await once(createInterface({ input: child.stdout }), "line");
    return child;
  }
});
