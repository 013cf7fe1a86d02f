import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { hashPassword } from "../../src/access/phc.ts";
import { authority } from "../support/certificates.ts";
import { freePort } from "../support/free-port.ts";
import { publish } from "../support/mqtt-words.ts";
import { Program } from "../support/program.ts";
import { RawClient } from "../support/raw-client.ts";
import { fieldgate } from "../support/screens.ts";
import { until } from "../support/until.ts";

/** Each is somewhere where the gateway reads it, and must be nowhere where it writes. */
const PLANTED = {
  ofEtcd: "pl4nted-of-etcd",
  ofCloud: "pl4nted-of-the-cloud",
  ofUser: "pl4nted-of-a-user",
  guess: "pl4nted-guess",
  ofKeys: "pl4nted-of-the-keys",
  inKey: "pl4nted-in-a-wrong-key",
};

/** The first part of one that is signed by nobody. */
const TOKEN = "eyJhbGciOiJFZERTQSJ9";

/** All that only ask, and print no payload. */
const ASKING: readonly (readonly string[])[] = [
  ["status"],
  ["doctor"],
  ["clients"],
  ["retained"],
  ["queue", "show"],
  ["uplink"],
  ["uplink", "test"],
  ["uplink", "route", "plant/oven"],
  ["serial", "list"],
  ["ledger"],
  ["site"],
  ["config", "check"],
  ["config", "show"],
  ["access", "explain", "ann", "plant/oven"],
  ["user", "list"],
  ["time"],
  ["top", "--count", "1"],
];

