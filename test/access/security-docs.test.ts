import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

describe("docs/security.md", () => {
  it("names for each attack a test that there is, by the words with which it begins", async () => {
    const page = await readFile(join(root, "docs/security.md"), "utf8");
    const rows = page
      .slice(page.indexOf("## Attacks, answers"))
      .split("\n")
      .filter((line) => line.startsWith("| ") && !/^\| (---|attack )/.test(line));
    assert.ok(rows.length > 35, `only ${rows.length} rows`);
    const missing: string[] = [];
    for (const row of rows) {
      const cells = row.slice(1, -1).split("|");
      assert.equal(cells.length, 4, row);
      let titles: readonly string[] = [];
      for (const named of (cells[3] ?? "").trim().split(/, (?=`)|; /)) {
        const [, file, words = ""] = /^`([^`]+)`(?:: (.*))?$/.exec(named) ?? [null, null, named];
        if (file) titles = await titlesOf(file);
        if (!titles.some((title) => isNamed(title, words))) missing.push(named);
      }
    }
    assert.deepEqual(missing, []);
  });
});

/** The titles of a file's tests, each alone and behind what it is about, those in tables included; … is what a test fills in. */
async function titlesOf(file: string): Promise<readonly string[]> {
  const source = await readFile(join(root, "test", `${file}.test.ts`), "utf8");
  let about = "";
  return [...source.matchAll(/(describe\(\s*)?(["'`])((?:\\.|(?!\2).)*)\2/g)].flatMap(
    ([, describes, , text = ""]) => {
      const title = text.replace(/\$\{[^}]*\}/g, "…").replace(/^(\[MQTT[^\]]*\] )+/, "");
      if (describes !== undefined) about = title;
      return [title, `${about} ${title}`];
    },
  );
}

function isNamed(title: string, words: string): boolean {
  const [first = "", ...rest] = words.split("…");
  const begins = title.startsWith(first) || title.startsWith(`… ${first}`);
  return begins && rest.every((part) => title.includes(part));
}
