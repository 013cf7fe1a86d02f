import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { systemClock } from "../../src/base/system-clock.ts";
import { examine } from "../../src/doctor/doctor.ts";
import { latencyVerdict, storeChecks } from "../../src/doctor/file-store-checks.ts";
import type { Finding } from "../../src/doctor/finding.ts";
import { configOf } from "../support/config.ts";
import { verdicts } from "../support/verdicts.ts";

describe("the doctor, asked about the store", () => {
  it("finds nothing wrong with a directory on a disk", () =>
    withDirectory(async (directory) => {
      const found = await examined(directory, { bytesMax: "1MiB" });
      const { "store.filesystem": _, ...rest } = verdicts(found);
      // The machine's /tmp may lie in memory, and its disk be slow: that would be so.
      assert.equal(rest["store.path"], "fine");
      assert.equal(rest["store.quarantine"], "fine");
      assert.ok(
        found.some(({ id, what }) => id === "store.latency" && / ms, at worst /.test(what)),
      );
    }));

  it("offers to make a directory that is not there, and makes it when asked", () =>
    withDirectory(async (directory) => {
      const path = join(directory, "store");
      const [found] = await examined(path, {}, "store.path");
      assert.equal(found?.verdict, "warning");
      await found?.fix?.();
      assert.ok((await stat(path)).isDirectory());
      assert.equal((await examined(path, {}, "store.path"))[0]?.verdict, "fine");
    }));

  it("says that a file stands where the directory should be", () =>
    withDirectory(async (directory) => {
      const path = join(directory, "file");
      await writeFile(path, "");
      const [found] = await examined(path, {}, "store.path");
      assert.equal(found?.verdict, "critical");
      assert.match(found?.what ?? "", /is a file/);
    }));

  it("names what was set aside as damaged", () =>
    withDirectory(async (directory) => {
      await mkdir(join(directory, "quarantine-2026-11-22"));
      const [found] = await examined(directory, {}, "store.quarantine");
      assert.equal(found?.verdict, "warning");
      assert.match(found?.what ?? "", /quarantine-2026-11-22/);
    }));

  it("warns when the disk is full before the store is", () =>
    withDirectory(async (directory) => {
      const [found] = await examined(directory, { bytesMax: 2 ** 50 }, "store.space");
      assert.equal(found?.verdict, "warning");
      assert.match(found?.todo ?? "", /lower store\.bytesMax/);
    }));

  it("calls a store in memory critical, and one on a nearly full disk", (t) =>
    withMount(t, ["-t", "tmpfs", "-o", "size=16m", "none"], async (path) => {
      const found = verdicts(await examined(path, {}));
      assert.equal(found["store.filesystem"], "critical");
      assert.equal(found["store.space"], "critical");
    }));

  it("calls a store on a read-only file system critical", (t) =>
    withDirectory((source) =>
      withMount(t, ["--bind", source], async (path) => {
        mount("-o", "remount,bind,ro", path);
        const [found] = await examined(path, {}, "store.filesystem");
        assert.equal(found?.verdict, "critical");
        assert.match(found?.what ?? "", /read-only|in memory/);
      }),
    ));

  it("warns of a disk whose syncs take long", (t) =>
    withDirectory(async (directory) => {
      const asked = `
        import { systemClock } from "./src/base/system-clock.ts";
        import { examine } from "./src/doctor/doctor.ts";
        import { storeChecks } from "./src/doctor/file-store-checks.ts";
        const checks = storeChecks({ store: { path: ${JSON.stringify(directory)}, bytesMax: 1 } }, systemClock);
        console.log(JSON.stringify(await examine(checks, "store.latency", systemClock)));`;
      const node = [process.execPath, "--import", "tsx", "--input-type=module", "-e", asked];
      const slow = "inject=fdatasync:delay_exit=60000";
      const argv = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", slow, ...node];
      const { error, stdout, stderr } = spawnSync("strace", argv, { encoding: "utf8" });
      if (error !== undefined || /ptrace|not permitted/i.test(stderr)) {
        t.skip("strace is not permitted here");
        return;
      }
      const [found] = JSON.parse(stdout);
      assert.equal(found.verdict, "warning", stdout);
      assert.match(found.what, /reaches the disk in [6-9]\d|[1-4]\d\d/);
    }));

  it("follows the link that the store's place may be, and gives no alarm for what lies above it", (t) =>
    withDirectory((source) =>
      withMount(t, ["--bind", source], async (above) => {
        await withDirectory(async (elsewhere) => {
          await symlink(elsewhere, join(above, "store"));
          mount("-o", "remount,bind,ro", above);
          const [found] = await examined(join(above, "store"), {}, "store.filesystem");
          assert.doesNotMatch(found?.what ?? "", /read-only/);
        });
      }),
    ));

  it("raises no alarm because who asks may not look", () =>
    withDirectory(async (directory) => {
      const path = join(directory, "store");
      await mkdir(path, { mode: 0o700 });
      await chmod(directory, 0o755);
      const code = `
        import { systemClock } from "./src/base/system-clock.ts";
        import { examine } from "./src/doctor/doctor.ts";
        import { storeChecks } from "./src/doctor/file-store-checks.ts";
        const checks = storeChecks({ store: { path: ${JSON.stringify(path)}, bytesMax: 1 } }, systemClock);
        process.setuid(65534);
        console.log(JSON.stringify(await examine(checks, "store", systemClock)));`;
      const argv = ["--import", "tsx", "--input-type=module", "-e", code];
      const { stdout } = spawnSync(process.execPath, argv, { encoding: "utf8" });
      const { "store.filesystem": _, ...found } = verdicts(JSON.parse(stdout));
      const unknown = ["store.path", "store.space", "store.latency", "store.quarantine"];
      assert.deepEqual(found, Object.fromEntries(unknown.map((id) => [id, "unknown"])));
    }));

  it("judges a disk by the median of its syncs", () => {
    const of = (...times: number[]) => latencyVerdict(times).verdict;
    assert.equal(of(2, 3, 900), "fine");
    assert.equal(of(60, 70, 80), "warning");
    assert.equal(of(600, 700, 2), "critical");
  });
});

function examined(path: string, store: object, only = "store"): Promise<readonly Finding[]> {
  const config = configOf({ store: { path, ...store } });
  return examine(storeChecks(config, systemClock), only, systemClock);
}

async function withDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "fieldgate-doctor-"));
  try {
    await work(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function withMount(
  t: TestContext,
  what: readonly string[],
  work: (path: string) => Promise<void>,
): Promise<void> {
  return withDirectory(async (path) => {
    if (mount(...what, path) !== 0) {
      t.skip("mounting is not permitted here");
      return;
    }
    try {
      await work(path);
    } finally {
      spawnSync("umount", [path]);
    }
  });
}

function mount(...argv: string[]): number | null {
  return spawnSync("mount", argv).status;
}
