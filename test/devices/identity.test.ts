import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { type Field, startField } from "../../firmware-sim/field.ts";
import type { SensorSpec } from "../../firmware-sim/sensor.ts";
import { FieldgateError } from "../../src/base/errors.ts";
import { silentLog } from "../../src/base/log.ts";
import type { DeviceConfig } from "../../src/config/schema.ts";
import type { Device } from "../../src/devices/device.ts";
import { deviceFor } from "../../src/devices/device-for.ts";
import { PortIdentity } from "../../src/devices/file-port-identity.ts";
import { troubleOf } from "../../src/devices/port.ts";
import { openTrouble } from "../../src/devices/serial-port.ts";
import { until } from "../support/until.ts";
import { boardDevice } from "./boards-support.ts";
import { deviceTools } from "./device-tools.ts";
import { type Plugged, UsbTree } from "./usb-tree.ts";

let directory = "";
let tree: UsbTree;
let count = 0;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), "usb-"));
});
after(() => rm(directory, { recursive: true, force: true }));

const running: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of running.splice(0).reverse()) await each.stop();
});

function newTree(): UsbTree {
  tree = new UsbTree(join(directory, String(++count)));
  return tree;
}

const ONE: Plugged = { tty: "ttyUSB0", place: "1-1" };
const TWIN: Plugged = { tty: "ttyUSB1", place: "1-2" };

describe("the identity of a port", () => {
  it("by-id follows an adapter to another number and another place", async () => {
    newTree();
    const identity = new PortIdentity(tree.byId({}), tree.places);
    await tree.plugIn(ONE);
    await check(identity, "ttyUSB0");
    await tree.unplug(ONE);
    await tree.plugIn({ ...ONE, tty: "ttyUSB7", place: "1-4.2" });
    await check(identity, "ttyUSB7");
  });

  it("refuses two adapters of one name, and takes the one that stays", async () => {
    newTree();
    const identity = new PortIdentity(tree.byId({}), tree.places);
    await tree.plugIn(ONE);
    await tree.plugIn(TWIN);
    await check(identity, "ambiguous: ttyUSB1 at 1-2:1.0 and ttyUSB0 at 1-1:1.0");
    await tree.unplug(TWIN, ONE);
    await check(identity, "ttyUSB0");
  });

  it("never takes the twin for the one that was open, also when only the twin is left", async () => {
    newTree();
    const identity = new PortIdentity(tree.byId({}), tree.places);
    await tree.plugIn(ONE);
    await check(identity, "ttyUSB0");
    await tree.plugIn(TWIN);
    await identity.watch();
    await tree.unplug(ONE, TWIN);
    await check(
      identity,
      "ambiguous: it was ttyUSB0 at 1-1:1.0; there is only its twin, ttyUSB1 at 1-2:1.0",
    );
    await tree.plugIn({ ...ONE, tty: "ttyUSB2" });
    await check(identity, "ambiguous: ttyUSB2 at 1-1:1.0 and ttyUSB1 at 1-2:1.0");
    await tree.unplug(TWIN, { ...ONE, tty: "ttyUSB2" });
    await check(identity, "ttyUSB2");
  });

  it("tells adapters apart by serial number, by make, and ports of one adapter by theirs", async () => {
    newTree();
    const others: Plugged[] = [
      { tty: "ttyUSB1", place: "1-2", serial: "A2" },
      { tty: "ttyUSB2", place: "1-3", product: "FT232R", serial: "A1" },
      { tty: "ttyUSB3", place: "1-4", port: 1, serial: "A1" },
    ];
    for (const other of others) await tree.plugIn(other);
    await tree.plugIn({ ...ONE, serial: "A1" });
    await check(new PortIdentity(tree.byId({ serial: "A1" }), tree.places), "ttyUSB0");
  });

  it("is not in doubt where the name says where the adapter is", async () => {
    newTree();
    await tree.plugIn(ONE);
    await tree.plugIn(TWIN);
    const named = tree.byPath(ONE);
    assert.equal(await new PortIdentity(named, tree.places).resolve(), named);
    const numbered = join(tree.places.dev, "ttyUSB1");
    assert.equal(await new PortIdentity(numbered, tree.places).resolve(), numbered);
  });

  it("does not follow a link to a terminal that the kernel has no more", async () => {
    newTree();
    const identity = new PortIdentity(tree.byId({}), tree.places);
    await tree.plugIn(ONE);
    await tree.plugIn(TWIN);
    await rm(join(tree.places.sys, "class/tty/ttyUSB1"));
    await check(identity, "no-such-port: ");
  });

  it("leaves a name that is not there to whoever opens it", async () => {
    newTree();
    const named = tree.byId({});
    assert.equal(await new PortIdentity(named, tree.places).resolve(), named);
  });
});

