import { nearest } from "../config/nearest.ts";

/**
 * What Node's parseArgs found wrong, in a few words: it goes on to explain how words that begin with a dash are written.
 * @param known options, without dashes
 */
export function wrongOption(error: unknown, known: readonly string[]): string {
  const [why = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
  const unknown = /^Unknown option '(-{1,2}([^']*))'/.exec(why);
  if (unknown === null) return why.replace(/\.$/, "");
  const [, option, name = ""] = unknown;
  const meant = nearest(name, known);
  return `there is no option ${option}${meant === null ? "" : `, did you mean --${meant}?`}`;
}
