import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { commandReference } from "../../scripts/command-reference.ts";
import { CATALOGUE } from "../../src/cli/catalogue.ts";
import { helpText } from "../../src/cli/help.ts";
import { wrongOption } from "../../src/cli/wrong-option.ts";

const COMMON = ["config", "socket", "json", "help", "version"];
const SHELLS = new Set(["bash", "zsh", "fish"]);

describe("the help of each command", () => {
  it("names every option that the command takes, and none that it does not", async () => {
    for (const [name, { load }] of Object.entries(CATALOGUE)) {
      const { help, options = {} } = (await load()).command;
      const named = new Set([...help.matchAll(/--([a-z][a-z-]*)/g)].map(([, option]) => option));
      for (const option of Object.keys(options)) {
        assert.ok(named.has(option), `fieldgate ${name} --help does not name --${option}`);
      }
      const unknown = [...named].filter(
        (each) => !COMMON.includes(each ?? "") && !options[each ?? ""],
      );
      assert.deepEqual(unknown, [], name);
    }
  });
});

describe("the first page of help", () => {
  it("has what the usage of each command has, every action included, and nothing else", async () => {
    const page = [...helpText().matchAll(/^ {2}([a-z]+(?: [a-z-]+)?) {2}/gm)];
    const used = new Set<string>();
    for (const [name, { load }] of Object.entries(CATALOGUE)) {
      const { actions = [], help } = (await load()).command;
      const seen = new Set<string>();
      for (const line of help.split("\n\n")[0]?.split("\n") ?? []) {
        // "site [status]": the action is another name of the command alone.
        const [, bracket, word = ""] = /^fieldgate [a-z]+ (\[?)([a-z-]+)(?=[\] ])/.exec(line) ?? [];
        const isAction = actions.includes(word);
        if (isAction) seen.add(word);
        used.add(isAction && bracket === "" ? `${name} ${word}` : name);
      }
      const unseen = actions.filter((action) => !seen.has(action) && !SHELLS.has(action));
      assert.deepEqual(unseen, [], `usage of fieldgate ${name}`);
    }
    assert.deepEqual(page.map(([, each]) => each).sort(), [...used].sort());
  });
});

describe("the documents", () => {
  const docs = readdirSync("docs", { recursive: true }).map((path) => `docs/${path}`);
  const files = ["README.md", "ARCHITECTURE.md", ...docs.filter((path) => path.endsWith(".md"))];

  it("have the help of every command, as it is", async () => {
    const fresh = await commandReference(CATALOGUE);
    assert.equal(readFileSync("docs/commands.md", "utf8"), fresh, "npm run docs");
  });

  it("name no command, action or option that is not there", async () => {
    let found = 0;
    for (const file of files) {
      for (const said of commandsIn(readFileSync(file, "utf8"))) {
        const [name = "", ...words] = said.split(" ");
        const { actions = [], options = {} } =
          (await CATALOGUE[name]?.load())?.command ?? assert.fail(`${file}: ${said}`);
        const [action = ""] = words;
        const isAction =
          actions.length === 0 || !/^[a-z-]{3,}$/.test(action) || action.startsWith("-");
        assert.ok(isAction || actions.includes(action), `${file}: fieldgate ${said}`);
        for (const option of words.filter((word) => /^--[a-z-]+$/.test(word))) {
          const known = [...COMMON, ...Object.keys(options)];
          assert.ok(known.includes(option.slice(2)), `${file}: fieldgate ${said}`);
        }
        found++;
      }
    }
    assert.ok(found > 60, `only ${found} found`);
  });
});

/** What of a page is a command line, without the program's name: in code, or in an indented line. */
function commandsIn(page: string): string[] {
  const inline = [...page.matchAll(/`(?:sudo )?fieldgate ([a-z][^`]*)`/g)];
  const lines = [...page.matchAll(/^ {4}(?:\$ )?(?:sudo )?fieldgate ([a-z][a-z-]*(?: \S+)*)/gm)];
  return [...inline, ...lines].map(([, said]) => said ?? "");
}

describe("an option that is wrong", () => {
  const known = ["count", "json", "config"];

  it("is told in a few words, with the one that is likely meant", () => {
    const said = (message: string) => wrongOption(new Error(message), known);
    const advice = "To specify a positional argument starting with a '-', place it at the end";
    assert.equal(
      said(`Unknown option '--cuont'. ${advice}`),
      "there is no option --cuont, did you mean --count?",
    );
    assert.equal(said(`Unknown option '--wings'. ${advice}`), "there is no option --wings");
    assert.equal(said(`Unknown option '-x'. ${advice}`), "there is no option -x");
    assert.equal(
      said("Option '--config' argument is ambiguous.\nDid you forget it?"),
      "Option '--config' argument is ambiguous",
    );
  });
});
