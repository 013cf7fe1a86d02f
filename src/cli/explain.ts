import { errorFields, FieldgateError } from "../base/errors.ts";
import { formatMistakes } from "../config/format-mistakes.ts";
import { harmless, jsonLine } from "./terminal.ts";

/** What went wrong, for the one at the terminal: the message and its code; a stack only for faults of our own. */
export function explain(error: unknown): string {
  if (error instanceof FieldgateError) {
    if (error.code === "ERR_CONFIG_INVALID") return harmless(`${formatMistakes(error)}\n`);
    return harmless(`fieldgate: ${error.message} [${error.code}]\n`);
  }
  return `fieldgate: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`;
}

/** The same for a program, on standard output: `exit`, `code` (of docs/errors.md, null for a fault of our own), `error`, and details. */
export function explainJson(error: unknown, exit: number): string {
  return jsonLine({ exit, code: null, ...errorFields(error) });
}

/** 3 where no gateway answers: then nothing is known of it. 2 for everything else that goes wrong. */
export function exitCodeOf(error: unknown, command: string | undefined): 2 | 3 {
  const silent = error instanceof FieldgateError && SILENT.has(error.code);
  return silent && command !== "run" ? 3 : 2;
}

const SILENT: ReadonlySet<string> = new Set([
  "ERR_CONTROL",
  "ERR_CONTROL_BUSY",
  "ERR_CONTROL_VERSION",
]);
