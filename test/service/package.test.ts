import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { access, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { keepsThroughKill, LOADS_NATIVE } from "../support/packaged.ts";
import { Program } from "../support/program.ts";

const run = promisify(execFile);
const { version } = JSON.parse(await readFile("package.json", "utf8"));
const SYSROOT = "/usr/aarch64-linux-gnu";
const EMULATOR = "/usr/bin/qemu-aarch64-static";
const EMULATED_START_MS_MAX = 120_000;
const LONG = process.env["FIELDGATE_TEST_LONG"] === "1";
/** e_machine of ELF: what a binary is for. */
const ELF_MACHINE = { arm64: 0xb7, armhf: 0x28 } as const;

const directory = await mkdtemp(join(tmpdir(), "fieldgate-package-test-"));
const packageOf = (machine: string, of = version) =>
  join(directory, `fieldgate_${of}_${machine}.deb`);

describe("the Debian package", () => {
  before(async () => {
    await build("--fast", "arm64", "armhf");
  });
  after(() => rm(directory, { recursive: true, force: true }));

  for (const [machine, expected] of Object.entries(ELF_MACHINE)) {
    it(`for ${machine} has what is native for that kind of machine, and for no other`, async () => {
      const root = await unpacked(machine);
      const binaries = (await readdir(root, { recursive: true })).filter(
        (path) => path.endsWith(".node") || path.endsWith("bin/node"),
      );
      const names = binaries.map((path) => path.replace(/.*\//, "")).sort();
      const addons = 3;
      assert.equal(names.length, machine === "armhf" ? addons : addons + 1, names.join(" "));
      for (const path of binaries) {
        const header = (await readFile(join(root, path))).subarray(0, 20);
        assert.equal(header.readUInt16LE(18), expected, path);
      }
    });
  }

  it("is the same, byte for byte, when it is built again", async () => {
    const first = await readFile(packageOf("armhf"));
    await build("--fast", "armhf");
    assert.ok(first.equals(await readFile(packageOf("armhf"))));
  });

  it("has nothing that lintian calls an error or warns of", async (t) => {
    const missing = await missingOf("/usr/bin/lintian");
    if (missing !== null) return t.skip(missing);
    if (LONG) await build("--fast", "amd64");
    for (const machine of LONG ? ["armhf", "arm64", "amd64"] : ["armhf"]) {
      const { stdout } = await run("lintian", ["--allow-root", packageOf(machine)]);
      assert.equal(stdout.replaceAll(/^N: .*\n/gm, ""), "", machine);
    }
  });

  it("is not built for a machine that nobody has", async () => {
    await assert.rejects(build("m68k"), /no kind of machine m68k: amd64, arm64, armhf/);
  });

  it("takes a Node that somebody has built, and none for another kind of machine", async (t) => {
    const foreign = build("--fast", "--node", process.execPath, "armhf");
    if (process.arch !== "arm")
      await assert.rejects(foreign, /no program for this kind of machine/);
    await assert.rejects(build("--node", process.execPath), /is for one kind of machine: name it/);
    if (process.arch !== "x64") return t.skip("what is built here is for amd64");
    const own = join(directory, "own");
    await build("--fast", "--version", "0.0.1~own", "--node", "/bin/true", "amd64");
    const file = packageOf("amd64", "0.0.1~own");
    await run("dpkg-deb", ["-x", file, own]);
    const inside = await readFile(join(own, "usr/lib/fieldgate/bin/node"));
    assert.ok(inside.equals(await readFile("/bin/true")));
    const { stdout } = await run("dpkg-deb", ["--field", file, "Depends"]);
    assert.doesNotMatch(stdout, /nodejs/);
    const system = await run("dpkg-deb", ["--field", packageOf("armhf"), "Depends"]);
    assert.match(system.stdout, /nodejs \(>= 20\.15\)/);
  });

  it("for arm64 accepts a client, and keeps a message across a restart", async (t) => {
    const missing = await missingOf(EMULATOR, `${SYSROOT}/lib/libstdc++.so.6`);
    if (missing !== null) return t.skip(missing);
    const installed = join(await unpacked("arm64"), "usr/lib/fieldgate");
    const node = [EMULATOR, "-L", SYSROOT, join(installed, "bin/node")];
    const config = join(directory, "emulated.yaml");
    await writeFile(config, configuration(join(directory, "emulated")));
    const command = [...node, join(installed, "dist/fieldgate.js")];
    const program = new Program(config, command, EMULATED_START_MS_MAX);
    await keepsThroughKill(program);
    assert.equal(await program.terminate(), 0);
  });

  it("for arm64 has a koffi and a serialport that load", async (t) => {
    const missing = await missingOf(EMULATOR, `${SYSROOT}/lib/libstdc++.so.6`);
    if (missing !== null) return t.skip(missing);
    const installed = join(await unpacked("arm64"), "usr/lib/fieldgate");
    const argv = ["-L", SYSROOT, join(installed, "bin/node"), "-e", LOADS_NATIVE];
    const { stdout } = await run(EMULATOR, argv, { cwd: installed });
    assert.equal(stdout, "arm64 true\n");
  });
});

function configuration(place: string): string {
  return `store: { path: ${place}/store }
listeners: [ { name: emulated, port: 0 } ]
control: { socket: ${place}/control.sock }
`;
}

async function build(...argv: string[]): Promise<void> {
  await run(process.execPath, ["scripts/package.mjs", "--out", directory, ...argv]);
}

async function unpacked(machine: string): Promise<string> {
  const root = join(directory, machine);
  await mkdir(root, { recursive: true });
  await run("dpkg-deb", ["-x", packageOf(machine), root]);
  return root;
}

async function missingOf(...files: string[]): Promise<string | null> {
  for (const file of files) {
    const error = await access(file).catch((cause) => cause);
    if (error !== undefined) return `not installed: ${file}`;
  }
  return null;
}
