import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseCommand } from "../../src/devices/command.ts";
import { Commands } from "../../src/devices/commands.ts";
import type { Device, DeviceWrite, WriteResult } from "../../src/devices/device.ts";
import { deviceFor } from "../../src/devices/device-for.ts";
import { encodeFrame } from "../../src/devices/frame-encoder.ts";
import { StatusTopic } from "../../src/devices/status-topic.ts";
import type { Message } from "../../src/mqtt/message.ts";
import { SimClock } from "../support/sim-clock.ts";
import { BOUNDS } from "./boards-support.ts";
import { check } from "./command-books.ts";
import { deviceTools } from "./device-tools.ts";
import { FRAMING } from "./framing-support.ts";
import { FakeBus, meterSlave, modbusDevice } from "./modbus-support.ts";

const CONFIG = {
  ...BOUNDS,
  name: "door",
  port: "/dev/fake",
  baudRate: 9600,
  dataBits: 8,
  parity: "none",
  stopBits: 1,
  framing: FRAMING,
  decode: { type: "key-value" },
  topic: "d/{device}",
  qos: 1,
  retain: false,
  commandTopic: "c/{device}",
  commandDeadlineMs: 1000,
  commandsMax: 3,
  commandIdsMax: 4,
} as const;

describe("commands", () => {
  it("are written one after the other, and each is answered", async () => {
    const bench = await start();
    bench.send({ id: "1", text: "open" });
    bench.send({ id: "2", hex: "00ff" });
    bench.send({ id: "3", coil: 7, value: true });
    await bench.clock.run(5);
    assert.deepEqual(bench.written, ["frame 6f70656e"]);
    await bench.clock.run(100);
    assert.deepEqual(bench.written.slice(1), ["frame 00ff", "coil 7 true"]);
    assert.deepEqual(bench.replies, [
      'c/door/reply {"id":"1","result":"success"}',
      'c/door/reply {"id":"2","result":"success"}',
      'c/door/reply {"id":"3","result":"success"}',
    ]);
    check(bench, { received: 3, success: 3 });
  });

  it("that are none are refused", async () => {
    const bench = await start();
    for (const [payload, id, reason] of [
      ["open", null, "not-json"],
      ["null", null, "not-json"],
      ['{"text":"open"}', null, "no-id"],
      ['{"id":"","text":"open"}', null, "no-id"],
      ['{"id":7,"text":"open"}', null, "no-id"],
      ['{"id":"a"}', "a", "not-a-command"],
      ['{"id":"a","text":"x","hex":"00"}', "a", "not-a-command"],
      ['{"id":"a","hex":"0"}', "a", "not-a-command"],
      ['{"id":"a","coil":1,"value":1}', "a", "not-a-command"],
      ['{"id":"a","coil":65536,"value":true}', "a", "not-a-command"],
      ['{"id":"a","register":1,"value":65536}', "a", "not-a-command"],
      ['{"id":"a","register":65535,"values":[1,2]}', "a", "not-a-command"],
      ['{"id":"a","register":1,"values":[]}', "a", "not-a-command"],
      ['{"id":"a","register":1,"value":1,"values":[1,2]}', "a", "not-a-command"],
      [`{"id":"a","hex":"${"0g".repeat(500)}"}`, "a", "not-a-command"],
      ['{"id":"a","text":"x","deadlineMs":-1}', "a", "deadline-is-no-number"],
    ] as const) {
      const before = bench.replies.length;
      bench.sendText(payload);
      assert.equal(bench.replies.length, before + 1, payload);
      const reply = JSON.stringify({ id, result: "refused", reason });
      assert.equal(bench.replies.at(-1), `c/door/reply ${reply}`, payload);
    }
    assert.deepEqual(bench.written, []);
    check(bench, { received: 16, success: 0 });
  });

  it("may be as long as a packet can be: then they are no frame", async () => {
    const hex = "ab".repeat(32 * 2 ** 20);
    const command = parseCommand(Buffer.from(JSON.stringify({ id: "1", hex })));
    assert.ok("write" in command && command.write.is === "frame");
    assert.equal(command.write.content.length, 32 * 2 ** 20);
    assert.equal(encodeFrame(command.write.content, FRAMING), "too-long");
  });

  it("are not written behind their deadline, which counts from when they came", async () => {
    const bench = await start();
    bench.delayMs = 900;
    bench.send({ id: "1", text: "a" });
    bench.send({ id: "2", text: "b", deadlineMs: 800 });
    bench.send({ id: "3", text: "c" });
    await bench.clock.run(5000);
    assert.deepEqual(bench.written, ["frame 61", "frame 63"]);
    assert.equal(
      bench.replies[1],
      'c/door/reply {"id":"2","result":"timeout","reason":"deadline"}',
    );
    check(bench, { success: 2, timeout: { deadline: 1 } });
  });

  it("are not written when the deadline passes while the device waits for its turn", async () => {
    const bench = await start();
    bench.beforeMs = 1001;
    bench.send({ id: "1", text: "a" });
    await bench.clock.run(5000);
    assert.deepEqual(bench.written, []);
    check(bench, { timeout: { deadline: 1 } });
  });

  it("are not written by a gateway that may not at that very moment", async () => {
    const bench = await start();
    bench.beforeMs = 100;
    bench.send({ id: "1", text: "a" });
    await bench.clock.run(50);
    bench.mayWrite = false;
    await bench.clock.run(1000);
    assert.deepEqual(bench.written, []);
    check(bench, { refused: { "not-primary": 1 } });
  });

  it("are written once, however often they come, and the reply comes again", async () => {
    const bench = await start();
    bench.send({ id: "1", text: "a" });
    bench.send({ id: "1", text: "a" });
    await bench.clock.run(100);
    bench.send({ id: "1", text: "a" });
    assert.deepEqual(bench.written, ["frame 61"]);
    const reply = 'c/door/reply {"id":"1","result":"success"}';
    assert.deepEqual(bench.replies, [reply, reply]);
    check(bench, { received: 3, success: 1, refused: { repeated: 2 } });
    for (const id of ["2", "3", "4", "5"]) {
      bench.send({ id, text: "b" });
      await bench.clock.run(bench.clock.monotonicMs() + 100);
    }
    bench.send({ id: "1", text: "a" });
    await bench.clock.run(2000);
    assert.equal(bench.written.at(-1), "frame 61", "forgotten after four others");
  });

  it("that are retained, or too many, are refused", async () => {
    const bench = await start();
    bench.send({ id: "r", text: "a" }, true);
    for (const id of ["1", "2", "3", "4"]) bench.send({ id, text: "a" });
    await bench.clock.run(1000);
    assert.equal(bench.written.length, 3);
    check(bench, { received: 5, success: 3, refused: { retained: 1, "too-many": 1 } });
  });

  it("that wait when the gateway stops are refused", async () => {
    const bench = await start();
    bench.delayMs = 100;
    bench.send({ id: "1", text: "a" });
    bench.send({ id: "2", text: "b" });
    await bench.clock.run(50);
    const stopping = bench.commands.stop();
    await bench.clock.run(500);
    await stopping;
    assert.deepEqual(bench.written, ["frame 61"]);
    check(bench, { success: 1, refused: { stopping: 1 }, waiting: 0 });
    bench.send({ id: "3", text: "c" });
    assert.equal(bench.commands.counters().received, 2);
  });
});

