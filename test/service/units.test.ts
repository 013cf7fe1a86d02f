import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { promisify } from "node:util";

const EXPOSURE_MAX = 2;
const run = promisify(execFile);
const units = (await readdir("systemd")).filter((name) => name.endsWith(".service"));

describe("the units", () => {
  for (const unit of units) {
    it(`${unit} is exposed by at most ${EXPOSURE_MAX.toFixed(1)}`, async () => {
      const { stdout } = await run("systemd-analyze", [
        "security",
        "--offline=true",
        `--threshold=${EXPOSURE_MAX * 10}`,
        `systemd/${unit}`,
      ]);
      const exposure = Number(/exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1]);
      assert.ok(exposure <= EXPOSURE_MAX, `${exposure}`);
    });
  }

  it("wait for nothing that may never come: a network, the right time", async () => {
    for (const unit of units) {
      const text = await readFile(`systemd/${unit}`, "utf8");
      assert.doesNotMatch(text, /^(?:After|Wants|Requires)=.*(?:network-online|time-sync)/m, unit);
    }
  });

  it("are both there", () => {
    assert.deepEqual(units.filter((name) => /^fieldgate@?\.service$/.test(name)).length, 2);
  });
});
