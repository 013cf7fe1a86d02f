import { FieldgateError } from "../base/errors.ts";
import { version } from "./version.ts";

/** Of a gateway whose answers are read. */
interface Versioned {
  readonly version: string;
}

/**
 * What `read` makes of what a gateway told. One that was not restarted since the package was upgraded may tell less than this command reads.
 * @throws FieldgateError ERR_CONTROL_VERSION in place of what `read` throws then; otherwise what it throws
 */
export function understood<T>(told: Versioned, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof FieldgateError || told.version === version) throw cause;
    const message = `the gateway's answer is not understood: ${difference(told)}`;
    const details = { gateway: told.version, command: version };
    throw new FieldgateError("ERR_CONTROL_VERSION", message, { cause, details });
  }
}

/** What wants attention where gateway and command are of two versions; none otherwise. */
export function versionWarnings(told: Versioned): string[] {
  return told.version === version ? [] : [difference(told)];
}

function difference(told: Versioned): string {
  return `it runs version ${told.version}, and ${version} is installed: systemctl restart fieldgate`;
}