describe("writes to a line of Modbus slaves", () => {
  it("go before the plan, and are confirmed, refused or unanswered", async () => {
    const { clock, bus, write, one } = await modbus();
    await clock.run(400);
    const relay = write({ is: "coil", slave: "m1", register: 0, on: true });
    const limit = write({ is: "registers", slave: "m1", register: 0, values: [2500] });
    const none = write({ is: "registers", slave: "m1", register: 9, values: [1] });
    const silent = write({ is: "coil", slave: "m2", register: 0, on: true });
    await clock.run(2000);
    assert.deepEqual(await relay, { is: "success" });
    assert.deepEqual(await limit, { is: "success" });
    assert.deepEqual(await none, { is: "refused", reason: "exception-2" });
    assert.deepEqual(await silent, { is: "timeout", reason: "no-answer" });
    assert.deepEqual([bus.meters.get(1)?.relay, bus.meters.get(1)?.limit], [true, 25]);
    assert.equal(bus.atOnceMax, 1);
    await one.stop();
  });

  it("are refused when there is no such slave, no port, or no Modbus in it", async () => {
    const { clock, bus, write, one } = await modbus();
    const coil = { is: "coil", register: 0, on: true } as const;
    assert.deepEqual(await write({ ...coil, slave: "x" }), {
      is: "refused",
      reason: "no-such-slave",
    });
    assert.deepEqual(await write({ ...coil, slave: null }), {
      is: "refused",
      reason: "no-such-slave",
    });
    assert.deepEqual(await write({ is: "frame", content: Buffer.from("x") }), {
      is: "refused",
      reason: "modbus-only",
    });
    await clock.run(10);
    const waiting = write({ ...coil, slave: "m1" });
    bus.lose();
    assert.deepEqual(await waiting, { is: "refused", reason: "port-unplugged" });
    assert.deepEqual(await write({ ...coil, slave: "m1" }), {
      is: "refused",
      reason: "port-unplugged",
    });
    await one.stop();
  });
});

