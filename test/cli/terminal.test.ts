import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fitted, harmless, visible } from "../../src/cli/terminal.ts";

describe("a screen on a terminal", () => {
  it("goes on below where a line is too long, between words, behind the names of rows", () => {
    const row = `  ${"progress".padEnd(20)} ${"0.1/s acknowledged, 5 wait, oldest for 1 min"}`;
    assert.equal(
      fitted(`${row}\nshort\n`, 50),
      `  ${"progress".padEnd(20)} 0.1/s acknowledged, 5 wait,\n${" ".repeat(23)}oldest for 1 min\nshort\n`,
    );
    const word = "x".repeat(120);
    assert.ok(
      fitted(word, 80)
        .split("\n")
        .every((line) => line.length <= 80),
    );
    const coloured = `\u001b[33m${row}\u001b[39m`;
    assert.equal(fitted(coloured, row.length), coloured, "a colour takes no room");
    assert.equal(fitted("ok b cd", 5, 2), "ok b\n  cd", "the text of another kind of row");
    for (const columns of [undefined, 0, 20, 400]) assert.equal(fitted(row, columns), row);
  });

  it("has nothing left that a terminal obeys, and names stay on their line", () => {
    assert.equal(
      harmless("a\u001b[31mb\u009b2Jc\u202ed\r\n\te\n"),
      "a\\u001b[31mb\\u009b2Jc\\u202ed\\u000d\n\te\n",
    );
    assert.equal(visible("a\nb\t\u001b]0;x\u0007"), "a\\u000ab\\u0009\\u001b]0;x\\u0007");
    assert.equal(visible("é日🙂"), "é日🙂");
    assert.equal(visible("0123456789", 5), "0123…");
  });
});
