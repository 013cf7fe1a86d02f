import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { connectAsync, type MqttClient } from "mqtt";
import { type Field, startField } from "../../firmware-sim/field.ts";
import { Program } from "../support/program.ts";
import { until } from "../support/until.ts";

/** The real program, real pseudo-terminals: commands that come over MQTT reach a board, and their replies come back. */
describe("a device that is commanded over MQTT", { timeout: 120_000 }, () => {
  let directory = "";
  let field: Field;
  let program: Program;
  let client: MqttClient;
  const replies: Record<string, unknown>[] = [];
  const readings: string[] = [];
  const statuses: Record<string, unknown>[] = [];
  const status = () => statuses.at(-1) ?? {};

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "commands-"));
    field = await startField({
      seed: 1,
      directory,
      sensors: [
        { kind: "door-contact", name: "door", baudRate: 115_200, intervalMs: 50 },
        { kind: "energy-meter", name: "bus", baudRate: 115_200 },
      ],
    });
    program = new Program(await config(directory, field));
    await start();
  });

  /** Starts the program, and listens to it. */
  async function start(): Promise<void> {
    const port = await program.start();
    client = await connectAsync(`mqtt://127.0.0.1:${port}`);
    client.on("message", (topic, payload) => {
      if (topic.endsWith("/reply")) replies.push(JSON.parse(String(payload)));
      else if (topic.endsWith("/status")) statuses.push(JSON.parse(String(payload)));
      else readings.push(String(payload));
    });
    await client.subscribeAsync(
      ["devices/+/+/command/reply", "devices/gw/door/status", "devices/gw/door"],
      { qos: 1 },
    );
  }

  after(async () => {
    await client?.endAsync(true);
    await program?.terminate();
    await field?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  it("says that it is online, and publishes", async () => {
    await until("online", () => status()["online"] === true);
    await until("readings", () => readings.length > 3);
  });

  it("obeys a frame, with its check value, and what it did shows in its readings", async () => {
    await command("door", { id: "lamp", text: "lamp=on" });
    assert.deepEqual(await reply("lamp"), { id: "lamp", result: "success" });
    await until("lamp", () => readings.some((text) => text.includes('"lamp":"on"')));
    assert.equal(field.counts()["door"]?.obeyed, 1);
    await command("door", { id: "lamp", text: "lamp=on" });
    await until("the reply again", () => replies.filter(({ id }) => id === "lamp").length === 2);
    assert.equal(field.counts()["door"]?.obeyed, 1);
  });

  it("has coils and registers written, and its refusals come back", async () => {
    await command("bus", { id: "coil", coil: 0, value: true });
    await command("bus", { id: "limit", register: 0, value: 2500 });
    await command("bus", { id: "none", register: 9, value: 1 });
    assert.deepEqual(await reply("coil"), { id: "coil", result: "success" });
    assert.deepEqual(await reply("limit"), { id: "limit", result: "success" });
    assert.deepEqual(await reply("none"), { id: "none", result: "refused", reason: "exception-2" });
  });

  it("refuses what comes while its port is away, and takes commands when it is back", async () => {
    await field.sensor("door").pull();
    await until("offline", () => status()["online"] === false);
    await command("door", { id: "away", text: "lamp=off" });
    assert.equal((await reply("away"))["result"], "refused");
    await field.sensor("door").plugIn();
    await until("online again", () => status()["online"] === true);
    await command("door", { id: "back", text: "lamp=off" });
    assert.deepEqual(await reply("back"), { id: "back", result: "success" });
    await until("lamp off", () => readings.some((text) => text.includes('"lamp":"off"')));
    assert.equal(field.counts()["door"]?.obeyed, 2);
  });

  it("is offline for whoever comes after the gateway was killed, and remembers no command", async () => {
    await program.kill();
    await client.endAsync(true);
    await field.sensor("door").pull();
    statuses.splice(0);
    await start();
    await until("a status", () => statuses.length > 0);
    assert.equal(statuses[0]?.["online"], false);
    await field.sensor("door").plugIn();
    await until("online again", () => status()["online"] === true);
    assert.equal(field.counts()["door"]?.obeyed, 2, "nothing is written again by itself");
  });

  it("is told to be offline when the gateway stops", async () => {
    await program.terminate();
    await until("stopped", () => status()["reason"] === "stopped");
    assert.equal(status()["online"], false);
  });

  async function command(name: string, what: object): Promise<void> {
    await client.publishAsync(`devices/gw/${name}/command`, JSON.stringify(what), { qos: 1 });
  }

  async function reply(id: string): Promise<Record<string, unknown>> {
    await until(`reply ${id}`, () => replies.some((each) => each["id"] === id));
    return replies.find((each) => each["id"] === id) ?? {};
  }
});

async function config(directory: string, field: Field): Promise<string> {
  const path = join(directory, "fieldgate.yaml");
  const common =
    "commandTopic: 'devices/{gateway}/{device}/command', backoffFirstMs: 50, backoffMaxMs: 200, baudRate: 115200";
  const text = `
gateway: { id: gw, site: plant }
store: { path: ${directory}/store, durability: local }
listeners: [{ name: lan, port: 0 }]
control: { socket: ${directory}/control.sock }
devices:
  - { name: door, port: ${field.sensor("door").port}, ${common}, framing: { check: crc16-ccitt }, decode: { type: key-value } }
  - name: bus
    port: ${field.sensor("bus").port}
    baudRate: 115200
    commandTopic: devices/{gateway}/{device}/command
    modbus:
      slaves: [{ name: m1, unit: 1, fields: [{ field: n, table: input, register: 9 }] }]
`;
  await writeFile(path, text);
  return path;
}
