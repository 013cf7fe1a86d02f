import assert from "node:assert/strict";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";
import { PROGRAM, Program } from "../support/program.ts";
import { until } from "../support/until.ts";

describe("compiled code of the gateway", () => {
  let directory: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "fieldgate-compiled-"));
    await symlink(resolve("node_modules"), join(directory, "node_modules"));
  });

  after(() => rm(directory, { recursive: true, force: true }));

  it("is kept once the gateway has been up for a while, and is not believed when it is damaged", async () => {
    const first = await installed(directory, "first");
    await first.gateway.start();
    await until("kept", async () => (await first.kept()).size === 1);
    assert.equal(await first.gateway.terminate(), 0);
    const [[name, sound] = ["", Buffer.alloc(0)]] = await first.kept();
    assert.ok(sound.length > 100_000);

    const flipped = Buffer.from(sound);
    const middle = sound.length >> 1;
    flipped.writeUInt8(flipped.readUInt8(middle) ^ 0x10, middle);
    const files = { sound, flipped, short: sound.subarray(0, middle), empty: Buffer.alloc(0) };
    for (const [what, bytes] of Object.entries(files)) {
      const next = await installed(directory, what, { name, bytes });
      await next.gateway.start();
      const said = JSON.stringify(await next.gateway.line("etcd cannot be read"));
      assert.doesNotMatch(said, /ERR_VM/, "a package that is needed late is loaded all the same");
      if (what === "flipped") {
        await until("made anew", async () => !(await next.kept()).get(name)?.equals(bytes));
      }
      assert.equal(await next.gateway.terminate(), 0, what);
      assert.equal(next.gateway.stray, "", what);
    }
  });
});

/** The bundle in a folder of its own, with that compiled code. */
async function installed(
  directory: string,
  what: string,
  code: { readonly name: string; readonly bytes: Buffer } | null = null,
) {
  const home = join(directory, what);
  const folder = join(home, "dist/compile-cache");
  const filter = (path: string) => !/\.map$|\/chunks$|\/compile-cache$/.test(path);
  await cp("dist", join(home, "dist"), { recursive: true, filter });
  await mkdir(folder);
  if (code !== null) await writeFile(join(folder, code.name), code.bytes);
  const file = join(home, "fieldgate.yaml");
  const config = {
    store: { path: join(home, "store") },
    listeners: [{ name: "lan", port: 0 }],
    cluster: { endpoints: ["http://127.0.0.1:1"] },
    control: { socket: join(home, "sock") },
  };
  await writeFile(file, JSON.stringify(config));
  const command = [...PROGRAM.slice(0, -1), join(home, "dist/fieldgate.js")];
  const kept = async () => {
    const names = (await readdir(folder)).filter((name) => !name.includes("."));
    const entries = names.map(async (name) => [name, await readFile(join(folder, name))] as const);
    return new Map(await Promise.all(entries));
  };
  return { gateway: new Program(file, command), kept };
}
