import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Program } from "../support/program.ts";
import { RawClient } from "../support/raw-client.ts";
import { assertScreen, fieldgate, Going, type Said } from "../support/screens.ts";

describe("a technician at a running gateway", () => {
  let directory: string;
  let socket: string;
  let gateway: Program;
  let port: number;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "fieldgate-technician-"));
    socket = join(directory, "control.sock");
    const file = join(directory, "fieldgate.yaml");
    const config = {
      gateway: { id: "gw-a", site: "plant-7" },
      store: { path: join(directory, "store") },
      listeners: [{ name: "lan", port: 0 }],
      control: { socket },
      uplink: {
        endpoints: ["mqtt://127.0.0.1:1"],
        rules: [{ match: "plant/#", lane: "telemetry" }],
      },
    };
    await writeFile(file, JSON.stringify(config));
    gateway = new Program(file);
    port = await gateway.start();
  });

  after(async () => {
    await gateway.terminate();
    await rm(directory, { recursive: true, force: true });
  });

  const asked = (...argv: string[]): Promise<Said> => fieldgate(...argv, "--socket", socket);

  it("publishes, and is told who gets it and whether it is kept", async () => {
    const { code, out } = await asked("pub", "plant/oven", "180", "--retain");
    assert.equal(code, 0);
    assertScreen("pub", out);
    const unkept = await asked("pub", "elsewhere", "x", "--qos", "0", "--json");
    assert.deepEqual(JSON.parse(unkept.out), {
      topic: "elsewhere",
      subscribers: 0,
      lane: null,
      kept: false,
    });
  });

  it("is refused what nobody may publish", async () => {
    for (const topic of ["a/#", "$SYS/uptime", ""]) {
      const { code, err } = await asked("pub", topic, "x");
      assert.deepEqual([code, /ERR_TOPIC/.test(err)], [2, true], `${topic}: ${err}`);
    }
    assert.match((await asked("pub", "a", "b", "c")).err, /ERR_USAGE/);
    assert.match((await asked("pub", "a", "b", "--qos", "3")).err, /ERR_USAGE/);
  });

  it("sees what is retained", async () => {
    await asked("pub", "plant/oven", "180", "--retain");
    const { code, out } = await asked("retained");
    assert.equal(code, 0);
    assertScreen("retained", out);
    assert.equal((await asked("retained", "nowhere/#")).out, "nothing is retained there\n");
    assert.match((await asked("retained", "a/#/b")).err, /ERR_TOPIC/);
    await asked("pub", "plant/oven", "--retain");
    assert.equal((await asked("retained", "plant/#")).out, "nothing is retained there\n");
  });

  it("sees messages as they come, decoded, from whoever sends them", async () => {
    const tail = new Going("tail", "plant/#", "--count", "3", "--bytes", "20", "--socket", socket);
    await tail.says(/listening to plant/);
    const client = await RawClient.connected(port, { clientId: "sensor-1" });
    const blob = Buffer.from([0, 1, 2, 255]);
    client.send(
      { cmd: "publish", topic: "elsewhere", payload: "x", qos: 0, retain: false, dup: false },
      { cmd: "publish", topic: "plant/blob", payload: blob, qos: 0, retain: false, dup: false },
    );
    await client.settled();
    client.drop();
    await asked("pub", "plant/oven", "0123456789".repeat(5));
    await asked("pub", "plant/oven", '{"°C": 180}', "--retain");
    assert.equal(await tail.ended(), 0);
    assertScreen("tail", tail.out);
  });

  it("ends a tail by Ctrl-C, and is told when there is no such filter", async () => {
    const tail = new Going("tail", "--socket", socket);
    await tail.says(/listening to #/);
    assert.equal(await tail.interrupt(), 0);
    assert.match((await asked("tail", "a/#/b")).err, /ERR_TOPIC/);
    assert.match((await asked("tail", "--count", "0")).err, /ERR_USAGE/);
  });

  it("looks into the queue, holds a lane, and gives up what waits only when it is confirmed", async () => {
    for (const degrees of [179, 180, 181]) await asked("pub", "plant/oven", String(degrees));
    assertScreen("queue", settled((await asked("queue")).out));
    const peeked = await asked("queue", "peek", "telemetry", "--count", "2");
    assert.equal(peeked.code, 0);
    assertScreen("queue-peek", peeked.out);
    assert.equal((await asked("queue", "peek", "alarm")).out, "nothing waits\n");
    assertScreen("queue-pause", (await asked("queue", "pause", "telemetry")).out);
    assert.match(
      (await asked("status")).out,
      /! lane telemetry is paused by an operator: \d+ wait/,
    );
    assert.match((await asked("queue", "resume", "telemetry")).out, /is sent again/);
    const unsure = await asked("queue", "drop", "telemetry", "--count", "2");
    assert.deepEqual(
      [unsure.code, /^lane telemetry: 2 messages would be/.test(unsure.out)],
      [1, true],
    );
    const sure = await asked("queue", "drop", "telemetry", "--count", "2", "--confirm");
    assert.equal(sure.code, 0);
    assertScreen("queue-drop", sure.out);
    const { ledger } = JSON.parse((await asked("status", "--json")).out);
    assert.ok(ledger.telemetry.dropped.operator >= 2);
    assert.equal((await asked("ledger")).code, 0, "the books balance");
  });

  it("is told of lanes that do not exist", async () => {
    for (const action of ["peek", "pause", "resume"]) {
      assert.match((await asked("queue", action, "fast")).err, /ERR_NOT_THERE/);
    }
    assert.match((await asked("queue", "drop", "fast", "--confirm")).err, /ERR_NOT_THERE/);
    assert.match((await asked("queue", "fly", "bulk")).err, /ERR_USAGE/);
  });

  it("has on one screen what the gateway does", async () => {
    const client = await RawClient.connected(port, { clientId: "sensor-1" });
    const { code, out } = await asked("status");
    client.drop();
    assert.equal(code, 1, "the cloud is not there");
    assert.match(out, /^ {2}! uplink (waiting|connecting)/m);
    assertScreen("status", settled(out));
    assertScreen("ledger", (await asked("ledger")).out);
    assertScreen("site", (await asked("site")).out);
  });

  it("sees clients, and disconnects one", async () => {
    const client = await RawClient.connected(port, { clientId: "sensor-1", clean: false });
    await client.settled();
    const { code, out } = await asked("clients");
    assert.equal(code, 0);
    assertScreen("clients", out);
    assert.equal((await asked("clients", "kick", "sensor-1")).out, "sensor-1 was disconnected\n");
    await client.ended();
    const again = await asked("clients", "kick", "sensor-1");
    assert.deepEqual([again.code, /ERR_NOT_THERE/.test(again.err)], [2, true]);
    assert.match((await asked("clients")).out, /^0 connected, 1 away\n/);
  });
});

/** Without what depends on how long the gateway runs, and on the machine. */
function settled(screen: string): string {
  return screen
    .replace(/^ {2}! uplink .*\n/gm, "")
    .replace(/^( *(?:flash|machine|clock|progress|top talkers)) .*$/gm, "$1")
    .replace(/^ {2}(?:machine|top talkers)\n/gm, "")
    .replace(/^( {2}uplink +)(?:waiting|connecting)/gm, "$1waiting");
}
