import { join } from "node:path";
import { FieldgateError } from "../base/errors.ts";
import type { Config } from "./schema.ts";

const PREFIX = "credential:";

/**
 * The configuration with each `credential:NAME` that a key for a file has replaced by the path of that credential of
 * systemd (LoadCredential=, SetCredentialEncrypted=): what nobody but this service can read.
 * @param directory $CREDENTIALS_DIRECTORY
 * @throws FieldgateError ERR_CONFIG_UNREADABLE when there are none, or the name is a path
 */
export function withCredentials(config: Config, directory: string | undefined): Config {
  return replaced(config, "", directory) as Config;
}

function replaced(value: unknown, key: string, directory: string | undefined): unknown {
  if (typeof value === "string") {
    return key.endsWith("File") && value.startsWith(PREFIX) ? pathOf(value, key, directory) : value;
  }
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => replaced(item, key, directory));
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, replaced(inner, name, directory)]),
  );
}

function pathOf(value: string, key: string, directory: string | undefined): string {
  const name = value.slice(PREFIX.length);
  if (directory === undefined) {
    const message = `${key} is ${value}, and there are no credentials: systemd gives them to a service`;
    throw new FieldgateError("ERR_CONFIG_UNREADABLE", message, { details: { key } });
  }
  if (name === "" || name.includes("/") || name.startsWith(".")) {
    const message = `${key} is ${value}: a credential is named without a path`;
    throw new FieldgateError("ERR_CONFIG_UNREADABLE", message, { details: { key } });
  }
  return join(directory, name);
}
