import { isoTime } from "../base/wall-time.ts";
import { userProperty } from "./properties.ts";
import type { GatewayIdentity } from "./rules.ts";
import type { SourceEntry } from "./source.ts";

/**
 * The user properties that say which message this is, as the cloud needs them to store each one once:
 *
 *   fg-journal  id of the journal       fg-time  when it was accepted, ISO 8601, the gateway's wall clock
 *   fg-gateway  name of the gateway     fg-seq   its number in the journal
 *   fg-site     name of its site        fg-epoch of the primary that sends it, where the site has one
 *
 * Only time and number differ from one message to the next, so the bytes are kept and those two overwritten.
 */
export class IdentityProperties {
  readonly #bytes: Buffer;
  readonly #timeAt: number;
  readonly #seqAt: number;
  #wallMs = 0;

  constructor(journalId: string, identity: GatewayIdentity, epoch: number | null) {
    const fixed = Buffer.concat([
      userProperty("fg-journal", journalId),
      userProperty("fg-gateway", identity.gateway),
      userProperty("fg-site", identity.site),
      ...(epoch === null ? [] : [userProperty("fg-epoch", String(epoch))]),
      userProperty("fg-time", isoTime(0)),
    ]);
    const last = userProperty("fg-seq", String(Number.MAX_SAFE_INTEGER));
    this.#bytes = Buffer.concat([fixed, last]);
    this.#timeAt = fixed.length - TIME_CHARS;
    this.#seqAt = this.#bytes.length - SEQ_DIGITS_MAX;
  }

  /** The properties of an entry. The bytes are good until the next call. */
  of(entry: SourceEntry): Uint8Array {
    const wallMs = Math.min(Math.max(0, Math.floor(entry.wallMs)), WALL_MS_MAX);
    if (wallMs !== this.#wallMs) {
      this.#wallMs = wallMs;
      this.#bytes.write(isoTime(wallMs), this.#timeAt, "latin1");
    }
    const digits = this.#bytes.write(String(entry.seq), this.#seqAt, "latin1");
    this.#bytes.writeUInt16BE(digits, this.#seqAt - 2);
    return this.#bytes.subarray(0, this.#seqAt + digits);
  }
}

const TIME_CHARS = "1970-01-01T00:00:00.000Z".length;
const SEQ_DIGITS_MAX = String(Number.MAX_SAFE_INTEGER).length;
/** The end of the year 9999: later times have a longer form. */
const WALL_MS_MAX = 253_402_300_799_999;