describe("a status topic", () => {
  it("says when the device comes, how it is, when it goes, and that the gateway stopped", async () => {
    const { clock, bus, one } = await modbus();
    const said: {
      online: boolean;
      reason: string | null;
      lastFrameMs: number;
      slaves: unknown[];
    }[] = [];
    let refuse = false;
    const config = modbusDevice("/dev/fake", meterSlave(1));
    const status = new StatusTopic(config, one, {
      ...deviceTools(({ topic, payload, retain, qos }) => {
        if (refuse) throw new Error("full");
        assert.deepEqual([topic, retain, qos], ["devices/gw-a/bus/status", true, 1]);
        said.push(JSON.parse(Buffer.from(payload).toString()));
      }, clock),
    });
    await status.start(new AbortController().signal);
    const words = () => said.map(({ online, reason }) => `${online} ${reason}`).join(", ");
    await clock.run(3000);
    assert.equal(words(), "false null, true null");
    await clock.run(30_000);
    refuse = true;
    bus.lose();
    bus.failing = true;
    await clock.run(33_000);
    assert.equal(words(), "false null, true null");
    refuse = false;
    await clock.run(40_000);
    assert.equal(
      words(),
      "false null, true null, false unplugged".replace("unplugged", "no-such-port"),
    );
    await clock.run(110_000);
    assert.equal(said.length, 4, "once a minute when nothing changes");
    bus.failing = false;
    await clock.run(140_000);
    assert.equal(said.at(-1)?.online, true);
    await status.stop();
    assert.deepEqual([said.at(-1)?.online, said.at(-1)?.reason], [false, "stopped"]);
    assert.ok((said.at(-1)?.lastFrameMs ?? 0) > 1_700_000_100_000);
    await one.stop();
  });
});

/** A line with an energy meter at 1 and a silent slave at 2. */
async function modbus() {
  const clock = new SimClock();
  const bus = new FakeBus(clock, [1]);
  const one = deviceFor(modbusDevice("/dev/fake", meterSlave(1) + meterSlave(2)), {
    ...deviceTools(
      () => {},
      clock,
      () => 0.5,
    ),
    port: bus,
  });
  await one.start(new AbortController().signal);
  await clock.run(0);
  const write = (what: DeviceWrite) => one.write(what, () => null);
  return { clock, bus, one, write };
}

/** Commands for a device that takes `beforeMs` until its turn and `delayMs` from then on. */
async function start() {
  const clock = new SimClock();
  const written: string[] = [];
  const replies: string[] = [];
  let listener: ((message: Message) => void) | null = null;
  const bench = { delayMs: 10, beforeMs: 0, mayWrite: true };
  const fake: Pick<Device, "write"> = {
    async write(write, permit): Promise<WriteResult> {
      await clock.sleep(bench.beforeMs);
      const refusal = permit();
      if (refusal !== null) return refusal;
      written.push(wordOf(write));
      await clock.sleep(bench.delayMs);
      return { is: "success" };
    },
  };
  const commands = new Commands(CONFIG, fake, {
    ...deviceTools(({ topic, payload }) => {
      replies.push(`${topic} ${Buffer.from(payload).toString()}`);
    }, clock),
    listen(topic, to) {
      assert.equal(topic, "c/door");
      listener = to;
      return () => {
        listener = null;
      };
    },
    mayWrite: () => bench.mayWrite,
  });
  await commands.start(new AbortController().signal);
  const sendText = (text: string, retain = false) => {
    const message = { topic: "c/door", qos: 1, retain, properties: null } as const;
    listener?.({ ...message, payload: Buffer.from(text) });
  };
  const send = (command: object, retain = false) => sendText(JSON.stringify(command), retain);
  return Object.assign(bench, { clock, commands, written, replies, send, sendText });
}

function wordOf(write: DeviceWrite): string {
  if (write.is === "frame") return `frame ${Buffer.from(write.content).toString("hex")}`;
  if (write.is === "coil") return `coil ${write.register} ${write.on}`;
  return `registers ${write.register} ${write.values.join(" ")}`;
}
