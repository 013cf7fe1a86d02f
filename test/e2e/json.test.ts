import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type Field, startField } from "../../firmware-sim/field.ts";
import { CATALOGUE } from "../../src/cli/catalogue.ts";
import { Program } from "../support/program.ts";
import { RawClient } from "../support/raw-client.ts";
import { assertScreen, fieldgate, Going } from "../support/screens.ts";
import { until } from "../support/until.ts";

/** What prints no JSON, and why. */
const WITHOUT: Readonly<Record<string, string>> = {
  run: "its log is JSON, line by line",
};

const EXITS = ["fine", "warning", "critical", "unknown"];

describe("a program at a running gateway, with --json", () => {
  let directory: string;
  let field: Field;
  let gateway: Program;
  let port: number;
  let socket: string;
  let file: string;
  const shapes = new Map<string, string>();

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "fieldgate-json-"));
    const meter = { kind: "energy-meter", baudRate: 115_200, transport: "pty", units: 1 } as const;
    const sensors = [
      { ...meter, name: "meters" },
      { ...meter, name: "spare", station: 3 },
    ];
    field = await startField({ sensors, seed: 7 });
    socket = join(directory, "control.sock");
    file = join(directory, "fieldgate.yaml");
    const input = { field: "voltage", table: "input", register: 0 };
    const config = {
      store: { path: join(directory, "store") },
      listeners: [{ name: "lan", port: 0 }],
      control: { socket },
      access: { usersFile: join(directory, "users") },
      uplink: { endpoints: ["mqtt://127.0.0.1:1"], rules: [{ match: "plant/#" }] },
      devices: [
        {
          name: "meters",
          port: field.sensor("meters").port,
          baudRate: 115_200,
          topic: "m/{slave}",
          modbus: {
            framing: "rtu",
            slaves: [{ name: "m1", unit: 1, intervalMs: 60_000, fields: [input] }],
          },
        },
      ],
    };
    await writeFile(file, JSON.stringify(config));
    await writeFile(
      join(directory, "other.yaml"),
      JSON.stringify({ ...config, log: { level: "warn" } }),
    );
    await withInput("secret-1\n", "user", "add", "first", "--config", file);
    gateway = new Program(file);
    port = await gateway.start();
    await until("the line is open", async () => {
      const { out } = await fieldgate("status", "--json", "--socket", socket);
      return JSON.parse(out).devices[0].state === "open";
    });
  });

  after(async () => {
    await gateway.terminate();
    await field.stop();
    await rm(directory, { recursive: true, force: true });
  });

  /** Runs a command, and notes what its last value is made of. */
  async function asked(name: string, ...more: readonly string[]): Promise<void> {
    const argv = [...name.split(" "), ...more, "--json", "--config", file];
    noted(name, await fieldgate(...argv));
  }

  function noted(
    name: string,
    { code, out, err }: { code: number; out: string; err: string },
  ): void {
    assert.match(out, /^.+\n$/, `${name}: ${err}`);
    const values = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const exit = name.startsWith("time") ? "as the clock is" : EXITS[code];
    shapes.set(name, `${exit}, ${shape(values.at(-1))}`);
  }

  it("asks, and is answered by each command that only asks", async () => {
    const client = await RawClient.connected(port, { clientId: "sensor-1" });
    await asked("pub", "plant/oven", "180", "--retain");
    for (const name of [
      "status",
      "doctor",
      "clients",
      "retained",
      "queue show",
      "uplink",
      "uplink test",
    ]) {
      await asked(name);
    }
    await asked("uplink status");
    await asked("uplink route", "plant/oven");
    await asked("queue peek", "telemetry");
    for (const name of [
      "serial list",
      "ledger",
      "site",
      "site status",
      "config check",
      "config show",
    ]) {
      await asked(name);
    }
    await asked("access explain", "sensor-1", "plant/oven");
    await asked("user list");
    await asked("time");
    await asked("time status");
    await asked("top", "--count", "1");
    await asked("completion bash");
    await asked("completion zsh");
    await asked("completion fish");
    await asked("config diff", join(directory, "other.yaml"));
    client.drop();
  });

  it("has things done", async () => {
    const client = await RawClient.connected(port, { clientId: "sensor-1", clean: false });
    await client.settled();
    await asked("clients kick", "sensor-1");
    await client.ended();
    await asked("clients forget", "sensor-1");
    await asked("queue pause", "telemetry");
    await asked("queue resume", "telemetry");
    await asked("queue drop", "telemetry", "--confirm");
    await asked("time set", "2026-11-22T08:30", "--dry-run", "--force");
    await asked("backup", "--to", join(directory, "backups"));
    await asked("bundle", "--out", join(directory, "bundle.tar.gz"));
    await asked("site init", "plant-7", directory);
    await asked("site enroll", "gw-a", directory);
    await asked("site hand-over");
    for (const action of ["add", "passwd"]) {
      const argv = ["user", action, "bob", "--config", file, "--json"];
      noted(`user ${action}`, await withInput("secret-2\n", ...argv));
    }
    await asked("user roles", "bob", "sensor");
    await asked("user remove", "bob");
    for (const end of ["config revert", "config confirm"]) {
      await asked("config apply", join(directory, "other.yaml"), "--confirm", "5m");
      await asked(end);
    }
    assert.equal(
      await readFile(file, "utf8"),
      await readFile(join(directory, "other.yaml"), "utf8"),
    );
  });

  it("hears what goes on, and speaks on lines", async () => {
    await until("the line is open", async () => {
      const { out } = await fieldgate("status", "--json", "--socket", socket);
      return JSON.parse(out).devices?.[0]?.state === "open";
    });
    const goes = { tail: ["plant/#"], "serial trace": ["meters"] };
    const going = Object.entries(goes).map(([name, words]) => {
      const argv = [...name.split(" "), ...words, "--count", "1", "--json", "--socket", socket];
      return [name, new Going(...argv)] as const;
    });
    for (const [, each] of going) await each.says(/listening to/);
    await asked("pub", "plant/oven", "181");
    await asked("modbus read", "meters/m1", "input", "0");
    await asked("modbus write", "meters/m1", "coil", "0", "on", "--dry-run");
    for (const [name, each] of going)
      noted(name, { code: (await each.ended()) ?? -1, out: each.out, err: each.err });
    await asked("serial identify", "--seconds", "1");
    await asked("serial probe", field.sensor("spare").port ?? "", "--units", "4");
  });

  it("has covered every command and every action of the catalogue, in shapes that stay", async () => {
    for (const [name, { about, load }] of Object.entries(CATALOGUE)) {
      const actions = ((await load()).command.actions ?? []).map((action) => `${name} ${action}`);
      for (const each of new Set([...Object.keys(about), ...actions])) {
        const isCovered = [...shapes.keys()].some(
          (shown) => shown === each || shown.startsWith(`${each} `),
        );
        assert.ok(isCovered || each in WITHOUT, `${each} is asked for no JSON`);
      }
    }
    const lines = [...shapes].sort().map(([name, text]) => `${name}: ${text}\n`);
    assertScreen("json-shapes", lines.join(""));
  });

  it("is told by exit, code and error what went wrong, on standard output, and by nothing else", async () => {
    const wrong = join(directory, "wrong.yaml");
    await writeFile(wrong, "stroe: {}\n");
    for (const [code, exit, argv] of [
      ["ERR_USAGE", 2, ["status", "--wings"]],
      ["ERR_USAGE", 2, ["fly"]],
      ["ERR_USAGE", 2, ["queue", "fly", "bulk"]],
      ["ERR_NOT_THERE", 2, ["queue", "peek", "fast", "--socket", socket]],
      ["ERR_TOPIC", 2, ["tail", "a/#/b", "--socket", socket]],
      ["ERR_CONTROL", 3, ["status", "--socket", "/nowhere"]],
      ["ERR_CONFIG_INVALID", 2, ["config", "check", "--config", wrong]],
      ["ERR_CONFIG_UNREADABLE", 2, ["config", "show", "--config", "/nowhere"]],
    ] as const) {
      const { code: ended, out, err } = await fieldgate(...argv, "--json");
      const told = JSON.parse(out);
      assert.deepEqual(
        [ended, told.exit, told.code, typeof told.error],
        [exit, exit, code, "string"],
      );
      assert.equal(err, "", argv.join(" "));
    }
    const { mistakes } = JSON.parse(
      (await fieldgate("config", "check", "--config", wrong, "--json")).out,
    );
    assert.deepEqual([mistakes.length, mistakes[0].line], [1, 1]);
  });
});

/** The keys of an object; what a list is a list of. */
function shape(value: unknown): string {
  if (Array.isArray(value)) return `[${value.length === 0 ? "" : shape(value[0])}]`;
  return typeof value === "object" && value !== null ? Object.keys(value).join(" ") : typeof value;
}

async function withInput(input: string, ...argv: readonly string[]) {
  const child = spawn(process.execPath, ["dist/fieldgate.js", ...argv]);
  let [out, err] = ["", ""];
  child.stdout.on("data", (chunk) => {
    out += chunk;
  });
  child.stderr.on("data", (chunk) => {
    err += chunk;
  });
  child.stdin.end(input);
  await once(child, "close");
  return { code: child.exitCode ?? -1, out, err };
}