describe("a gateway full of secrets", () => {
  let folder = "";
  let path = "";
  let health = 0;
  let program: Program;
  let secrets: readonly string[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "fieldgate-secrets-"));
    path = join(folder, "fieldgate.yaml");
    const credentials = join(folder, "credentials");
    await mkdir(credentials);
    process.env["CREDENTIALS_DIRECTORY"] = credentials;
    const hash = await hashPassword(Buffer.from(PLANTED.ofUser), { ln: 10, r: 8, p: 1 });
    const { cert, key } = authority(folder, "ca");
    const keyLines = (await readFile(key, "utf8")).split("\n").filter((line) => /^\w/.test(line));
    await writeFile(join(credentials, "cloud"), `${PLANTED.ofCloud}\n`);
    await writeFile(join(credentials, "etcd"), `${PLANTED.ofEtcd}\n`);
    // Not keys at all: what is wrong with the file is said, not what is in it.
    await writeFile(join(credentials, "keys"), `${PLANTED.ofKeys}\n`);
    await writeFile(join(folder, "users"), `# fieldgate users 1\nann:${hash}:all\n# end\n`);
    health = await freePort();
    const all = { allow: ["#"] };
    const config = {
      store: { path: join(folder, "store") },
      listeners: [{ name: "test", port: 0 }],
      control: { socket: join(folder, "control.sock") },
      log: { level: "debug" },
      health: { port: health },
      access: {
        ...{ usersFile: join(folder, "users"), roles: [{ name: "all", publish: all }] },
        tokens: { keysFile: "credential:keys", issuer: "maker", audience: "gate" },
      },
      cluster: {
        ...{ endpoints: ["http://127.0.0.1:1"], username: "root" },
        passwordFile: "credential:etcd",
      },
      uplink: {
        ...{ endpoints: ["mqtts://127.0.0.1:1"], rules: [{ match: "plant/#" }] },
        ...{ username: "gw", passwordFile: "credential:cloud" },
        ...{ caFile: cert, certFile: cert, keyFile: key },
      },
    };
    await writeFile(path, JSON.stringify(config));
    secrets = [...Object.values(PLANTED), hash, ...keyLines, TOKEN].flatMap((each) => [
      each,
      Buffer.from(each).toString("base64").replace(/=+$/, ""),
    ]);
    program = new Program(path);
    const umask = process.umask(0);
    const port = await program.start().finally(() => process.umask(umask));
    await logins(port);
  });

  after(async () => {
    await program.terminate();
    await rm(folder, { recursive: true, force: true });
  });

  /** One who is let in, and three who are not, each with something that must not be repeated. */
  async function logins(port: number): Promise<void> {
    for (const [password, code] of [
      [PLANTED.ofUser, 0],
      [PLANTED.guess, 4],
      [`${PLANTED.guess}\0`, 4],
      [`${TOKEN}.eyJzdWIiOiJhbm4ifQ.c2ln`, 4],
    ] as const) {
      const client = await RawClient.open(port);
      const words = { clientId: "ann", username: "ann", password: Buffer.from(password) };
      client.send({ cmd: "connect", clean: false, keepalive: 0, ...words });
      assert.equal((await client.next("connack")).returnCode, code);
      if (code === 0) client.send(publish("plant/oven", "180", 1, 1));
      if (code === 0) await client.next("puback");
      client.drop();
    }
  }

  for (const argv of ASKING) {
    it(`repeats none in \`${argv.join(" ")}\`, as text and as JSON`, async () => {
      const said = await Promise.all(
        [[], ["--json"]].map((json) => fieldgate(...argv, ...json, "--config", path)),
      );
      for (const { out, err } of said) {
        assert.notEqual(out, "", err);
        tellsNone(out + err);
      }
    });
  }

  it("repeats none in its log at any level, in metrics, or where it says that it is ready", async () => {
    const log = () => JSON.stringify(program.lines) + program.stray;
    const isTold = () =>
      [/ERR_ETCD/, /ERR_TOKEN_KEYS/, /ERR_UPLINK/].every((what) => what.test(log()));
    await until("all that was wrong is told", isTold, 60_000);
    tellsNone(log());
    for (const page of ["metrics", "healthz", "readyz"]) {
      const answer = await fetch(`http://127.0.0.1:${health}/${page}`);
      tellsNone(await answer.text());
    }
  });

  it("repeats none in what it says of a configuration that is wrong", async () => {
    const wrong = join(folder, "wrong.yaml");
    const text = `log: { level: ${PLANTED.inKey} }\nuplink: { endpoints: ${PLANTED.inKey}, password: ${PLANTED.inKey} }\n`;
    await writeFile(wrong, text);
    for (const argv of [["check"], ["show"], ["diff", wrong], ["apply", wrong]]) {
      for (const json of [[], ["--json"]]) {
        const from = argv.length > 1 ? path : wrong;
        const { code, out, err } = await fieldgate("config", ...argv, ...json, "--config", from);
        assert.notEqual(code, 0, out);
        tellsNone(out + err);
      }
    }
  });

  it("repeats none in its bundle, which nobody else can read", async () => {
    const out = join(folder, "bundle.tar.gz");
    await fieldgate("bundle", "--config", path, "--out", out);
    assert.equal((await stat(out)).mode & 0o777, 0o600);
    const unpacked = join(folder, "unpacked");
    await mkdir(unpacked);
    execFileSync("tar", ["-xzf", out, "-C", unpacked]);
    const files = await filesIn(unpacked);
    assert.ok(files.length > 5);
    for (const file of files) tellsNone(await readFile(file, "utf8"));
  });

  it("leaves store, socket and what it remembers to nobody else, though it was started with umask 000", async () => {
    const store = join(folder, "store");
    const files = await filesIn(store);
    assert.ok(files.length > 3);
    for (const file of files) assert.equal((await stat(file)).mode & 0o777, 0o600, file);
    assert.equal((await stat(store)).mode & 0o777, 0o700);
    assert.equal((await stat(join(folder, "control.sock"))).mode & 0o007, 0);
    for (const file of files) tellsNone(await readFile(file, "latin1"));
  });

  function tellsNone(text: string): void {
    for (const secret of secrets) {
      if (!text.includes(secret)) continue;
      const at = text.indexOf(secret);
      assert.fail(`${secret} in: ${text.slice(Math.max(0, at - 200), at + 100)}`);
    }
  }
});

async function filesIn(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
