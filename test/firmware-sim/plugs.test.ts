import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { startField } from "../../firmware-sim/field.ts";
import { hasSocat, ptyPlug } from "../../firmware-sim/pty.ts";
import { tcpPlug } from "../../firmware-sim/tcp.ts";
import { until } from "../support/until.ts";

describe("plugs", () => {
  it("name the package when socat is missing", async () => {
    await withoutSocat(async () => {
      assert.equal(await hasSocat(), false);
      await assert.rejects(ptyPlug("/tmp/never").plugIn(), /apt-get install socat/);
    });
  });

  it("put a field on TCP where there is no socat", async () => {
    await withoutSocat(async () => {
      const field = await startField({ sensors: [{ kind: "thermometer", name: "t" }], seed: 1 });
      assert.match(field.sensor("t").port ?? "", /^tcp:\/\/127\.0\.0\.1:\d+$/);
      await field.stop();
    });
  });

  it("make a pseudo-terminal appear, vanish and appear again under one name", async (test) => {
    const directory = await mkdtemp(join(tmpdir(), "plugs-"));
    const plug = ptyPlug(join(directory, "tty"));
    test.after(async () => {
      await plug.pull();
      await rm(directory, { recursive: true });
    });
    for (let i = 0; i < 2; i++) {
      await plug.plugIn();
      assert.equal(existsSync(plug.port), true);
      assert.equal(plug.write(Buffer.from("x")), true);
      await plug.pull();
      assert.equal(existsSync(plug.port), false);
      assert.equal(plug.write(Buffer.from("x")), false);
    }
  });

  it("serve one TCP client at a time, on one port after every pull", async (test) => {
    const plug = await tcpPlug();
    test.after(() => plug.pull());
    for (let i = 0; i < 2; i++) {
      await plug.plugIn();
      assert.equal(plug.write(Buffer.from("lost")), false);
      const client = connect(Number(new URL(plug.port).port), "127.0.0.1");
      let heard = "";
      client.on("data", (chunk) => {
        heard += chunk.toString();
      });
      await until("connected", () => plug.write(Buffer.from(".")));
      const second = connect(Number(new URL(plug.port).port), "127.0.0.1");
      await once(second, "close");
      assert.equal(plug.write(Buffer.from("x")), true);
      await until("heard", () => heard.endsWith("x"));
      assert.match(heard, /^\.+x$/);
      const closed = once(client, "close");
      await plug.pull();
      await closed;
    }
  });

  it("are put away when a field cannot start", async () => {
    const sensors = [
      { kind: "thermometer", name: "a", transport: "tcp" },
      { kind: "thermometer", name: "b", transport: "pty" },
    ] as const;
    await assert.rejects(startField({ sensors, seed: 1, directory: "/nowhere/at/all" }), /socat/);
    const twice = [sensors[0], sensors[0]];
    await assert.rejects(startField({ sensors: twice, seed: 1 }), /two sensors have one name/);
  });
});

async function withoutSocat(test: () => Promise<void>): Promise<void> {
  const path = process.env["PATH"];
  process.env["PATH"] = "/nonexistent";
  try {
    await test();
  } finally {
    process.env["PATH"] = path;
  }
}