describe("devices that are plugged in and out", { timeout: 300_000 }, () => {
  it("are read again under another number, by their name below by-id", async () => {
    newTree();
    const field = await sensors([{ kind: "door-contact", name: "dc-1" }]);
    const one = { ...ONE, behind: portOf(field, "dc-1") };
    await tree.plugIn(one);
    const reader = await reading(boardDevice("door-contact", "dc-1", tree.byId({})));
    await until("frames", () => reader.accepted() > 5);
    await field.sensor("dc-1").pull();
    await tree.unplug(one);
    await until("notice", () => reader.device.status().reason === "no-such-port");
    await field.sensor("dc-1").plugIn();
    await tree.plugIn({ ...one, tty: "ttyUSB4", place: "1-3" });
    const before = reader.accepted();
    await until("frames again", () => reader.accepted() > before + 5);
    assert.equal(reader.device.status().counters.reopened, 1);
  });

  it("are refused when two adapters have one name, with both places said, and read when one is left", async () => {
    newTree();
    const specs = ["dc-1", "dc-2"].map((name) => ({ kind: "door-contact", name }) as const);
    const field = await sensors(specs);
    const one = { ...ONE, behind: portOf(field, "dc-1") };
    const twin = { ...TWIN, behind: portOf(field, "dc-2") };
    await tree.plugIn(one);
    await tree.plugIn(twin);
    const reader = await reading(boardDevice("door-contact", "dc-1", tree.byId({})));
    await until("a reason", () => reader.device.status().reason === "ambiguous");
    assert.equal(reader.accepted(), 0);
    assert.match(reader.log.join(), /ttyUSB1 at 1-2:1\.0 and ttyUSB0 at 1-1:1\.0/);
    await tree.unplug(twin, one);
    await until("frames", () => reader.accepted() > 5);
    assert.ok(
      reader.payloads.every((text) => text.includes('"dc-1"')),
      "never of the other one",
    );
  });
});

describe("a device that is looked for by what it says", { timeout: 300_000 }, () => {
  const names = ["th-1", "th-2", "th-3"];
  const probed = (contains: string): DeviceConfig => ({
    ...boardDevice("thermometer", "th-2", join(tree.places.dev, "ttyUSB*")),
    probe: { contains, listenMs: 1000 },
  });

  it("is found, with nothing lost that it said meanwhile, and the others are let go", async () => {
    const field = await threeThermometers();
    const reader = await reading(probed("id=th-2 "));
    await until("frames", () => reader.accepted() > 50);
    assert.ok(reader.payloads.every((text) => text.startsWith("id=th-2 ")));
    const numbers = reader.payloads.map((text) => Number(/n=(\d+)/.exec(text)?.[1]));
    assert.deepEqual(
      numbers,
      numbers.map((_, i) => (numbers[0] ?? 0) + i),
      "without a gap",
    );
    const other = await reading(boardDevice("thermometer", "th-3", portOf(field, "th-3")));
    await until("another device has its port", () => other.accepted() > 5);
    for (const name of names) assert.equal(field.counts()[name]?.obeyed, 0);
  });

  it("is found again on another port", async () => {
    const field = await threeThermometers();
    const reader = await reading(probed("id=th-2 "));
    await until("frames", () => reader.accepted() > 5);
    await field.sensor("th-2").pull();
    await tree.unplug({ tty: "ttyUSB1", place: "1-2" });
    await until("notice", () => reader.device.status().state !== "open");
    await field.sensor("th-2").plugIn();
    await tree.plugIn({ tty: "ttyUSB9", place: "1-9", behind: portOf(field, "th-2") });
    const before = reader.accepted();
    await until("frames again", () => reader.accepted() > before + 5);
  });

  it("is found beside others that are looked for among the same ports", async () => {
    await threeThermometers();
    const readers = await Promise.all(
      names.map((name) => reading({ ...probed(`id=${name} `), name })),
    );
    await until("all are read", () => readers.every(({ accepted }) => accepted() > 5));
    for (const [i, { payloads }] of readers.entries()) {
      assert.ok(payloads.every((text) => text.startsWith(`id=${names[i]} `)));
    }
  });

  it("is not taken when two say it, nor when none does, nor without any port", async () => {
    await threeThermometers();
    const ambiguous = await reading(probed("id=th-"));
    await until("two say it", () => ambiguous.device.status().reason === "ambiguous");
    await ambiguous.device.stop();
    // What was not heard in time is silent, on a machine that has much else to do.
    await until("none says it, and all were heard", async () => {
      const silent = await reading(probed("id=th-9 "));
      await until("none says it", () => silent.device.status().reason === "not-recognised");
      await silent.device.stop();
      assert.equal(ambiguous.accepted() + silent.accepted(), 0);
      return /ttyUSB0: another device, .*ttyUSB1: another device/.test(silent.log.join());
    });
    newTree();
    const nowhere = await reading(probed("id=th-2 "));
    await until("no port", () => nowhere.device.status().reason === "no-such-port");
  });

  async function threeThermometers(): Promise<Field> {
    newTree();
    const field = await sensors(names.map((name) => ({ kind: "thermometer", name }) as const));
    for (const [i, name] of names.entries()) {
      const behind = portOf(field, name);
      await tree.plugIn({ tty: `ttyUSB${i}`, place: `1-${i + 1}`, behind });
    }
    return field;
  }
});

