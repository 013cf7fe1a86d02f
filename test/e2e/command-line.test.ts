import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { ask } from "../../src/control/control-client.ts";
import type { GatewayStatus } from "../../src/gateway-status.ts";
import { freePort } from "../support/free-port.ts";
import { Program } from "../support/program.ts";
import { RawClient } from "../support/raw-client.ts";
import { assertScreen, fieldgate } from "../support/screens.ts";
import { until } from "../support/until.ts";

/** Standard error as services, pipelines and technicians have it, whose far end nobody reads. */
const UNREAD: Readonly<Record<string, (command: string) => string>> = {
  socket: (command) => `exec ${command}`, // as journald's
  pipe: (command) => `${command} 2>&1 >/dev/null | sleep 600`,
  terminal: (command) => `exec script -qefc '${command}' /dev/null`, // held by Ctrl-S
};

describe("fieldgate", () => {
  it("names every mistake of a configuration at once, with lines, and exits 2", () =>
    withDirectory(async (directory) => {
      const file = join(directory, "bad.yaml");
      await writeFile(file, "gatewai: {}\nstore:\n  bytesMax: many\nlisteners:\n  - port: 70000\n");
      for (const command of [["config", "check"], ["run"]]) {
        const { code, err } = await fieldgate(...command, "--config", file);
        assert.equal(code, 2);
        for (const mistake of [/:1:1 .*gatewai.*gateway/, /:3:13 .*bytesMax/, /:5:11 .*port/]) {
          assert.match(err, mistake);
        }
      }
    }));

  it("says what is the matter with a file that is not there, and exits 2", async () => {
    const { code, err } = await fieldgate("run", "--config", "/nowhere/fieldgate.yaml");
    assert.equal(code, 2);
    assert.match(err, /\/nowhere\/fieldgate\.yaml.*ERR_CONFIG_UNREADABLE/s);
  });

  it("refuses unknown commands and options with ERR_USAGE, and exits 2", async () => {
    for (const argv of [["fly"], ["status", "--wings"], ["__proto__"]]) {
      const { code, err } = await fieldgate(...argv);
      assert.equal(code, 2, argv.join(" "));
      assert.match(err, /ERR_USAGE/);
    }
    const { err } = await fieldgate("tail", "--cuont", "3");
    assert.equal(
      err,
      "fieldgate: there is no option --cuont, did you mean --count?; see fieldgate tail --help [ERR_USAGE]\n",
    );
  });

  it("tells how the users file is made where there is none yet", () =>
    withDirectory(async (directory) => {
      const file = join(directory, "fieldgate.yaml");
      await writeFile(file, JSON.stringify({ access: { usersFile: join(directory, "users") } }));
      const { code, err } = await fieldgate("user", "list", "--config", file);
      assert.equal(code, 2);
      assert.match(err, /users is not there: `fieldgate user add NAME` makes it/);
    }));

  it("tells its version and helps, on standard output, with 0", async () => {
    assert.match((await fieldgate("--version")).out, /^fieldgate \d+\.\d+\.\d+\n$/);
    assert.match((await fieldgate("--help")).out, /Usage: fieldgate COMMAND/);
    assert.match((await fieldgate("status", "--help")).out, /fieldgate status/);
    for (const shell of ["bash", "zsh", "fish"]) {
      assertScreen(`completion-${shell}`, (await fieldgate("completion", shell)).out);
    }
  });

  it("makes a site's authority and a gateway's certificate, one command each, and overwrites nothing", () =>
    withDirectory(async (directory) => {
      const made = await fieldgate("site", "init", "plant-7", directory);
      assert.equal(made.code, 0);
      assertScreen("site-init", made.out);
      const { code, out } = await fieldgate("site", "enroll", "gw-a", directory);
      assert.equal(code, 0);
      assertScreen("site-enroll", out);
      const again = await fieldgate("site", "init", "plant-7", directory);
      assert.equal(again.code, 2);
      assert.match(again.err, /site-ca\.key is there already.*ERR_CERTIFICATE/);
      for (const argv of [["init"], ["enroll"], ["init", "a", "b", "c"], ["fly"]]) {
        assert.match((await fieldgate("site", ...argv)).err, /ERR_USAGE/);
      }
    }));

  it("tells in doctor which name of brokers cannot be looked up", () =>
    withDirectory(async (directory) => {
      const file = join(directory, "fieldgate.yaml");
      const uplink = { endpoints: ["srv+mqtts://gw:secret@_mqtt._tcp.no-such-host.invalid"] };
      const control = { socket: join(directory, "control.sock") };
      await writeFile(file, JSON.stringify({ uplink, control }));
      const { code, out } = await fieldgate("doctor", "--config", file, "--only", "uplink.srv");
      assert.equal(code, 2);
      assert.match(out, /_mqtt\._tcp\.no-such-host\.invalid names no broker that can be used/);
      assert.doesNotMatch(out, /secret/);
    }));

  it("tells in doctor what is wrong without a gateway and with one, and fixes what it may", () =>
    withDirectory(async (directory) => {
      const file = join(directory, "fieldgate.yaml");
      const socket = join(directory, "control.sock");
      const path = join(directory, "store");
      const config = {
        store: { path },
        listeners: [{ name: "lan", port: 0 }],
        control: { socket },
      };
      await writeFile(file, JSON.stringify(config));
      const without = await fieldgate("doctor", "--config", file);
      assert.equal(without.code, 2);
      assert.match(without.out, /^!! {2}gateway +no gateway answers$/m);
      assert.match(without.out, /^! {3}store\.path +.* is not there$/m);
      const fixed = await fieldgate("doctor", "--config", file, "--only", "store.path", "--fix");
      assertScreen("doctor-fix", fixed.out);
      const gateway = new Program(file);
      await gateway.start();
      try {
        const { code, out } = await fieldgate(
          "doctor",
          "--config",
          file,
          "--only",
          "gateway",
          "--json",
        );
        assert.equal(code, 0);
        const { exit, findings } = JSON.parse(out);
        assert.equal(exit, 0);
        assert.deepEqual(
          findings.map(({ id, verdict }: { id: string; verdict: string }) => [id, verdict]),
          [["gateway", "fine"]],
        );
      } finally {
        await gateway.terminate();
      }
      await writeFile(file, "stroe: {}\n");
      const broken = await fieldgate("doctor", "--config", file);
      assert.equal(broken.code, 2);
      assert.match(broken.out, /^!! {2}config +.* has mistakes$/m);
      assert.match(broken.out, /stroe.*store/);
      assert.match(
        broken.out,
        /^!! {2}gateway .*\n(.*\n)*.{4}clock\.plausible .*\n(.*\n)*.{4}machine\.memory /m,
      );
      const unknown = await fieldgate("doctor", "--config", file, "--only", "weather");
      assert.equal(unknown.code, 2);
      assert.match(
        unknown.err,
        /there are without a valid configuration: config, gateway, .*ERR_USAGE/,
      );
    }));

  it("exits 3 from status where no gateway answers, and says so", async () => {
    const { code, err } = await fieldgate("status", "--socket", "/nowhere/control.sock");
    assert.equal(code, 3);
    assert.match(err, /no gateway answers on \/nowhere\/control\.sock/);
  });

  it("goes on after a SIGHUP, and says what it is not needed for", () =>
    withDirectory(async (directory) => {
      const { gateway, port } = await started(directory);
      process.kill(gateway.pid, "SIGHUP");
      await until("it is told", () =>
        gateway.lines.some((line) => /^SIGHUP/.test(`${line["message"]}`)),
      );
      await RawClient.connected(port);
      assert.equal(await gateway.terminate(), 0);
    }));

  it("runs, tells its status, ends on SIGTERM with 0 and leaves nothing behind", () =>
    withDirectory(async (directory) => {
      const program = await started(directory);
      const client = await RawClient.connected(program.port);
      const { code, out } = await fieldgate(
        "status",
        "--socket",
        join(directory, "sock"),
        "--json",
      );
      assert.equal(code, 0);
      assert.equal(JSON.parse(out).broker.connections, 1);
      assert.match(
        (await fieldgate("status", "--config", join(directory, "fieldgate.yaml"))).out,
        /1 connected/,
      );
      const books = await fieldgate("ledger", "--socket", join(directory, "sock"));
      assert.equal(books.code, 0, books.err);
      assert.match(books.out, /lane telemetry .* queued\n(.*\n)*The books balance\.\n$/);
      assert.equal(await program.gateway.terminate(), 0);
      // What its clock is worth, and what is slow, is the machine's.
      const isOurs = (line: Record<string, unknown>) =>
        line["level"] === "info" && line["part"] !== "time" && line["part"] !== "health";
      const lines = program.gateway.lines.filter(isOurs);
      assertScreen("run", lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
      await client.ended();
      await assert.rejects(dial(program.port), /ECONNREFUSED/);
    }));

  it("goes on when whoever reads its log ends", () =>
    withDirectory(async (directory) => {
      const file = join(directory, "fieldgate.yaml");
      const socket = join(directory, "sock");
      const config = { store: { path: join(directory, "store") }, control: { socket } };
      await writeFile(file, JSON.stringify({ ...config, listeners: [{ name: "lan", port: 0 }] }));
      const argv = ["dist/fieldgate.js", "run", "--config", file];
      const gateway = spawn(process.execPath, argv, { stdio: ["ignore", "ignore", "pipe"] });
      const exit = once(gateway, "exit");
      try {
        // The rest of what it says while it starts is for nobody.
        gateway.stderr.once("data", () => gateway.stderr.destroy());
        await until("it answers", async () => {
          assert.equal(gateway.exitCode, null, "it has ended");
          return (await fieldgate("ledger", "--socket", socket)).code === 0;
        });
        gateway.kill("SIGTERM");
        assert.deepEqual(await exit, [0, null]);
      } finally {
        gateway.kill("SIGKILL");
      }
    }));

  for (const [kind, wrapped] of Object.entries(UNREAD)) {
    it(`goes on when whoever reads its log by a ${kind} hangs, tells what is lost, and ends when it is to`, () =>
      withDirectory(async (directory) => {
        const { file, socket, port } = await talkative(directory);
        const command = wrapped(`${process.execPath} dist/fieldgate.js run --config ${file}`);
        const shell = spawn("sh", ["-c", command], {
          detached: true,
          stdio: ["ignore", "pipe", "pipe"],
        });
        try {
          const status = async () =>
            (await ask(socket, "status").catch(() => null)) as GatewayStatus | null;
          await until("it answers", async () => (await status()) !== null);
          await until("lines are dropped", async () => {
            await comeAndGo(port);
            const { code, out } = await fieldgate("status", "--socket", socket);
            return code === 1 && /! nobody reads the log: [\d,]+ lines are lost/.test(out);
          });
          const { log, pid } = (await status()) ?? assert.fail("it is gone");
          assert.ok((log?.pendingBytes ?? 0) <= 4096, `${log?.pendingBytes} bytes wait`);
          if (kind === "socket") {
            let read = "";
            shell.stderr.on("data", (chunk) => {
              read += chunk;
            });
            await until("it is told", () => /"nobody read the log: [^"]+","lines":\d+/.test(read));
          }
          process.kill(pid, "SIGTERM");
          await until("it has ended", () => hasEnded(pid));
        } finally {
          process.kill(-(shell.pid ?? 0), "SIGKILL");
        }
      }));
  }

  it("tells monitoring on loopback how it is, when it is asked to", () =>
    withDirectory(async (directory) => {
      const file = join(directory, "fieldgate.yaml");
      const config = {
        store: { path: join(directory, "store") },
        listeners: [{ name: "lan", port: 0 }],
        control: { socket: join(directory, "control.sock") },
        health: { port: 0 },
      };
      await writeFile(file, JSON.stringify(config));
      const gateway = new Program(file);
      await gateway.start();
      try {
        const { port } = await gateway.line("health listens");
        const ready = await fetch(`http://127.0.0.1:${port}/readyz`);
        assert.deepEqual([ready.status, await ready.text()], [200, "ready\n"]);
        const metrics = await fetch(`http://127.0.0.1:${port}/metrics`);
        assert.match(await metrics.text(), /^fieldgate_journal_open\{.*\} 1$/m);
      } finally {
        await gateway.terminate();
      }
    }));

  it("does not start where its port, its store or its socket is in use, stops what had started, and says why", () =>
    withDirectory(async (directory) => {
      const first = await started(directory);
      const clash = async (name: string, config: object) => {
        const file = join(directory, `${name}.yaml`);
        await writeFile(file, JSON.stringify(config));
        return fieldgate("run", "--config", file);
      };
      const free = (name: string) => ({
        store: { path: join(directory, `store-${name}`) },
        listeners: [{ name: "lan", port: 0 }],
        control: { socket: join(directory, `sock-${name}`) },
      });
      const port = await clash("port", {
        ...free("port"),
        listeners: [{ name: "lan", port: first.port }],
      });
      const store = await clash("store", {
        ...free("store"),
        store: { path: join(directory, "store") },
      });
      const socket = await clash("socket", {
        ...free("socket"),
        control: { socket: join(directory, "sock") },
      });
      for (const [said, code] of [
        [port, "ERR_LISTEN"],
        [store, "ERR_STORE_LOCKED"],
        [socket, "ERR_CONTROL"],
      ] as const) {
        assert.equal(said.code, 2, said.err);
        assert.match(said.err, new RegExp(code));
      }
      const client = await RawClient.connected(first.port);
      await client.settled();
      client.drop();
      assert.equal(await first.gateway.terminate(), 0);
    }));
});

async function started(directory: string) {
  const file = join(directory, "fieldgate.yaml");
  const config = {
    store: { path: join(directory, "store") },
    listeners: [{ name: "lan", port: 0 }],
    control: { socket: join(directory, "sock") },
  };
  await writeFile(file, JSON.stringify(config));
  const gateway = new Program(file);
  return { gateway, port: await gateway.start() };
}

/** A gateway's configuration with which it has much to log, and little room for it. */
async function talkative(directory: string) {
  const file = join(directory, "fieldgate.yaml");
  const socket = join(directory, "sock");
  const port = await freePort();
  const config = {
    store: { path: join(directory, "store") },
    listeners: [{ name: "lan", port }],
    control: { socket },
    mqtt: { connectRate: 100_000, connectRatePerAddress: 100_000 },
    log: { level: "debug", pendingBytesMax: "4KiB" },
  };
  await writeFile(file, JSON.stringify(config));
  return { file, socket, port };
}

/** A hundred lines of the log, of half a KiB. */
async function comeAndGo(port: number): Promise<void> {
  const ids = Array.from({ length: 100 }, (_, i) => `${i}`.padEnd(400, "x"));
  await Promise.all(
    ids.map(async (clientId) => (await RawClient.connected(port, { clientId })).drop()),
  );
}

/** Whether nothing of a process runs any more; whoever started it may be too busy to notice. */
function hasEnded(pid: number): boolean {
  try {
    return / Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return true;
  }
}

function dial(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port }, () => {
      socket.destroy();
      resolve();
    });
    socket.on("error", reject);
  });
}

async function withDirectory(test: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-cli-"));
  try {
    await test(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
