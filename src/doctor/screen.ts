import { styleText } from "node:util";
import type { Finding, Verdict } from "./finding.ts";

const MARKS: Readonly<Record<Verdict, string>> = {
  fine: "ok",
  warning: "!",
  critical: "!!",
  unknown: "?",
};
const COLOURS = { fine: "green", warning: "yellow", critical: "red", unknown: "cyan" } as const;

/** The findings, one line each; below what is not fine stands why, and what to do. The last line is the sum. */
export function screen(findings: readonly Finding[], colours: boolean): string {
  const width = textColumn(findings) - MARK_COLUMNS;
  const lines = findings.flatMap(({ id, verdict, what, why, todo, ms }) => {
    const mark = MARKS[verdict].padEnd(3);
    const shown = colours ? styleText(COLOURS[verdict], mark, { validateStream: false }) : mark;
    const time = ms === undefined ? "" : ` (${ms.toFixed(ms < 10 ? 1 : 0)} ms)`;
    const indent = " ".repeat(textColumn(findings));
    return [
      `${shown} ${id.padEnd(width)} ${what}${time}`,
      ...(why === undefined || verdict === "fine"
        ? []
        : why.split("\n").map((line) => `${indent}${line}`)),
      ...(todo === undefined || verdict === "fine" ? [] : [`${indent}-> ${todo}`]),
    ];
  });
  return `${[...lines, "", sum(findings)].join("\n")}\n`;
}

/** Where the text of the findings begins: what does not fit into a line goes on below from there. */
export function textColumn(findings: readonly Finding[]): number {
  return Math.max(...findings.map(({ id }) => id.length), ID_COLUMNS_MIN) + MARK_COLUMNS;
}

const ID_COLUMNS_MIN = 8;
/** A mark, and a space on both sides of the id. */
const MARK_COLUMNS = 5;

function sum(findings: readonly Finding[]): string {
  const count = (verdict: Verdict) => findings.filter((each) => each.verdict === verdict).length;
  const parts = [
    [count("critical"), "critical"],
    [count("warning"), "to look at"],
    [count("unknown"), "could not be told"],
  ] as const;
  const bad = parts.filter(([number]) => number > 0).map(([number, text]) => `${number} ${text}`);
  return `${findings.length} checked: ${bad.length === 0 ? "all fine" : bad.join(", ")}`;
}
