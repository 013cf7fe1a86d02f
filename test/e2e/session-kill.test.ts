import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import type { Packet } from "mqtt-packet";
import { ack, publish, subscribe } from "../support/mqtt-words.ts";
import { Program } from "../support/program.ts";
import { RawClient } from "../support/raw-client.ts";
import { until } from "../support/until.ts";

const KEEPER = { clientId: "keeper", clean: false };
const SENDER = { clientId: "sender", clean: false };
const MESSAGES = 100;
/** Of the second life of the gateway: it is killed again when the keeper has this one. */
const KILLED_AT = 50;
/** The message of QoS 2 that is half sent when the gateway is killed. */
const HALF_SENT = MESSAGES + 1;

it("a persistent session comes out of SIGKILL with its queue in order, what was in flight, and the state of QoS 2", async () => {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-session-"));
  const gateway = new Program(await configure(directory));
  try {
    let port = await gateway.start();
    const before = await RawClient.connected(port, KEEPER);
    await subscribe(before, "a", 2);
    const first = await leaveHalfDone(port, before);
    await gateway.kill();

    port = await gateway.start();
    await repeatHalfSent(port);
    const keeper = await RawClient.connected(port, KEEPER);
    const second = await answering(keeper, ({ payload }) => payload >= KILLED_AT);
    assert.equal(second.sessionPresent, true);
    const [one, two, three] = first;
    assert.deepEqual(
      second.released,
      [one?.messageId],
      "the first is not sent again, but released",
    );
    // Acknowledged, but behind one that is not complete: QoS 1 may come again, and nothing is written for it.
    assert.deepEqual(second.came[0], { ...two, dup: true });
    assert.deepEqual(second.came[1], { ...three, dup: true });
    await gateway.kill();

    port = await gateway.start();
    const last = await RawClient.connected(port, KEEPER);
    const third = await answering(last, ({ payload }) => payload === HALF_SENT);
    assert.equal(third.sessionPresent, true);

    const numbers = [...second.came, ...third.came].map(({ payload }) => payload);
    const expected = Array.from({ length: HALF_SENT - 1 }, (_, i) => i + 2);
    assert.deepEqual([...new Set(numbers)], expected, "every one, in order");
    const later = third.came.map(({ payload }) => payload);
    assert.deepEqual(
      later,
      [...new Set(later)].sort((a, b) => a - b),
      "in order, each once",
    );
    const again = third.came.filter(({ payload }) => second.done.has(payload));
    assert.deepEqual(
      again.filter(({ qos }) => qos === 2),
      [],
      "QoS 2 that was completed came again",
    );
    for (const { dup, payload } of again) assert.ok(dup, `${payload} came again without DUP`);
    await last.settled();
    assert.equal(last.received.filter(({ cmd }) => cmd === "publish").length, third.came.length);
  } finally {
    await gateway.kill();
    await rm(directory, { recursive: true, force: true });
  }
});

interface Came {
  readonly payload: number;
  readonly qos: number;
  readonly messageId: number | undefined;
  readonly dup: boolean;
}

/** The keeper says PUBREC to the first, PUBACK to the second, and nothing more; the sender leaves one message of QoS 2 half sent. */
async function leaveHalfDone(port: number, keeper: RawClient): Promise<Came[]> {
  const sender = await RawClient.connected(port, SENDER);
  for (let i = 1; i <= HALF_SENT; i++) {
    const qos = qosOf(i);
    sender.send(publish("a", `${i}`, qos, i));
    await sender.next(qos === 1 ? "puback" : "pubrec");
    if (qos === 1 || i === HALF_SENT) continue;
    sender.send(ack("pubrel", i));
    await sender.next("pubcomp");
  }
  await until("the window is full", () => messagesOf(keeper).length === 32);
  const came = messagesOf(keeper);
  keeper.send(ack("pubrec", came[0]?.messageId), ack("puback", came[1]?.messageId));
  await keeper.next("pubrel");
  return came;
}

/** The gateway has it, and knows that after the kill. */
async function repeatHalfSent(port: number): Promise<void> {
  const sender = await RawClient.connected(port, SENDER);
  assert.equal(sessionPresent(sender), true);
  sender.send({ ...publish("a", `${HALF_SENT}`, 2, HALF_SENT), dup: true });
  await sender.next("pubrec");
  sender.send(ack("pubrel", HALF_SENT));
  await sender.next("pubcomp");
  sender.drop();
}

/** Acknowledges what comes, until a message that `isLast`; tells what came and what was acknowledged to the end. */
async function answering(client: RawClient, isLast: (came: Came) => boolean) {
  const done = new Set<number>();
  const released: (number | undefined)[] = [];
  const came: Came[] = [];
  const byId = new Map<number | undefined, number>();
  let read = 0;
  const answer = (packet: Packet) => {
    if (packet.cmd === "publish") {
      const message = cameIn(packet);
      came.push(message);
      byId.set(message.messageId, message.payload);
      client.send(ack(message.qos === 1 ? "puback" : "pubrec", message.messageId));
    } else if (packet.cmd === "pubrel") {
      const payload = byId.get(packet.messageId);
      if (payload === undefined) released.push(packet.messageId);
      else done.add(payload);
      client.send(ack("pubcomp", packet.messageId));
    }
  };
  await until("the last message", () => {
    while (read < client.received.length && !came.some(isLast)) {
      answer(client.received[read++] as Packet);
    }
    return came.some(isLast);
  });
  return { sessionPresent: sessionPresent(client), came, released, done };
}

function messagesOf(client: RawClient): Came[] {
  return client.received.flatMap((packet) => (packet.cmd === "publish" ? [cameIn(packet)] : []));
}

function cameIn({ payload, qos, messageId, dup }: Extract<Packet, { cmd: "publish" }>): Came {
  return { payload: Number(payload.toString()), qos, messageId, dup };
}

function sessionPresent(client: RawClient): boolean | undefined {
  return client.received.find((packet) => packet.cmd === "connack")?.sessionPresent;
}

/** Odd ones have 2: the first, for which PUBREC is said, and the half sent one, too. */
function qosOf(number: number): 1 | 2 {
  return number % 2 === 1 ? 2 : 1;
}

async function configure(directory: string): Promise<string> {
  const path = join(directory, "fieldgate.yaml");
  const config = {
    store: { path: join(directory, "store") },
    listeners: [{ name: "test", port: 0 }],
    control: { socket: join(directory, "control.sock") },
  };
  await writeFile(path, JSON.stringify(config));
  return path;
}
