import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { parseArgs } from "node:util";
import { FieldgateError } from "../../src/base/errors.ts";
import { CATALOGUE } from "../../src/cli/catalogue.ts";
import { Program } from "../support/program.ts";
import { RawClient } from "../support/raw-client.ts";
import { runCommand } from "../support/run-command.ts";

/**
 * Of what goes on until Ctrl-C or for a minute, what wants a terminal, and what changes the machine that tests, the words are read, and
 * that is all.
 */
const READ_ONLY =
  /^fieldgate (run|tail|top|serial (identify|trace)|user (add|passwd)|pub .*--stdin|time set)\b/;
/** What this gateway has not: a site, Modbus devices, a USB adapter. What is told then. */
const ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  "site hand-over": ["ERR_SITE_HAND_OVER"],
  modbus: ["ERR_NOT_THERE"],
  "serial probe": ["ERR_DEVICE_OPEN"],
};
const ROOT = process.cwd();

describe("every example of the help, as it stands there, at a running gateway", () => {
  let directory: string;
  let gateway: Program;
  let client: RawClient;
  let place: (word: string) => string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "fieldgate-examples-"));
    const file = join(directory, "fieldgate.yaml");
    const config = {
      gateway: { id: "gw-a", site: "plant-7" },
      store: { path: join(directory, "store") },
      listeners: [{ name: "lan", port: 0 }],
      control: { socket: join(directory, "control.sock") },
      access: { usersFile: join(directory, "users") },
      uplink: { endpoints: ["mqtt://127.0.0.1:1"], rules: [{ match: "plant/#", lane: "bulk" }] },
    };
    await writeFile(file, JSON.stringify(config));
    await writeFile(
      join(directory, "new.yaml"),
      JSON.stringify({ ...config, log: { level: "warn" } }),
    );
    await writeFile(join(directory, "users"), "");
    for (const each of ["usb", "site"]) await mkdir(join(directory, each));
    place = (word) =>
      word
        .replace(/^\.\/(new|fieldgate)\.yaml$/, join(directory, "$1.yaml"))
        .replace(/^\/run\/fieldgate[\w-]*\/control\.sock$/, config.control.socket)
        .replace(/^\/(?:mnt|media)\/usb\//, join(directory, "usb/"))
        .replace(/^\/root\/site$/, join(directory, "site"));
    gateway = new Program(file);
    const port = await gateway.start();
    client = await RawClient.connected(port, { clientId: "sensor-17" });
    (await RawClient.connected(port, { clientId: "old-panel", clean: false })).drop();
    process.chdir(directory); // where a bundle is put
  });

  after(async () => {
    process.chdir(ROOT);
    client.drop();
    await gateway.terminate();
    await rm(directory, { recursive: true, force: true });
  });

  for (const [name, { load }] of Object.entries(CATALOGUE)) {
    it(`of ${name}`, async () => {
      const { help } = (await load()).command;
      const examples = /^Examples:\n((?: {2}.*\n)+)/m.exec(help)?.[1]?.trim().split("\n") ?? [];
      assert.ok(examples.length > 0, `fieldgate ${name} --help has no example`);
      for (const example of examples.flatMap((line) => line.split("&&"))) await tried(example);
    });
  }

  async function tried(example: string): Promise<void> {
    const [said = "", jq] = example
      .trim()
      .replace(/^pass .* \| /, "")
      .split(/ \| (?=jq )/);
    const shown = said.replace(/^sudo /, "").replace(/ [<>] \S+$/, "");
    if (!shown.startsWith("fieldgate ")) return;
    const [, name = "", ...argv] = wordsOf(shown);
    const { command } = (await CATALOGUE[name]?.load()) ?? assert.fail(`no command ${name}`);
    const common = {
      config: { type: "string" },
      socket: { type: "string" },
      json: { type: "boolean" },
    } as const;
    const { values, positionals } = parseArgs({
      args: argv.map(place),
      allowPositionals: true,
      options: { ...command.options, ...common },
    });
    if (READ_ONLY.test(shown)) return;
    const { config, socket, json = false, ...options } = values;
    const invocation = {
      configPath: config ?? join(directory, "fieldgate.yaml"),
      socket: socket ?? null,
      ...{ json, options, rest: positionals },
    };
    try {
      const { code, out } = await runCommand(command, invocation);
      assert.ok([0, 1, 2, 3].includes(code), `${shown}: ${code}`);
      if (jq !== undefined) {
        const { status, stderr } = spawnSync("sh", ["-c", jq], { input: out, encoding: "utf8" });
        assert.equal(status, 0, `${example}: ${stderr}`);
      }
    } catch (error) {
      const allowed = Object.entries(ELSEWHERE).filter(([words]) => shown.includes(words));
      const isTold =
        error instanceof FieldgateError && allowed.some(([, codes]) => codes.includes(error.code));
      assert.ok(isTold, `${shown}: ${error}`);
    }
  }
});

/** As a shell takes it apart: of quotes, single ones only. */
function wordsOf(text: string): readonly string[] {
  return [...text.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? "");
}
