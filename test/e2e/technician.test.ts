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
