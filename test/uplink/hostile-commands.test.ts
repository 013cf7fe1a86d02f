import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { generate } from "mqtt-packet";
import type { DownConfig } from "../../src/config/schema.ts";
import { FrameReader, MORE, TOO_LONG } from "../../src/mqtt/frame.ts";
import { DownSite } from "../support/down-site.ts";
import { seededRandom } from "../support/random.ts";
import { ScriptedCommands } from "../support/scripted-commands.ts";
import { until } from "../support/until.ts";

/** What a cloud can do to us on the way down: memory stays bounded, it is said, and the next command arrives. */

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const MESSAGE_BYTES_MAX = 4096;
/** Twice as much, and 64 KiB for topic and properties. */
const PACKET_BYTES_MAX = 2 * MESSAGE_BYTES_MAX + 65_536;

const ends: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

describe("a cloud that sends too much at once", () => {
  it("is left when it announces a packet of 256 MiB, before that packet has come", async () => {
    const { cloud, field } = await begin(5);
    cloud.broker.visits.at(-1)?.write(Buffer.from([0x32, 0xff, 0xff, 0xff, 0x7f]));
    await checkLeft(field, "ERR_UPLINK_PROTOCOL", /longer than uplink\.down\.messageBytesMax/);
    await takesNext(cloud, field);
  });

  it("is left when what is too long is no command, whatever the version", async () => {
    const { cloud, field } = await begin(4);
    cloud.broker.visits.at(-1)?.write(Buffer.from([0x90, 0xff, 0xff, 0xff, 0x7f]));
    await checkLeft(field, "ERR_UPLINK_PROTOCOL", /longer than/);
    await takesNext(cloud, field);
  });

  it("is left when it sends commands before it has accepted the connection", async () => {
    const { cloud, field } = await begin(5);
    const packet = publish({ bytes: 10, messageId: 1 });
    let isRude = true;
    const { script } = cloud.broker;
    cloud.broker.script = {
      ...script,
      connected(visit) {
        if (isRude) for (let count = 0; count < 1000; count++) visit.write(packet);
        isRude = false;
        script.connected?.(visit);
      },
    };
    cloud.broker.hangUpOnAll();
    await until("left twice", () => field.service.status().failures >= 2);
    await checkLeft(field, "ERR_UPLINK_(PROTOCOL|REFUSED)", /./);
    await takesNext(cloud, field);
    assert.equal(field.routed.length, 1);
  });

  it("is acknowledged without answers while it takes none: as many wait as commands may be in flight", async () => {
    const { cloud, field } = await begin(4, { replyTopic: "answers", inflightMax: 8 });
    cloud.acknowledgesAnswers = false;
    const commands = 3000;
    for (let count = 0; count < commands; count++) {
      const packet = publish({ bytes: MESSAGE_BYTES_MAX + 1, messageId: 1 + count });
      cloud.broker.visits.at(-1)?.write(packet);
    }
    const acknowledged = () => cloud.told.filter((one) => one.startsWith("puback")).length;
    await until("all but the last", () => acknowledged() === commands - 8);
    const answersFailed = commands - 8 - cloud.answers.length;
    assert.equal(field.service.status().answersFailed, answersFailed);
    for (const [index] of cloud.answers.entries()) cloud.acknowledgeAnswer(index);
    await until("all of them", () => acknowledged() === commands);
    assert.equal(field.service.status().failures, 0);
  });

  it("is not read any more while too many commands wait for the disk", async () => {
    const { cloud, field } = await begin(4, { inflightMax: 8 });
    const release = field.site.hold();
    const commands = 3000;
    for (let count = 0; count < commands; count++) {
      cloud.broker.visits.at(-1)?.write(publish({ bytes: 4000, messageId: 1 + count }));
    }
    const received = await untilItStands(() => field.service.status().received);
    assert.ok(received < 100, `${received} taken`);
    release();
    await cloud.heard(`puback ${commands}`);
    assert.equal(field.service.status().accepted, commands);
  });

  it("is not read any more while it does not read what is said to it", async () => {
    const { cloud, field } = await begin(5);
    const visit = cloud.broker.visits.at(-1);
    visit?.pause();
    const commands = 1000;
    const topic = `elsewhere/${"x".repeat(60_000)}`;
    const properties = { responseTopic: "answers" };
    for (let count = 0; count < commands; count++) {
      cloud.send("x", { messageId: 1 + (count % 64), topic, properties });
    }
    const received = await untilItStands(() => field.service.status().received);
    assert.ok(received > 0 && received < commands, `${received} taken`);
  });
});

/** The number when it has not changed for a while. */
async function untilItStands(numberOf: () => number): Promise<number> {
  let [number, sinceMs] = [-1, 0];
  await until("it stands", () => {
    const now = numberOf();
    if (now !== number) [number, sinceMs] = [now, performance.now()];
    return number > 0 && performance.now() - sinceMs > 500;
  });
  return number;
}

