import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { listPorts } from "../../src/cli/file-ports.ts";

describe("the serial ports of a machine", () => {
  it("are those with hardware behind them, with the name that stays and what they are", async () => {
    const directory = await mkdtemp(join(tmpdir(), "fieldgate-ports-"));
    try {
      const places = {
        terminals: join(directory, "tty"),
        devices: join(directory, "dev"),
        links: [join(directory, "by-id"), join(directory, "by-path")],
      };
      for (const folder of [places.terminals, places.devices, ...places.links]) await mkdir(folder);
      const terminal = async (name: string, type: string, usb?: object) => {
        const device = join(directory, "devices", name, "1.0", name);
        await mkdir(device, { recursive: true });
        for (const [key, text] of Object.entries(usb ?? {})) {
          await writeFile(join(directory, "devices", name, key), `${text}\n`);
        }
        await mkdir(join(places.terminals, name));
        await writeFile(join(places.terminals, name, "type"), `${type}\n`);
        await symlink(device, join(places.terminals, name, "device"));
        await writeFile(join(places.devices, name), "");
      };
      await terminal("ttyUSB10", "0x0", { product: "USB-RS485", manufacturer: "FTDI" });
      await terminal("ttyUSB9", "0x0");
      await terminal("ttyS0", "4");
      await terminal("ttyS1", "0"); // a line without a chip
      await mkdir(join(places.terminals, "ptmx")); // nothing behind it
      await symlink(join(places.devices, "ttyUSB10"), join(directory, "by-id", "usb-FTDI"));
      assert.deepEqual(
        (await listPorts(places)).map(({ path, stable, what }) => [
          path.slice(places.devices.length + 1),
          stable?.slice(directory.length) ?? null,
          what,
        ]),
        [
          ["ttyS0", null, ""],
          ["ttyUSB9", null, ""],
          ["ttyUSB10", "/by-id/usb-FTDI", "FTDI USB-RS485"],
        ],
      );
      assert.deepEqual(await listPorts({ ...places, terminals: "/nowhere" }), []);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});
