import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CATALOGUE } from "../../src/cli/catalogue.ts";
import { wrongOption } from "../../src/cli/wrong-option.ts";

const COMMON = ["config", "socket", "json", "help", "version"];

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