describe("a port that others hold, or that is not ours", { timeout: 300_000 }, () => {
  it("is busy while another process has locked it, and taken when that ends", async () => {
    newTree();
    const port = await doorContact();
    const reader = await reading(boardDevice("door-contact", "dc-1", port));
    await until("frames", () => reader.accepted() > 0);
    await reader.device.stop();
    await chmod(await realpath(port), 0o666);
    const holder = holding(port, "flock-ex");
    await until("the lock", async () => (await reasonAsNobody(port)) === "busy");
    const again = await reading(boardDevice("door-contact", "dc-1", port));
    await until("busy", () => again.device.status().reason === "busy");
    assert.equal(again.accepted(), 0);
    await ended(holder);
    await until("frames again", () => again.accepted() > 5);
  });

  it("is busy while another process holds it exclusively, and denied without the right to it", async () => {
    newTree();
    const port = await doorContact();
    const terminal = await realpath(port);
    await chmod(terminal, 0o600);
    assert.equal(await reasonAsNobody(port), "permission-denied");
    await chmod(terminal, 0o666);
    assert.equal(await reasonAsNobody(port), null);
    const TIOCEXCL = 0x540c;
    const holder = holding(port, `ioctl-void=${TIOCEXCL}`);
    // It stays so until the last who has the terminal open has closed it: here that is the simulator.
    await until("held", async () => (await reasonAsNobody(port)) === "busy");
    await ended(holder);
  });

  async function doorContact(): Promise<string> {
    return portOf(await sensors([{ kind: "door-contact", name: "dc-1" }]), "dc-1");
  }
});

/** Why an unprivileged process cannot open the port; null when it can. */
async function reasonAsNobody(port: string): Promise<string | null> {
  const NOBODY = 65_534;
  const code = `const { SerialPort } = require("serialport");
const port = new SerialPort({ path: process.argv[1], baudRate: 9600, lock: true, autoOpen: false });
port.open((error) => { console.log(error === null ? "open" : error.message); port.close(() => process.exit()); });`;
  const child = spawn(process.execPath, ["-e", code, await realpath(port)], {
    stdio: ["ignore", "pipe", "inherit"],
    ...(process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {}),
  });
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  await once(child, "exit");
  if (said.trim() === "open") return null;
  return openTrouble(said);
}

/** A process that has the port open, and does nothing with it. */
function holding(port: string, option: string): ChildProcess {
  const address = `OPEN:${port},${option}`;
  const child = spawn("socat", ["-u", "STDIN", address], { stdio: ["pipe", "ignore", "inherit"] });
  running.push({ stop: () => ended(child) });
  return child;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill();
  await once(child, "exit");
}

async function sensors(specs: readonly Pick<SensorSpec, "kind" | "name">[]): Promise<Field> {
  const field = await startField({
    seed: 1,
    sensors: specs.map(
      (spec) => ({ ...spec, baudRate: 115_200, intervalMs: 20, bootMs: 10 }) as SensorSpec,
    ),
  });
  running.push(field);
  return field;
}

function portOf(field: Field, name: string): string {
  return field.sensor(name).port ?? "";
}

async function reading(config: DeviceConfig) {
  const payloads: string[] = [];
  const log: string[] = [];
  const made: Device = deviceFor(config, {
    ...deviceTools(({ payload }) => {
      payloads.push(Buffer.from(payload).toString());
    }),
    log: {
      ...silentLog,
      part: () => ({ ...silentLog, warn: (...line) => log.push(JSON.stringify(line)) }),
    },
    places: tree.places,
    limits: { backoffFirstMs: 20, backoffMaxMs: 200 },
  });
  running.push(made);
  await made.start(new AbortController().signal);
  return { device: made, payloads, log, accepted: () => made.status().counters.accepted };
}

/** Compares the terminal that is opened, or why none is. */
async function check(identity: PortIdentity, expected: string): Promise<void> {
  const found = await identity.resolve().then(
    (path) => path.slice(tree.places.dev.length + 1),
    (error: unknown) => {
      const cause = error instanceof FieldgateError ? error.cause : error;
      const why = cause instanceof Error ? cause.message : "";
      return `${troubleOf(error)}: ${why}`;
    },
  );
  assert.equal(found, expected);
}
