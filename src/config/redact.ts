import type { Config } from "./schema.ts";

const HIDDEN = "***";

/**
 * A copy of the configuration that may be shown, logged and put in a bundle: no password, whoever wrote it into a URL.
 * Users stay, and so do the paths of files with passwords and keys.
 */
export function redact(config: Config): Config {
  return redacted(config) as Config;
}

/**
 * Text with the passwords of a URL hidden. Everything between the colon after the user and the last @ is taken for the
 * password, because someone may have written one with / or @ in it; a query is hidden as a whole.
 */
export function redactUrl(text: string): string {
  return text
    .replace(/^([a-z][a-z0-9+.-]*:\/\/[^:/@]*):.*@/is, `$1:${HIDDEN}@`)
    .replace(/^([a-z][a-z0-9+.-]*:\/\/[^?]*)\?.*$/is, `$1?${HIDDEN}`);
}

function redacted(value: unknown): unknown {
  if (typeof value === "string") return redactUrl(value);
  if (Array.isArray(value)) return value.map(redacted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, redacted(inner)]));
}
