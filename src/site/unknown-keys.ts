import { errorFields, FieldgateError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";

const SHOWN_KEYS = 5;
const SHOWN_CHARACTERS = 120;

/** Keys below one prefix of etcd that say nothing, as of now. They are ignored, and told when there are more of them than before. */
export class UnknownKeys {
  readonly #log: Log;
  count = 0;
  /** For status; null while all say something. */
  error: FieldgateError | null = null;

  constructor(log: Log) {
    this.#log = log;
  }

  seen(keys: readonly string[]): void {
    const before = this.count;
    this.count = keys.length;
    this.error = keys.length === 0 ? null : ignored(keys);
    if (this.error !== null && keys.length > before) {
      this.#log.warn(this.error.message, errorFields(this.error));
    }
  }
}

function ignored(keys: readonly string[]): FieldgateError {
  const shown = keys
    .slice(0, SHOWN_KEYS)
    .map((key) => JSON.stringify(key.slice(0, SHOWN_CHARACTERS)));
  const message = `keys in etcd that say nothing are ignored: ${shown.join(", ")}`;
  return new FieldgateError("ERR_SITE_KEY", message, { details: { count: keys.length } });
}
