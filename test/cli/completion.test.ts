import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { CATALOGUE } from "../../src/cli/catalogue.ts";
import { completion } from "../../src/cli/completion.ts";
import { runCommand } from "../support/run-command.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;

describe("the completions, in the shells themselves", () => {
  let directory: string;
  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "fieldgate-completion-"));
    for (const shell of SHELLS) writeFileSync(join(directory, shell), await written(shell));
  });
  after(() => rmSync(directory, { recursive: true }));

  it("bash completes commands, their actions and their options", () => {
    check("bash", (words, word) => [
      "-c",
      `source "$0"; COMP_WORDS=(${words} "${word}"); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _fieldgate
       printf '%s\\n' "\${COMPREPLY[@]}"`,
    ]);
  });

  it("zsh completes commands, their actions and their options", () => {
    // The builtins are there only while a line is edited: what they are given is what is shown.
    check("zsh", (words, word) => [
      "-fc",
      `compdef() { :; }; _files() { :; }; source "$0"
       compadd() { [ "$1" = -a ] && print -l -- \${(P)2} }
       _describe() { print -l -- \${\${(P)2}%%:*} }
       words=(${words} "${word}"); CURRENT=$#words; PREFIX="${word}"; _fieldgate | grep -- "^${word}"`,
    ]);
  });

  it("fish completes commands, their actions and their options", () => {
    check("fish", (words, word) => ["-c", `source $argv; complete -C "${words} ${word}"`]);
  });

  it("are not made for shells that nobody knows", async () => {
    for (const shell of ["tcsh", "__proto__", ""]) {
      await assert.rejects(written(shell), { code: "ERR_USAGE" });
    }
  });

  function check(
    shell: (typeof SHELLS)[number],
    argv: (words: string, word: string) => readonly string[],
  ): void {
    const completed = (words: string, word: string) =>
      execFileSync(shell, [...argv(words, word), join(directory, shell)], { encoding: "utf8" })
        .split("\n")
        .map((line) => line.split("\t")[0])
        .filter((line) => line !== "");
    assert.deepEqual(completed("fieldgate", "doc"), ["doctor"]);
    assert.deepEqual(completed("fieldgate config", "ch"), ["check"]);
    assert.deepEqual(completed("fieldgate doctor", "--on"), ["--only"]);
    assert.deepEqual(completed("fieldgate status", "--js"), ["--json"]);
  }
});

describe("every command", () => {
  it("has help with examples and exit codes, and begins each line of usage with its name", async () => {
    for (const [name, { load }] of Object.entries(CATALOGUE)) {
      const { help } = (await load()).command;
      assert.match(help, new RegExp(`^fieldgate ${name}`), name);
      assert.match(help, new RegExp(`\nExamples:\n  fieldgate ${name}`), name);
      assert.match(help, /\nExit codes: 0 .*\n$/s, name);
      assert.ok(
        help.split("\n").every((line) => line.length <= 130),
        name,
      );
    }
  });
});

async function written(shell: string): Promise<string> {
  return (await runCommand(completion(CATALOGUE), { rest: [shell] })).out;
}
