import { FieldgateError } from "../base/errors.ts";
import { formatMistakes } from "../config/format-mistakes.ts";

/** What went wrong, for the one at the terminal: the message and its code; a stack only for faults of our own. */
export function explain(error: unknown): string {
  if (error instanceof FieldgateError) {
    if (error.code === "ERR_CONFIG_INVALID") return `${formatMistakes(error)}\n`;
    return `fieldgate: ${error.message} [${error.code}]\n`;
  }
  return `fieldgate: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`;
}

/** 3 where no gateway answers: then nothing is known of it. 2 for everything else that goes wrong. */
export function exitCodeOf(error: unknown, command: string | undefined): 2 | 3 {
  const silent = error instanceof FieldgateError && error.code === "ERR_CONTROL";
  return silent && command !== "run" ? 3 : 2;
}
