import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { openSync } from "node:fs";
import { chmod, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { ptyPlug } from "../../firmware-sim/pty.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { examine } from "../../src/doctor/doctor.ts";
import { type PortNames, serialChecks } from "../../src/doctor/file-serial-checks.ts";
import type { Finding } from "../../src/doctor/finding.ts";
import { configOf } from "../support/config.ts";
import { verdicts } from "../support/verdicts.ts";

describe("the doctor, asked about serial ports", () => {
  it("finds a port that is there fine, and one that is pulled critical, with what is plugged in instead", () =>
    withDirectory(async (directory) => {
      const port = join(directory, "tty");
      const plug = ptyPlug(port);
      await plug.plugIn();
      try {
        assert.equal((await examined(directory, { boiler: port }))[0]?.verdict, "fine");
        await mkdir(join(directory, "by-id"));
        await writeFile(join(directory, "by-id", "usb-FTDI"), "");
      } finally {
        await plug.pull();
      }
      const [gone] = await examined(directory, { boiler: port });
      assert.equal(gone?.verdict, "critical");
      assert.match(gone?.why ?? "", /plugged in: usb-FTDI/);
    }));

  it("says that a file is no port", () =>
    withDirectory(async (directory) => {
      const port = join(directory, "file");
      await writeFile(port, "");
      const [found] = await examined(directory, { boiler: port });
      assert.match(found?.what ?? "", /is no serial port/);
    }));

  it("says that two devices have the same port under two names", () =>
    withDirectory(async (directory) => {
      const [one, other] = [join(directory, "one"), join(directory, "other")];
      await symlink("/dev/null", one);
      await symlink("/dev/null", other);
      const found = await examined(directory, { boiler: one, meter: other });
      assert.deepEqual(verdicts(found), {
        "serial.boiler": "critical",
        "serial.meter": "critical",
      });
      assert.match(found[0]?.what ?? "", /is the port of device meter, too/);
    }));

  it("names the process that holds a port, unless it is the gateway", () =>
    withDirectory(async (directory) => {
      const port = join(directory, "tty");
      execFileSync("mknod", [port, "c", "1", "3"]);
      const holder = spawn("sleep", ["60"], { stdio: [openSync(port, "r"), "ignore", "ignore"] });
      try {
        const [held] = await examined(directory, { boiler: port }, { processes: "/proc" });
        assert.equal(held?.verdict, "critical");
        assert.match(held?.what ?? "", new RegExp(`held by process ${holder.pid} \\(sleep\\)`));
        const gatewayPid = holder.pid ?? 0;
        const known = { processes: "/proc", gatewayPid };
        const [ours] = await examined(directory, { boiler: port }, known);
        assert.deepEqual([ours?.verdict, /by the gateway/.test(ours?.what ?? "")], ["fine", true]);
      } finally {
        holder.kill();
      }
    }));

  it("warns of a name that the kernel gives anew at each start, and knows a better one", () =>
    withDirectory(async (directory) => {
      const byId = join(directory, "by-id");
      const node = "/dev/ttyUSB97"; // beyond any that a machine has
      execFileSync("mknod", [node, "c", "1", "3"]);
      try {
        const stable = async () => join(byId, "usb-FTDI_Cable");
        const [found] = await examined(directory, { boiler: node }, { names: { stable } });
        assert.equal(found?.verdict, "warning");
        assert.equal(found?.todo, `port: ${join(byId, "usb-FTDI_Cable")}`);
      } finally {
        await rm(node);
      }
    }));

  it("says which adapters have one name, and how to name each", () =>
    withDirectory(async (directory) => {
      const port = join(directory, "by-id", "usb-1a86");
      const namesakes = async () => [
        { what: "ttyUSB1 at 1-2:1.0", stable: "/dev/serial/by-path/two" },
        { what: "ttyUSB0 at 1-1:1.0", stable: "/dev/serial/by-path/one" },
      ];
      const [found] = await examined(directory, { boiler: port }, { names: { namesakes } });
      assert.equal(found?.verdict, "critical");
      assert.match(found?.what ?? "", /is the name of ttyUSB1 at 1-2:1.0 and ttyUSB0 at 1-1:1.0/);
      assert.equal(found?.todo, "port: /dev/serial/by-path/two, or /dev/serial/by-path/one");
    }));

  it("says among which ports a device is looked for", () =>
    withDirectory(async (directory) => {
      const like = async (pattern: string) => (pattern === "/dev/ttyUSB*" ? ["/dev/ttyUSB0"] : []);
      const looked = async (port: string) => {
        const [found] = await examined(directory, { boiler: port }, { names: { like } });
        return `${found?.verdict}: ${found?.what}`;
      };
      assert.equal(await looked("/dev/ttyUSB*"), "fine: /dev/ttyUSB*: looked for on /dev/ttyUSB0");
      assert.equal(await looked("/dev/ttyACM*"), "critical: no port is like /dev/ttyACM*");
    }));

  it("says that the user may not use the port", () =>
    withDirectory(async (directory) => {
      const port = join(directory, "tty");
      const plug = ptyPlug(port);
      await plug.plugIn();
      try {
        await chmod(await realpath(port), 0o600);
        await chmod(directory, 0o755);
        const code = `
          import { serialChecks } from "./src/doctor/file-serial-checks.ts";
          const places = { byId: "/nowhere", processes: "/nowhere" };
          const devices = [{ name: "boiler", port: ${JSON.stringify(port)} }];
          const names = { namesakes: async () => [] };
          const [check] = serialChecks({ devices }, places, names, null);
          process.setuid(65534);
          console.log(JSON.stringify((await check.run(new AbortController().signal))[0]));`;
        const argv = ["--import", "tsx", "--input-type=module", "-e", code];
        const found = JSON.parse(execFileSync(process.execPath, argv, { encoding: "utf8" }));
        assert.equal(found.verdict, "critical");
        assert.match(found.what, /permission denied/);
      } finally {
        await plug.pull();
      }
    }));

  it("follows links, and does not look at serial servers", () =>
    withDirectory(async (directory) => {
      const link = join(directory, "link");
      await symlink("/dev/full", link);
      const found = await examined(directory, { boiler: link, far: "tcp://10.0.0.1:4001" });
      assert.deepEqual(verdicts(found), { "serial.boiler": "fine" });
    }));
});

function examined(
  directory: string,
  ports: Readonly<Record<string, string>>,
  // What makes a pseudo terminal holds both of its ends: it is looked for only where that is the point.
  {
    processes = "/nowhere",
    gatewayPid = null as number | null,
    names = {} as Partial<PortNames>,
  } = {},
): Promise<readonly Finding[]> {
  const devices = Object.entries(ports).map(([name, port]) =>
    port.includes("*") ? { name, port, probe: { contains: name } } : { name, port },
  );
  const places = { byId: join(directory, "by-id"), processes };
  const all: PortNames = {
    stable: async () => null,
    namesakes: async () => [],
    like: async () => [],
    ...names,
  };
  const config = configOf({ devices });
  return examine(serialChecks(config, places, all, gatewayPid), null, systemClock);
}

async function withDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-doctor-"));
  try {
    await work(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
