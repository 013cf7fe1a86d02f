import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { ptyPlug } from "../../firmware-sim/pty.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { examine } from "../../src/doctor/doctor.ts";
import { serialChecks } from "../../src/doctor/file-serial-checks.ts";
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

  it("follows links, and does not look at serial servers", () =>
    withDirectory(async (directory) => {
      const link = join(directory, "link");
      await symlink("/dev/null", link);
      const found = await examined(directory, { boiler: link, far: "tcp://10.0.0.1:4001" });
      assert.deepEqual(verdicts(found), { "serial.boiler": "fine" });
    }));
});

function examined(
  directory: string,
  ports: Readonly<Record<string, string>>,
): Promise<readonly Finding[]> {
  const devices = Object.entries(ports).map(([name, port]) => ({ name, port }));
  const places = { byId: join(directory, "by-id"), processes: "/proc" };
  return examine(serialChecks(configOf({ devices }), places), null, systemClock);
}

async function withDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-doctor-"));
  try {
    await work(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
