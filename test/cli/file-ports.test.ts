import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { listPorts } from "../../src/cli/file-ports.ts";
import { UsbTree } from "../devices/usb-tree.ts";

describe("the serial ports of a machine", () => {
  it("are those with hardware behind them, with the name that stays and what they are", async () => {
    const directory = await mkdtemp(join(tmpdir(), "fieldgate-ports-"));
    try {
      const places = {
        dev: join(directory, "dev"),
        sys: directory,
      };
      const terminals = join(directory, "class/tty");
      const byId = join(places.dev, "serial/by-id");
      for (const folder of [terminals, byId]) await mkdir(folder, { recursive: true });
      const terminal = async (name: string, type: string, usb?: object) => {
        const device = join(directory, "devices", name, "1.0", name);
        await mkdir(device, { recursive: true });
        for (const [key, text] of Object.entries(usb ?? {})) {
          await writeFile(join(directory, "devices", name, key), `${text}\n`);
        }
        await mkdir(join(terminals, name));
        await writeFile(join(terminals, name, "type"), `${type}\n`);
        await symlink(device, join(terminals, name, "device"));
        await writeFile(join(places.dev, name), "");
      };
      await terminal("ttyUSB10", "0x0", { product: "USB-RS485", manufacturer: "FTDI" });
      await terminal("ttyUSB9", "0x0");
      await terminal("ttyS0", "4");
      await terminal("ttyS1", "0"); // a line without a chip
      await mkdir(join(terminals, "ptmx")); // nothing behind it
      await symlink(join(places.dev, "ttyUSB10"), join(byId, "usb-FTDI"));
      assert.deepEqual(
        (await listPorts(places)).map(({ path, stable, what }) => [
          path.slice(places.dev.length + 1),
          stable?.slice(places.dev.length) ?? null,
          what,
        ]),
        [
          ["ttyS0", null, ""],
          ["ttyUSB9", null, ""],
          ["ttyUSB10", "/serial/by-id/usb-FTDI", "FTDI USB-RS485"],
        ],
      );
      assert.deepEqual(await listPorts({ ...places, sys: "/nowhere" }), []);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  it("are named by where they are plugged in when two have one name", async () => {
    const directory = await mkdtemp(join(tmpdir(), "fieldgate-ports-"));
    try {
      const tree = new UsbTree(directory);
      const one = { tty: "ttyUSB0", place: "1-1", behind: "/dev/zero" };
      const twin = { tty: "ttyUSB1", place: "1-2", behind: "/dev/full" };
      await tree.plugIn(one);
      const alone = await listPorts(tree.places);
      assert.deepEqual(
        alone.map(({ stable, twins }) => [stable, twins]),
        [[tree.byId({}), []]],
      );
      await tree.plugIn(twin);
      const both = await listPorts(tree.places);
      assert.deepEqual(
        both.map(({ stable, twins }) => [stable, twins]),
        [
          [tree.byPath(one), ["ttyUSB1"]],
          [tree.byPath(twin), ["ttyUSB0"]],
        ],
      );
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});
