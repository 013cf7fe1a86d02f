import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { generateKeyPairSync, sign } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { publish } from "../support/mqtt-words.ts";
import { Program } from "../support/program.ts";
import { RawClient } from "../support/raw-client.ts";
import { assertScreen } from "../support/screens.ts";
import { until } from "../support/until.ts";

const SECRETS = ["first-s3cret", "second-s3cret"] as const;
const KEY = generateKeyPairSync("ed25519");
const role = (filter: string) => ({ publish: { allow: [filter] }, subscribe: { allow: [filter] } });

describe("the program with users, tokens and roles", () => {
  let folder = "";
  let path = "";
  let port = 0;
  let program: Program;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "fieldgate-access-"));
    path = join(folder, "fieldgate.yaml");
    const credentials = join(folder, "credentials");
    await mkdir(credentials);
    const pem = KEY.publicKey.export({ type: "spki", format: "pem" });
    await writeFile(join(credentials, "token-keys"), pem);
    process.env["CREDENTIALS_DIRECTORY"] = credentials;
    const config = {
      store: { path: join(folder, "store") },
      listeners: [{ name: "test", port: 0 }],
      control: { socket: join(folder, "control.sock") },
      log: { level: "debug" },
      access: {
        usersFile: join(folder, "users"),
        usersCheckSeconds: 1,
        tokens: { keysFile: "credential:token-keys", issuer: "maker", audience: "gate" },
        loopbackRoles: [],
        roles: [{ name: "sensor", ...role("plant/{user}/#") }],
      },
    };
    await writeFile(path, JSON.stringify(config));
    program = new Program(path);
    const umask = process.umask(0);
    port = await program.start().finally(() => process.umask(umask));
  });

  after(async () => {
    await program.terminate();
    await rm(folder, { recursive: true, force: true });
  });

  it("takes a user up whom the command line adds, and says what it may do, and why", async () => {
    assert.equal((await connack(SECRETS[0])).code, 4);
    assertScreen("user-add", await fieldgate(SECRETS[0], "user", "add", "ann", "sensor"));
    assert.equal((await stat(join(folder, "users"))).mode & 0o777, 0o600);
    await until("ann may come in", async () => (await connack(SECRETS[0])).code === 0);
    const told = await fieldgate("", "access", "explain", "ann", "plant/ann/x");
    assertScreen("access-explain", told);
    const denied = await fieldgate("", "access", "explain", "ann", "plant/bob/x", 2);
    assert.match(denied, /publish {4}denied: no rule allows plant\/bob\/x/);
    assertScreen("user-list", await fieldgate("", "user", "list"));
    assert.match(await fieldgate("x", "user", "add", "ann", 2), /is there already/);
    assertScreen("user-roles", await fieldgate("", "user", "roles", "ann", "sensor"));
  });

  it("keeps the last good users while the file is half-written", async () => {
    const whole = await readFile(join(folder, "users"), "utf8");
    await truncate(join(folder, "users"), whole.length - 3);
    const complains = async () => /file is not taken/.test(await fieldgate("", "status", null));
    await until("it is said", complains);
    assert.equal((await connack(SECRETS[0])).code, 0);
    await writeFile(join(folder, "users"), whole);
    await until("it is well again", async () => !(await complains()));
  });

  it("closes who uses a password that was changed, and a user who was removed", async () => {
    const { client } = await connack(SECRETS[0]);
    assertScreen("user-passwd", await fieldgate(SECRETS[1], "user", "passwd", "ann"));
    await client.ended();
    assert.equal((await connack(SECRETS[0])).code, 4);
    const again = await connack(SECRETS[1]);
    assert.equal(again.code, 0);
    assertScreen("user-remove", await fieldgate("", "user", "remove", "ann"));
    await again.client.ended();
    assert.equal((await connack(SECRETS[1])).code, 4);
  });

  it("ends a connection when its token ends, not one that has come again with another token", async () => {
    const before = await connack(tokenFor("carol", 6), "carol");
    const renewed = await connack(tokenFor("carol", 600), "carol");
    assert.deepEqual([before.code, renewed.code], [0, 0]);
    await before.client.ended();
    const token = tokenFor("bob", 6);
    const { code, client } = await connack(token, "bob");
    assert.equal(code, 0);
    client.send(publish("plant/bob/x", "x", 1, 1));
    await client.next("puback");
    await until("the token has ended", () => client.closed, 60_000);
    assert.equal((await connack(token, "bob")).code, 4);
    await renewed.client.settled();
    renewed.client.drop();
  });

  it("leaves its store to nobody else, whatever the umask, and tells nobody a secret", async () => {
    const store = join(folder, "store");
    assert.equal((await stat(store)).mode & 0o077, 0);
    for (const name of await readdir(store, { recursive: true })) {
      const found = await stat(join(store, name));
      assert.equal(found.mode & 0o077, 0, name);
    }
    const status = await fieldgate("", "status", "--json", null);
    const said = JSON.stringify(program.lines) + program.stray + status;
    assert.match(said, /wrong user or password/);
    for (const secret of [...SECRETS, "$scrypt$", "eyJ"]) {
      assert.equal(said.includes(secret), false, secret);
    }
  });

  async function connack(password: string, user = "ann") {
    const client = await RawClient.open(port);
    const words = { clientId: user, username: user, password: Buffer.from(password) };
    client.send({ cmd: "connect", clean: true, keepalive: 0, ...words });
    const { returnCode } = await client.next("connack");
    return { client, code: returnCode };
  }

  /** What it prints. The last word may be the exit code that is expected; null: any. */
  async function fieldgate(input: string, ...words: (string | number | null)[]): Promise<string> {
    const expected = typeof words.at(-1) === "string" ? 0 : (words.pop() as number | null);
    const argv = ["dist/fieldgate.js", ...(words as string[]), "--config", path];
    const run = promisify(execFile)(process.execPath, argv);
    run.child.stdin?.end(`${input}\n`);
    const { code, stdout, stderr } = await run.then(
      (told) => ({ ...told, code: 0 }),
      (error) => error as { code: number; stdout: string; stderr: string },
    );
    if (expected !== null) assert.equal(code, expected, stdout + stderr);
    return stdout + stderr;
  }
});

function tokenFor(user: string, seconds: number): string {
  const exp = Math.floor(Date.now() / 1000) + seconds - 30; // what the tolerance adds
  const claims = { iss: "maker", aud: "gate", sub: user, roles: ["sensor"], exp };
  const text = [{ alg: "EdDSA" }, claims]
    .map((each) => Buffer.from(JSON.stringify(each)).toString("base64url"))
    .join(".");
  const signature = sign(null, Buffer.from(text), KEY.privateKey).toString("base64url");
  return `${text}.${signature}`;
}
