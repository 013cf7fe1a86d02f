import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { authority } from "../support/certificates.ts";
import { Program } from "../support/program.ts";
import { assertScreen, fieldgate } from "../support/screens.ts";

const URL_PASSWORD = "swo/rdf:ish@42";
const FILE_PASSWORD = "correcthorse";
const USER_HASH = "$scrypt$ln=15,r=8,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2g";
const LOG_PASSWORD = "only-in-the-log-9";

describe("fieldgate bundle", () => {
  it("holds what support needs, and no secret, whichever way it came in", () =>
    withDirectory(async (directory) => {
      const { config, secrets } = await planted(directory);
      const gateway = new Program(config);
      await gateway.start();
      try {
        const out = join(directory, "bundle.tar.gz");
        const said = await bundled(directory, "--config", config, "--out", out);
        assert.equal(said.code, 0, said.err);
        assertScreen("bundle", said.out);
        assert.equal((await stat(out)).mode & 0o777, 0o600);
        const files = await unpacked(directory, out);
        for (const name of ["CONTENTS", "config.yaml", "status.json", "ledger.json"]) {
          assert.ok(files.has(name), `${name} of ${[...files.keys()]}`);
        }
        assert.match(files.get("config.yaml") ?? "", /endpoints:/);
        assert.match(files.get("doctor.txt") ?? "", /\d+ checked: /);
        assert.match(files.get("log.txt") ?? "", /connecting as gw, password/);
        for (const [name, text] of files) {
          for (const secret of secrets) {
            assert.ok(!text.includes(secret), `${name} has ${secret}:\n${text}`);
          }
        }
      } finally {
        await gateway.terminate();
      }
    }));

  it("overwrites nothing, and does without a gateway and without a configuration", () =>
    withDirectory(async (directory) => {
      const { config } = await planted(directory);
      const out = join(directory, "bundle.tar.gz");
      const alone = await bundled(directory, "--config", config, "--out", out);
      assert.deepEqual([alone.code, /no gateway answers/.test(alone.out)], [1, true]);
      const again = await bundled(directory, "--config", config, "--out", out);
      assert.deepEqual([again.code, /is there already.*ERR_FILE/.test(again.err)], [2, true]);
      const other = join(directory, "other.tar.gz");
      const bare = await bundled(directory, "--config", join(directory, "none"), "--out", other);
      assert.equal(bare.code, 1, bare.err);
      assert.match((await unpacked(directory, other)).get("config.txt") ?? "", /cannot be read/);
    }));
});

/** A gateway whose configuration, files and log are full of secrets; and what must not come out. */
async function planted(directory: string) {
  const passwordFile = join(directory, "password");
  await writeFile(passwordFile, `${FILE_PASSWORD}\n`);
  const usersFile = join(directory, "users");
  await writeFile(usersFile, `# fieldgate users 1\nboiler:${USER_HASH}:sensor\n# end\n`);
  await chmod(usersFile, 0o600);
  await chmod(passwordFile, 0o600);
  const { cert, key } = authority(directory, "ca");
  const keyLines = (await readFile(key, "utf8")).split("\n").filter((line) => /^\w/.test(line));
  const endpoint = `mqtts://gw:${encodeURIComponent(URL_PASSWORD)}@127.0.0.1:1`;
  const config = join(directory, "fieldgate.yaml");
  await writeFile(
    config,
    JSON.stringify({
      gateway: { id: "gw-a", site: "plant-7" },
      store: { path: join(directory, "store") },
      listeners: [{ name: "lan", port: 0 }],
      control: { socket: join(directory, "control.sock") },
      access: { usersFile },
      cluster: { endpoints: ["http://127.0.0.1:1"], username: "gw", passwordFile },
      uplink: {
        endpoints: [endpoint],
        certFile: cert,
        keyFile: key,
        caFile: cert,
        rules: [{ match: "plant/#" }],
      },
    }),
  );
  // What the log of the machine says: everything that ever slipped into it.
  const programs = join(directory, "bin");
  await mkdir(programs);
  const log = [
    `connecting as gw, password: ${LOG_PASSWORD}`,
    `to ${endpoint}`,
    `{"url":"mqtt://gw:${LOG_PASSWORD}@cloud","authorization":"Bearer ${LOG_PASSWORD}"}`,
    `with ${FILE_PASSWORD} and ${Buffer.from(FILE_PASSWORD).toString("base64")}`,
    await readFile(key, "utf8"),
    await readFile(usersFile, "utf8"),
  ];
  const lines = JSON.stringify(log.join("\n"));
  await writeFile(
    join(programs, "journalctl"),
    `#!${process.execPath}\nprocess.stdout.write(${lines});\n`,
    { mode: 0o755 },
  );
  const secrets = [
    ...[
      URL_PASSWORD,
      encodeURIComponent(URL_PASSWORD),
      LOG_PASSWORD,
      FILE_PASSWORD,
      USER_HASH,
      ...keyLines,
    ],
    ...[URL_PASSWORD, FILE_PASSWORD].map((each) => Buffer.from(each).toString("base64")),
  ];
  return { config, secrets };
}

function bundled(directory: string, ...argv: string[]) {
  const path = process.env["PATH"];
  process.env["PATH"] = `${join(directory, "bin")}:${path}`;
  const said = fieldgate("bundle", ...argv);
  process.env["PATH"] = path;
  return said;
}

async function unpacked(directory: string, archive: string): Promise<Map<string, string>> {
  const to = await mkdtemp(join(directory, "unpacked-"));
  execFileSync("tar", ["-xzf", archive, "-C", to, "--strip-components=1"]);
  const files = new Map<string, string>();
  for (const entry of await readdir(to, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    files.set(path.slice(to.length + 1), await readFile(path, "utf8"));
  }
  return files;
}

async function withDirectory(test: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-bundle-"));
  try {
    await test(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