describe("a command that is too long, under MQTT 3.1.1", () => {
  it("is passed over, refused and forgotten by the cloud; those before and behind it arrive", async () => {
    const { cloud, field } = await begin(4, { replyTopic: "answers" });
    cloud.send("before", { messageId: 1 });
    const long = publish({ bytes: PACKET_BYTES_MAX, messageId: 2 });
    for (let at = 0; at < long.length; at += 9000) {
      cloud.broker.visits.at(-1)?.write(long.subarray(at, at + 9000));
    }
    cloud.send("behind", { messageId: 3 });
    await cloud.heard("puback 3");
    assert.deepEqual(field.payloads, ["before", "behind"]);
    assert.deepEqual(
      cloud.told.filter((one) => one.startsWith("puback")),
      ["puback 1", "puback 2", "puback 3"],
    );
    assert.equal(cloud.results[1]?.["reason"], "too-large");
    const { refused, failures } = field.service.status();
    assert.deepEqual([refused["too-large"], failures], [1, 0]);
  });

  it(`is found at any place of the stream, however it is cut (SEED=${SEED})`, async () => {
    const random = seededRandom(SEED);
    const { cloud, field } = await begin(4);
    const visit = cloud.broker.visits.at(-1);
    let long = 0;
    const packets = Array.from({ length: 40 }, (_, index) => {
      const isLong = random() < 0.4;
      if (isLong) long++;
      const bytes = isLong ? PACKET_BYTES_MAX + Math.floor(random() * 50_000) : 1 + index;
      return publish({ bytes, messageId: index + 1 });
    });
    const stream = Buffer.concat(packets);
    for (let at = 0; at < stream.length; ) {
      const count = 1 + Math.floor(random() ** 4 * 100_000);
      visit?.write(stream.subarray(at, at + count));
      at += count;
      if (random() < 0.2) await new Promise((resolve) => setImmediate(resolve));
    }
    await cloud.heard("puback 40");
    const { refused, failures, accepted } = field.service.status();
    assert.deepEqual([accepted, refused["too-large"], failures], [40 - long, long, 0]);
  });

  it("ends the connection when its head is malformed", async () => {
    const { cloud, field } = await begin(4);
    const malformed = publish({ bytes: PACKET_BYTES_MAX, messageId: 1 });
    malformed[0] = 0x36; // QoS 3
    cloud.broker.visits.at(-1)?.write(malformed);
    await checkLeft(field, "ERR_UPLINK_PROTOCOL", /no MQTT/);
    await takesNext(cloud, field);
  });
});

it("a reader of frames gives back what has come of one that is too long, wherever it was cut", () => {
  const frame = Buffer.from([0x30, 0x80, 0x01, ...Array(128).fill(7)]);
  for (let cut = 0; cut <= 5; cut++) {
    const reader = new FrameReader(50);
    const before = Buffer.from([0xd0, 0]);
    reader.push(Buffer.concat([before, frame.subarray(0, cut)]));
    reader.next();
    let found = reader.next();
    if (found === MORE) {
      reader.push(frame.subarray(cut));
      found = reader.next();
    }
    assert.equal(found, TOO_LONG);
    const all = reader.drop();
    assert.deepEqual([reader.bodyStart, reader.end], [3, frame.length]);
    assert.deepEqual(all, frame.subarray(0, all.length));
    reader.push(before);
    reader.next();
    assert.deepEqual([reader.start, reader.end], [0, 2]);
  }
});

async function begin(version: 4 | 5, down: Partial<DownConfig> = {}) {
  const cloud = await ScriptedCommands.start(version);
  ends.push(() => cloud.stop());
  // The first connection loads the package, which takes a while on a busy machine.
  const uplink = { connectTimeoutMs: 15_000 };
  const field = await DownSite.start({ endpoints: [cloud.broker.endpoint], down, uplink });
  ends.push(() => field.stop());
  await until("connected", () => field.service.status().state === "connected");
  return { cloud, field };
}

async function checkLeft(field: DownSite, code: string, says: RegExp): Promise<void> {
  await until("left", () => field.service.status().failures > 0);
  const said = JSON.stringify(field.service.status().lastError);
  assert.match(said, new RegExp(code));
  assert.match(said, says);
}

/** After it, the connection is a good one. */
async function takesNext(cloud: ScriptedCommands, field: DownSite): Promise<void> {
  await until("connected again", () => field.service.status().state === "connected");
  cloud.send("next", { messageId: 99 });
  await cloud.heard("puback 99");
  assert.equal(field.payloads.at(-1), "next");
}

function publish(of: {
  readonly bytes: number;
  readonly messageId: number;
  readonly topic?: string;
  readonly version?: number;
}): Buffer {
  const { bytes, messageId, topic = "sites/plant-7/commands/pump", version = 4 } = of;
  return generate(
    {
      cmd: "publish",
      topic,
      payload: Buffer.alloc(bytes, "x"),
      qos: 1,
      dup: false,
      retain: false,
      messageId,
    },
    { protocolVersion: version },
  );
}
