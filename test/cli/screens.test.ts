import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { CATALOGUE } from "../../src/cli/catalogue.ts";

/** What has no screen of its own. */
const WITHOUT: Readonly<Record<string, string>> = {
  run: "writes log lines: test/e2e/command-line.test.ts",
  completion: "writes for shells: test/cli/completion.test.ts",
  backup: "writes where the copy is: test/service/package-install.test.ts",
};

it("every command of the catalogue has a recorded screen, which an end-to-end test compares", () => {
  const recorded = readdirSync(join(import.meta.dirname, "..", "screens"));
  const names = Object.values(CATALOGUE).flatMap(({ about }) => Object.keys(about));
  const isThere = (name: string) => {
    const screen = name.replace(" ", "-");
    return recorded.some((file) => file === `${screen}.txt` || file.startsWith(`${screen}-`));
  };
  const missing = names.filter((name) => !(name in WITHOUT) && !isThere(name));
  assert.deepEqual(missing, []);
});
