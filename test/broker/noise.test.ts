import assert from "node:assert/strict";
import type { Duplex } from "node:stream";
import { describe, it } from "node:test";
import { testListener, withBroker } from "../support/broker.ts";
import { checkAsBefore, memory } from "../support/memory.ts";
import { ack, payloads, publish, subscribe } from "../support/mqtt-words.ts";
import { inWebSocket, mutated, mutatedConversation, pureNoise, sliced } from "../support/noise.ts";
import { seededRandom } from "../support/random.ts";
import { RawClient } from "../support/raw-client.ts";
import { until } from "../support/until.ts";
import {
  clientHello,
  dial,
  dialTcp,
  dialTls,
  WIRES,
  type Wire,
  withCertificates,
} from "../support/wires.ts";

const LONG = process.env["FIELDGATE_TEST_LONG"] !== undefined;
/** A handshake of TLS costs a hundred times what an accept does. */
const CONNECTIONS: Readonly<Record<Wire, number>> = { tcp: 1000, ws: 600, tls: 300, wss: 300 };
const AT_ONCE = 50;
/** No noise is ever published there but by a chance that there is not. */
const WITNESSED = "witness/of/the/noise";

type Made = (random: () => number) => Buffer;

/** What a connection is made to send, below which handshakes it is sent, and whether it comes in pieces. */
interface Noise {
  readonly bytes: Buffer;
  readonly secured: boolean;
}

describe("noise", () => {
  for (const wire of WIRES) {
    for (const [name, made] of [
      ["mutations of a conversation", mutatedConversation],
      ["pure noise", pureNoise],
    ] as const) {
      const connections = LONG ? 10_000 : CONNECTIONS[wire];
      it(`over ${wire} closes connections, crashes and leaks nothing, disturbs nobody: ${connections} times ${name}`, () =>
        withCertificates(async ({ server }) => {
          const secure = wire === "tls" || wire === "wss";
          const files = { certFile: server.cert, keyFile: server.key };
          // Fifty handshakes at once take their time where others use the machine, too.
          const listener = testListener({
            type: wire,
            handshakeTimeoutMs: 60_000,
            ...(secure && files),
          });
          // Noise makes sessions and retained messages, too.
          const options = { listeners: [listener], sessionsMax: 10, retainedMax: 10 };
          await withBroker(
            ({ port, broker }) => flood(wire, made, connections, port, broker),
            options,
          );
        }));
    }
  }
});

async function flood(
  wire: Wire,
  made: Made,
  connections: number,
  port: number,
  broker: Parameters<Parameters<typeof withBroker>[0]>[0]["broker"],
): Promise<void> {
  const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  const random = seededRandom(seed);
  const hello = await clientHello();
  const witness = await RawClient.connected(await dial(wire, port), { clientId: "witness" });
  await subscribe(witness, WITNESSED, 1);
  const send = async (count: number) => {
    for (let done = 0; done < count; done += AT_ONCE) {
      const noises = Array.from({ length: AT_ONCE }, () => noiseOver(wire, random, made, hello));
      const streams = await Promise.all(noises.map((noise) => sent(port, random, noise)));
      await isServed(witness);
      for (const stream of streams) stream.destroy();
    }
    await until(`all are gone, SEED=${seed}`, () => broker.status().listeners[0]?.sockets === 1);
  };
  // As many before: a leak grows with each round, while what an engine compiles and keeps in reserve does not.
  await send(connections);
  const before = await memory();
  await send(connections);
  checkAsBefore(before, await memory(), `SEED=${seed}`);
  assert.equal(broker.status().connections, 1);
  assert.ok(Object.keys(broker.status().closed).length > 3, `SEED=${seed}`);
  witness.drop();
}

/** A message of its own comes back to a client beside the noise, once and as it was. */
async function isServed(witness: RawClient): Promise<void> {
  const payload = `${Math.random()}`;
  witness.forget();
  witness.send(publish(WITNESSED, payload, 1, 1));
  await witness.next("puback");
  await witness.settled();
  assert.deepEqual(payloads(witness), [payload]);
  const came = witness.received.find(({ cmd }) => cmd === "publish");
  witness.send(ack("puback", came?.cmd === "publish" ? came.messageId : 0));
}

/** On each wire the noise meets every layer: the handshake of TLS, that of WebSocket, its frames, MQTT. */
function noiseOver(wire: Wire, random: () => number, made: Made, hello: Buffer): Noise {
  const secure = wire === "tls" || wire === "wss";
  if (secure && random() < 0.3) {
    return { bytes: made === pureNoise ? made(random) : mutated(random, hello), secured: false };
  }
  const bytes = made(random);
  const isRaw = wire === "tcp" || wire === "tls" || random() < 0.1;
  return { bytes: isRaw ? bytes : inWebSocket(random, bytes), secured: secure };
}

async function sent(port: number, random: () => number, noise: Noise): Promise<Duplex> {
  const stream = noise.secured ? await dialTls(port) : await dialTcp(port);
  stream.resume();
  const inOne = random() < 0.7;
  for (const piece of inOne ? [noise.bytes] : sliced(random, noise.bytes)) stream.write(piece);
  return stream;
}
