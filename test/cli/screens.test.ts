import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { CATALOGUE } from "../../src/cli/catalogue.ts";

const TESTS = join(import.meta.dirname, "..");
/** Another name of what has a screen under its first one: the same test compares both. */
const SAME: Readonly<Record<string, string>> = {
  "uplink status": "uplink",
  "queue show": "queue",
  "serial list": "serial",
  "site status": "site",
  "time status": "time",
};
/** What is nothing by itself. */
const WITHOUT: Readonly<Record<string, string>> = {
  completion: "only with a shell",
};

describe("the recorded screens", () => {
  const recorded = readdirSync(join(TESTS, "screens")).map((file) => file.replace(/\.txt$/, ""));
  const compared = readdirSync(join(TESTS, "e2e"))
    .map((file) => readFileSync(join(TESTS, "e2e", file), "utf8"))
    .join("");

  it("are there for every command and every action of the catalogue", async () => {
    const missing: string[] = [];
    for (const [name, { about, load }] of Object.entries(CATALOGUE)) {
      const actions = ((await load()).command.actions ?? []).map((action) => `${name} ${action}`);
      for (const each of new Set([...Object.keys(about), ...actions])) {
        const screen = (SAME[each] ?? each).replace(" ", "-");
        if (!(each in WITHOUT) && !recorded.includes(screen)) missing.push(each);
      }
    }
    assert.deepEqual(missing, []);
  });

  it("are each compared with what the program writes at a running gateway", () => {
    const isCompared = (screen: string) =>
      new RegExp(`assertScreen\\(\\s*"${screen}"`).test(compared) ||
      (screen.startsWith("completion-") && /assertScreen\(`completion-\$/.test(compared));
    assert.deepEqual(
      recorded.filter((screen) => !isCompared(screen)),
      [],
    );
  });
});
