import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { promisify } from "node:util";
import { PROGRAM, Program } from "../support/program.ts";
import { fieldgate } from "../support/screens.ts";
import { until } from "../support/until.ts";

const run = promisify(execFile);
/** Of a network that is nobody's (RFC 5737). */
const ADDRESS = "192.0.2.77";

it("a gateway whose network comes later serves what it can, says what it waits for, and takes the address when it is there", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("root is needed for a network of its own");
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-late-address-"));
  const socket = join(directory, "control.sock");
  const file = join(directory, "fieldgate.yaml");
  const lan = { name: "lan", host: ADDRESS, port: 1883, insecure: true };
  const config = {
    store: { path: join(directory, "store") },
    listeners: [{ name: "local", port: 0 }, lan],
    control: { socket },
  };
  await writeFile(file, JSON.stringify(config));
  const own = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"];
  const program = new Program(file, [...own, ...PROGRAM]);
  const inside = (...argv: string[]) => run("nsenter", ["-t", String(program.pid), "-n", ...argv]);
  const connect = () => inside("bash", "-c", `exec 3<>/dev/tcp/${ADDRESS}/1883`);
  try {
    await program.start();
    const before = await fieldgate("status", "--socket", socket);
    assert.equal(before.code, 1);
    assert.match(before.out, /! listener lan waits: 192\.0\.2\.77 is no address of this machine/);
    assert.match(before.out, /listener local +tcp on port \d+/);
    assert.match(before.out, /listener lan +tcp, not open yet/);
    await assert.rejects(connect());
    await inside("ip", "addr", "add", `${ADDRESS}/32`, "dev", "lo");
    await until("it listens there", async () => {
      const { listeners } = JSON.parse(
        (await fieldgate("status", "--socket", socket, "--json")).out,
      ).broker;
      return listeners[1].waiting === null;
    });
    await connect();
  } finally {
    assert.equal(await program.terminate(), 0);
    await rm(directory, { recursive: true, force: true });
  }
});
