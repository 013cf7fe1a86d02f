import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ptyPlug } from "../../firmware-sim/pty.ts";
import { authority, expiredCertificate } from "../support/certificates.ts";
import { assertShown, screensShown } from "../support/field-guide.ts";
import { freePort } from "../support/free-port.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { subscribe } from "../support/mqtt-words.ts";
import { Program } from "../support/program.ts";
import { RawClient } from "../support/raw-client.ts";
import { fieldgate } from "../support/screens.ts";
import { until } from "../support/until.ts";

const seen = new Set<string>();

describe("docs/field-guide.md shows what is seen", () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "fieldgate-guide-"));
  });
  after(() => rm(directory, { recursive: true, force: true }));

  it("when the gateway does not run", async () => {
    const file = await configured("not-running", {});
    await shows("not-running", 3, "status", "--config", file);
  });

  it("when the configuration has a mistake", async () => {
    const file = join(directory, "fieldgate.yaml");
    await writeFile(file, "stroe:\n  path: /data\nlisteners:\n  - { name: lan, port: 70000 }\n");
    await shows("configuration", 2, "config", "check", "--config", file);
  });

  it("when the cloud's name is not known, and when nobody answers", async () => {
    const nameless = { endpoints: ["mqtt://cloud.plant-7.invalid"] };
    await walked("dns", await configured("dns", { uplink: nameless }));
    const deaf = { endpoints: ["mqtt://127.0.0.1:1"] };
    await walked("unreachable", await configured("unreachable", { uplink: deaf }));
  });

  it("when the cloud does not let the gateway in", async () => {
    const passwords = join(directory, "passwords");
    await writeFile(passwords, "gw:secret\n", { mode: 0o600 });
    execFileSync("mosquitto_passwd", ["-U", passwords], { stdio: "pipe" });
    const config = ["allow_anonymous false", `password_file ${passwords}`];
    const cloud = await startMosquitto({ config });
    try {
      const uplink = { endpoints: [`mqtt://gw:wrong-one@127.0.0.1:${cloud.port}`] };
      const out = await walked("password", await configured("password", { uplink }));
      assert.doesNotMatch(out, /wrong-one/);
    } finally {
      await cloud.end();
    }
  });

  it("when clock and certificate do not agree", async () => {
    const ca = authority(directory, "ca");
    const server = expiredCertificate(directory, ca, "cloud", "subjectAltName=DNS:localhost");
    const config = [`cafile ${ca.cert}`, `certfile ${server.cert}`, `keyfile ${server.key}`];
    const cloud = await startMosquitto({ config });
    try {
      const uplink = { endpoints: [`mqtts://localhost:${cloud.port}`], caFile: ca.cert };
      await walked("clock", await configured("clock", { uplink }));
    } finally {
      await cloud.end();
    }
  });

  it("when an adapter is unplugged, a lane paused, a sensor too loud, too many sessions left", async () => {
    const port = join(directory, "usb-FTDI");
    const plug = ptyPlug(port);
    await plug.plugIn();
    const cloud = await startMosquitto({ config: [] });
    const file = await configured("running", {
      mqtt: { sessionsMax: 2 },
      devices: [
        {
          name: "boiler",
          port,
          topic: "plant/boiler",
          framing: { type: "lines" },
          decode: { type: "json" },
        },
      ],
      uplink: { endpoints: [`mqtt://127.0.0.1:${cloud.port}`], rules: [{ match: "plant/#" }] },
    });
    const gateway = new Program(file);
    try {
      const mqtt = await gateway.start();
      const reasons = async () => {
        const { out } = await fieldgate("status", "--config", file, "--json");
        return JSON.parse(out).reasons.join("; ") as string;
      };
      await until("all is well", async () => (await reasons()) === "");
      assert.deepEqual(await alarms(file), [], "no false alarms");
      await fieldgate("queue", "pause", "telemetry", "--config", file);
      await fieldgate("pub", "plant/oven", "180", "--config", file);
      await shows("paused", 1, "status", "--config", file);
      await fieldgate("queue", "resume", "telemetry", "--config", file);
      await until("what has waited is there", async () => {
        const { out } = await fieldgate("status", "--config", file, "--json");
        return JSON.parse(out).ledger.telemetry.queued === 0;
      });
      await plug.pull();
      await until("it is missed", async () =>
        /boiler waiting: there is no such port/.test(await reasons()),
      );
      await shows("unplugged", 1, "status", "--config", file);
      await shows("unplugged-doctor", 2, "doctor", "--only", "serial", "--config", file);
      const loud = await RawClient.connected(mqtt, { clientId: "meter-3" });
      const quiet = await RawClient.connected(mqtt, { clientId: "meter-1" });
      const stop = publishing(loud);
      try {
        await until("it is told who is loud", async () =>
          /meter-3 +\S+ +\d+ \S+ +\d+ \S+ +[1-9]/.test(
            (await fieldgate("clients", "--config", file)).out,
          ),
        );
        await shows("flood", 0, "clients", "--config", file);
      } finally {
        stop();
        loud.drop();
        quiet.drop();
      }
      for (const clientId of ["panel-1", "panel-2"]) await leavesSession(mqtt, clientId);
      await fieldgate("pub", "hall/light", "on", "--qos", "1", "--config", file);
      await shows("sessions", 1, "doctor", "--only", "sessions", "--config", file);
      await shows("sessions-away", 0, "clients", "--config", file);
      await shows("sessions-forget", 1, "clients", "forget", "panel-1", "--config", file);
    } finally {
      await gateway.terminate();
      await plug.pull();
      await cloud.end();
    }
  });

  it("when two devices have the same port", async () => {
    const [one, other] = [join(directory, "usb-one"), join(directory, "usb-other")];
    await symlink("/dev/full", one);
    await symlink("/dev/full", other);
    const device = (name: string, port: string) => {
      return { name, port, topic: name, framing: { type: "lines" }, decode: { type: "json" } };
    };
    const devices = [device("boiler", one), device("meter", other)];
    const file = await configured("collision", { devices });
    await shows("collision", 2, "doctor", "--only", "serial", "--config", file);
  });

  it("when etcd has no quorum", async () => {
    const ports = [await freePort(), await freePort(), await freePort()];
    const endpoints = ports.map((port) => `http://127.0.0.1:${port}`);
    const file = await configured("etcd", { cluster: { endpoints } });
    await shows("etcd", 1, "doctor", "--only", "etcd", "--config", file);
  });

  it("and nothing else", () => {
    assert.deepEqual(screensShown().toSorted(), [...seen].sort());
    assert.ok(seen.size >= 10);
  });

  async function configured(name: string, keys: object): Promise<string> {
    const file = join(directory, `${name}.yaml`);
    const usual = {
      gateway: { id: "gw-a", site: "plant-7" },
      store: { path: join(directory, "store") },
      listeners: [{ name: "lan", port: 0 }],
      control: { socket: join(directory, "control.sock") },
    };
    await writeFile(file, JSON.stringify({ ...usual, ...keys }));
    return file;
  }

  async function walked(name: string, file: string): Promise<string> {
    return shows(name, 2, "uplink", "test", "--config", file);
  }

  /** Runs the command, and compares what it says with the guide. */
  async function shows(name: string, code: number, ...argv: string[]): Promise<string> {
    const said = await fieldgate(...argv);
    assert.equal(said.code, code, `${said.out}${said.err}`);
    const words = argv.slice(0, argv.indexOf("--config")).join(" ");
    const screen = steady(`$ fieldgate ${words}\n${said.out}${said.err}`);
    assertShown(name, screen.replaceAll(directory, "/run/fieldgate"));
    seen.add(name);
    return screen;
  }
});

