import type { FieldgateError } from "../base/errors.ts";
import type { Mistake } from "./mistake.ts";

/**
 * What the command line prints for an error of the configuration: a line for each mistake, as editors and compilers write
 * them (`file:line:column path: message`), and a last line with their number. Any other error is its message.
 */
export function formatMistakes(error: FieldgateError): string {
  const { file, mistakes, omitted } = error.details;
  if (error.code !== "ERR_CONFIG_INVALID" || !Array.isArray(mistakes)) return error.message;
  const lines = (mistakes as readonly Mistake[]).map(({ line, column, path, message }) => {
    const where = `${file}:${line}:${column}`;
    return path === "" ? `${where} ${message}` : `${where} ${path}: ${message}`;
  });
  const more = typeof omitted === "number" ? omitted : 0;
  const count = mistakes.length + more;
  const hidden = more > 0 ? `, the first ${mistakes.length} of them are shown` : "";
  lines.push(`${count} ${count === 1 ? "mistake" : "mistakes"} in ${file}${hidden}`);
  return lines.join("\n");
}
