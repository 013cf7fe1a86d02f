import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";

const RUNNER = join(import.meta.dirname, "../../scripts/run-tests.mjs");
const PASSES = "assert.equal(1, 1);";
const FAILS = "assert.equal(1, 2);";

describe("the runner of the tests", () => {
  it("ends with totals that cover both phases", () => {
    check({ "test/a.test.mjs": PASSES, "test/b.test.mjs": PASSES, "test/e2e/c.test.mjs": PASSES }, [
      "exit 0",
      "tests 3",
      "pass 3",
      "fail 0",
    ]);
  });

  it("fails when the first phase fails, and runs the second all the same", () => {
    check({ "test/a.test.mjs": FAILS, "test/e2e/b.test.mjs": PASSES }, [
      "exit 1",
      "tests 2",
      "pass 1",
      "fail 1",
    ]);
  });

  it("fails when only the second phase fails", () => {
    check({ "test/a.test.mjs": PASSES, "test/e2e/b.test.mjs": FAILS }, [
      "exit 1",
      "tests 2",
      "pass 1",
      "fail 1",
    ]);
  });

  it("fails when a file cannot be loaded", () => {
    check({ "test/a.test.mjs": PASSES, "test/e2e/b.test.mjs": "}" }, [
      "exit 1",
      "tests 2",
      "pass 1",
      "fail 1",
    ]);
  });

  it("names at the end what was skipped, and why", () => {
    const body = 't.skip("no disk");';
    check({ "test/a.test.mjs": body, "test/e2e/b.test.mjs": PASSES }, [
      "exit 0",
      "SKIPPED t: no disk",
      "tests 2",
      "pass 1",
      "fail 0",
    ]);
  });

  it("runs the files of test/e2e one by one, after all others", () => {
    const log = "appendFileSync('log', import.meta.url.slice(-10, -9));";
    const slow = `${log} await new Promise((resolve) => setTimeout(resolve, 100)); ${log}`;
    const files = {
      "test/a.test.mjs": slow,
      "test/e2e/b.test.mjs": slow,
      "test/e2e/c.test.mjs": slow,
    };
    check(files, ["exit 0", "tests 3", "pass 3", "fail 0"], "aabbcc");
  });
});

/** Runs files with one test each, of these bodies; compares exit code and totals, and what the bodies logged. */
function check(bodies: Record<string, string>, expected: readonly string[], logged = ""): void {
  const folder = mkdtempSync(join(tmpdir(), "fieldgate-run-tests-"));
  try {
    for (const [path, body] of Object.entries({ ...bodies, log: "" })) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), path === "log" ? "" : testFile(body));
    }
    // A runner that believes itself inside another one runs nothing.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const run = spawnSync(process.execPath, [RUNNER, ...Object.keys(bodies)], {
      cwd: folder,
      env,
      encoding: "utf8",
      timeout: 60_000,
    });
    const totals = [...run.stdout.matchAll(/^ℹ ((?:tests|pass|fail) \d+|SKIPPED .*)$/gm)].map(
      (at) => at[1],
    );
    assert.deepEqual([`exit ${run.status}`, ...totals], expected, run.stdout + run.stderr);
    assert.equal(readFileSync(join(folder, "log"), "utf8"), logged);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function testFile(body: string): string {
  return `import assert from "node:assert"; import { appendFileSync } from "node:fs"; import { test } from "node:test";
test("t", async (t) => { ${body} });`;
}