/** What the doctor finds wrong, that of the machine that tests aside; socat, which stands in for a cable, holds both its ends. */
async function alarms(file: string): Promise<readonly string[]> {
  const { out } = await fieldgate("doctor", "--config", file, "--json");
  const findings = JSON.parse(out).findings as { id: string; verdict: string; what: string }[];
  return findings
    .filter(({ verdict }) => verdict === "warning" || verdict === "critical")
    .filter(({ id }) => !/^(machine|clock|serial|store\.(filesystem|latency|space))\b/.test(id))
    .map(({ id, what }) => `${id}: ${what}`);
}

/** Without what depends on the moment and the machine. */
function steady(screen: string): string {
  return screen
    .replace(/^ {2}(?:machine|flash|top talkers) .*\n/gm, "")
    .replace(/^( {2}clock +).*$/gm, "$1synchronised")
    .replace(/^( {4}progress +).*$/gm, "$10.2/s acknowledged of 0.4/s accepted")
    .replace(/getaddrinfo E\w+/g, "getaddrinfo ENOTFOUND");
}

/** Comes with a session to keep, and does not come back. */
async function leavesSession(port: number, clientId: string): Promise<void> {
  const client = await RawClient.connected(port, { clientId, clean: false });
  await subscribe(client, "hall/#", 1);
  client.send({ cmd: "disconnect" });
  await client.ended();
}

/** Publishes as fast as it can be taken, until the returned function is called. */
function publishing(client: RawClient): () => void {
  let going = true;
  const packet = {
    cmd: "publish",
    topic: "hall/noise",
    qos: 0,
    retain: false,
    dup: false,
  } as const;
  const next = () => {
    if (!going) return;
    client.send({ ...packet, payload: "x" }, { ...packet, payload: "y" });
    setTimeout(next, 5);
  };
  next();
  return () => {
    going = false;
  };
}
