import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { access, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { keepsThroughKill, LOADS_NATIVE } from "../support/packaged.ts";
import { Program } from "../support/program.ts";

const run = promisify(execFile);
const LONG = process.env["FIELDGATE_TEST_LONG"] === "1";
const EMULATED_START_MS_MAX = 300_000;
const NEEDED = ["/usr/bin/qemu-arm-static", "/usr/sbin/debootstrap", "/usr/bin/setpriv"];
/** What only a card of more than 2 GiB shows: sizes beyond 32 bits. */
const CONFIGURATION = `gateway: { id: gw-arm, site: s }
store: { path: /var/lib/fieldgate, bytesMax: 3GiB }
listeners: [ { name: lan, port: 0 } ]
control: { socket: /var/lib/fieldgate/control.sock }
`;
describe("the Debian package for armhf, on Debian 13 with its nodejs", () => {
  it("installs, keeps a message through a crash, tells how it is, and is removed", async (t) => {
    const missing = await missingHere();
    if (missing !== null) return t.skip(missing);
    const directory = await mkdtemp(join(tmpdir(), "fieldgate-armhf-test-"));
    t.after(() => rm(directory, { recursive: true, force: true }));
    const root = join(directory, "root");
    const cache = resolve("node_modules/.cache/package/debian-armhf");
    await run("sh", ["test/service/armhf-make.sh", root, cache]);
    await run(process.execPath, ["scripts/package.mjs", "--fast", "--out", root, "armhf"]);
    const inside = (...argv: string[]) => {
      const options = { maxBuffer: 2 ** 24, env: {} };
      return run("/bin/sh", ["test/service/armhf-in.sh", root, ...argv], options);
    };

    await inside("sh", "-c", "dpkg --install /fieldgate_*_armhf.deb");
    assert.match((await inside("id", "fieldgate")).stdout, /dialout/);
    await writeFile(join(root, "etc/fieldgate/fieldgate.yaml"), CONFIGURATION);
    await inside("install", "-d", "-o", "fieldgate", "-g", "fieldgate", "/var/lib/fieldgate");

    const user = ["--reuid=fieldgate", "--regid=fieldgate", "--init-groups"];
    const command = ["sh", "test/service/armhf-in.sh", root, "setpriv", ...user, "fieldgate"];
    const config = "/etc/fieldgate/fieldgate.yaml";
    const program = new Program(config, command, EMULATED_START_MS_MAX);
    await keepsThroughKill(program);
    const status = JSON.parse((await told(inside("fieldgate", "status", "--json"))).out);
    assert.equal(status.gateway, "gw-arm");
    assert.equal(status.journal.bytesMax, 3 * 2 ** 30);
    assert.ok(status.journal.freeBytes > 2 ** 32, "statfs beyond 32 bits");
    const { findings } = JSON.parse((await told(inside("fieldgate", "doctor", "--json"))).out);
    const store = findings.filter(({ id }: { id: string }) =>
      /^store\.(?:path|quarantine)/.test(id),
    );
    assert.deepEqual(
      new Set(store.map(({ verdict }: { verdict: string }) => verdict)),
      new Set(["fine"]),
    );
    const loaded = await inside("sh", "-c", `cd /usr/lib/fieldgate && node -e '${LOADS_NATIVE}'`);
    assert.equal(loaded.stdout, "arm true\n");
    assert.equal(await program.terminate(), 0);

    await inside("dpkg", "--remove", "fieldgate");
    await assert.rejects(access(join(root, "usr/lib/fieldgate")));
    await access(join(root, "var/lib/fieldgate/journal"));
  });
});

/** What a command says: it exits with 1 where something wants attention, and emulated something is always slow. */
function told(ends: Promise<{ stdout: string }>): Promise<{ readonly out: string }> {
  return ends.then(
    ({ stdout }) => ({ out: stdout }),
    ({ stdout }) => ({ out: stdout as string }),
  );
}

async function missingHere(): Promise<string | null> {
  if (!LONG) return "takes minutes: npm test -- --long service/package-armhf";
  if (process.getuid?.() !== 0) return "root is needed";
  for (const file of NEEDED) {
    const error = await access(file).catch((cause) => cause);
    if (error !== undefined) return `not installed: ${file}`;
  }
  const ownBinfmt = [
    "--user",
    "--map-root-user",
    "--mount",
    "mount",
    "-t",
    "binfmt_misc",
    "none",
    "/mnt",
  ];
  return run("unshare", ownBinfmt).then(
    () => null,
    () => "the kernel gives a user namespace no binfmt_misc of its own: Linux 6.7 or newer does",
  );
}
