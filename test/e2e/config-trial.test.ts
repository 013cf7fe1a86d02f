import assert from "node:assert/strict";
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { startMosquitto } from "../support/mosquitto.ts";
import { Program } from "../support/program.ts";
import { assertScreen, fieldgate } from "../support/screens.ts";
import { until } from "../support/until.ts";

describe("fieldgate config apply", () => {
  it("goes back by itself when the uplink is lost and nobody confirms, and brings the uplink back", () =>
    withGateway(async ({ asked, file, other, cloudPort }) => {
      await until("the uplink is there", async () => (await uplinkOf(asked)) === "connected");
      const lost = await other({ uplink: { endpoints: ["mqtt://127.0.0.1:1"] } });
      const before = await readFile(file, "utf8");
      const applied = await asked("config", "apply", lost, "--confirm", "15s");
      assert.equal(applied.code, 0, applied.err);
      assertScreen("config-apply", applied.out.replaceAll(String(cloudPort), "PORT"));
      assert.notEqual(await uplinkOf(asked), "connected");
      assert.equal(await readFile(file, "utf8"), before, "the file stays as it was");
      const twice = await asked("config", "apply", lost, "--confirm", "15s");
      assert.match(twice.err, /ERR_CONFIG_TRIAL/);
      await until(
        "the uplink is back",
        async () => (await uplinkOf(asked)) === "connected",
        60_000,
      );
      assert.match((await asked("config", "confirm")).err, /ERR_CONFIG_TRIAL/);
    }));

  it("keeps what is confirmed: in the file, with its mode, and the one before beside it", () =>
    withGateway(async ({ asked, file, other, gateway, socket }) => {
      await chmod(file, 0o640);
      const before = await readFile(file, "utf8");
      const louder = await other({ log: { level: "debug" } });
      const differs = await asked("config", "diff", louder);
      assert.equal(differs.code, 1);
      assertScreen("config-diff", differs.out);
      assert.equal((await asked("config", "apply", louder, "--confirm", "5m")).code, 0);
      const elsewhere = await fieldgate("config", "confirm", "--config", louder);
      assert.match(elsewhere.err, /is started with .*, not with .*ERR_CONFIG_TRIAL/);
      // By the socket alone: it is the gateway that knows its file.
      const confirmed = await fieldgate("config", "confirm", "--socket", socket);
      assert.equal(confirmed.code, 0, confirmed.err);
      assertScreen("config-confirm", confirmed.out);
      assert.equal(await readFile(file, "utf8"), await readFile(louder, "utf8"));
      assert.equal(await readFile(`${file}.before`, "utf8"), before);
      assert.equal((await stat(file)).mode & 0o777, 0o640);
      assert.match((await asked("config", "diff", louder)).out, /nothing differs/);
      await gateway.kill();
      await gateway.start();
      assert.match((await asked("config", "diff", louder)).out, /nothing differs/);
    }));

  it("goes back when the new one does not start, when the process is killed, and when it is taken back", () =>
    withGateway(async ({ asked, other, file, gateway }) => {
      const taken = await other({
        listeners: [
          { name: "lan", port: 0 },
          { name: "b", host: "192.0.2.1", port: 0, insecure: true },
        ],
      });
      const failed = await asked("config", "apply", taken, "--confirm", "5m");
      assert.equal(failed.code, 2, failed.out);
      assert.match(failed.out, /has gone back: it did not start: .*192\.0\.2\.1/);
      const louder = await other({ log: { level: "debug" } });
      assert.equal((await asked("config", "apply", louder, "--confirm", "5m")).code, 0);
      const reverted = await asked("config", "revert");
      assert.equal(reverted.code, 0);
      assertScreen("config-revert", reverted.out);
      assert.match((await asked("config", "diff", file)).out, /nothing differs/);
      assert.equal((await asked("config", "apply", louder, "--confirm", "5m")).code, 0);
      await gateway.kill();
      await gateway.start();
      assert.match((await asked("config", "diff", file)).out, /nothing differs/);
    }));

  it("refuses what is not valid, has no time, or would move the socket", () =>
    withGateway(async ({ asked, other, file }) => {
      const wrong = `${file}.wrong`;
      await writeFile(wrong, "stroe: {}\n");
      assert.match((await asked("config", "apply", wrong, "--confirm", "5m")).err, /:1:1 .*stroe/);
      const louder = await other({ log: { level: "debug" } });
      for (const time of ["5", "m", "-5m"]) {
        assert.match(
          (await asked("config", "apply", louder, `--confirm=${time}`)).err,
          /ERR_USAGE/,
        );
      }
      assert.match((await asked("config", "apply", louder)).err, /ERR_USAGE/);
      const moved = await other({ control: { socket: "/tmp/elsewhere.sock" } });
      assert.match(
        (await asked("config", "apply", moved, "--confirm", "5m")).err,
        /ERR_CONFIG_TRIAL/,
      );
      assert.equal((await asked("config", "diff", file)).code, 0, "it runs as before");
    }));
});

type Asked = (...argv: string[]) => ReturnType<typeof fieldgate>;

async function uplinkOf(asked: Asked): Promise<string> {
  const { out, code } = await asked("status", "--json");
  return code === 3 ? "away" : JSON.parse(out).uplink.state;
}

interface Rig {
  readonly asked: Asked;
  readonly gateway: Program;
  readonly file: string;
  readonly cloudPort: number;
  readonly socket: string;
  /** Another configuration file: the gateway's, changed. */
  other(change: object): Promise<string>;
}

async function withGateway(work: (rig: Rig) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-config-"));
  const cloud = await startMosquitto({ config: [] });
  const file = join(directory, "fieldgate.yaml");
  const socket = join(directory, "control.sock");
  const config = {
    store: { path: join(directory, "store") },
    listeners: [{ name: "lan", port: 0 }],
    control: { socket },
    uplink: { endpoints: [`mqtt://127.0.0.1:${cloud.port}`], rules: [{ match: "plant/#" }] },
    log: { level: "info" },
  };
  await writeFile(file, JSON.stringify(config));
  const gateway = new Program(file);
  await gateway.start();
  let made = 0;
  const other = async (change: object) => {
    const path = join(directory, `other-${++made}.yaml`);
    await writeFile(path, JSON.stringify({ ...config, ...change }));
    return path;
  };
  const asked = (...argv: string[]) => fieldgate(...argv, "--config", file);
  try {
    await work({ asked, gateway, file, other, socket, cloudPort: cloud.port });
  } finally {
    await gateway.terminate();
    await cloud.end();
    await rm(directory, { recursive: true, force: true });
  }
}
