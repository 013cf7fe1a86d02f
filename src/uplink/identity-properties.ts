import { datedMs } from "../base/timepiece.ts";
import { isoTime } from "../base/wall-time.ts";
import { userProperty } from "./properties.ts";
import type { GatewayIdentity } from "./rules.ts";
import type { SourceEntry } from "./source.ts";

/**
 * The user properties that say which message this is, as the cloud needs them to store each one once:
 *
 *   fg-journal  id of the journal       fg-time  when it was accepted, ISO 8601
 *   fg-gateway  name of the gateway     fg-seq   its number in the journal
 *   fg-site     name of its site        fg-epoch of the primary that sends it, where the site has one
 *
 * A time that no synchronised clock vouched for when the message was accepted says so: fg-clock is `redated` when one did later,
 * else `free-running` or `unset`. With `unset` there are fg-boot, a start of the machine, and fg-boot-ms, the time since, so
 * that the cloud can date the message when it learns when that was.
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
    this.#bytes = Buffer.concat([fixed, last, Buffer.alloc(CLOCK_BYTES_MAX)]);
    this.#timeAt = fixed.length - TIME_CHARS;
    this.#seqAt = fixed.length + last.length - SEQ_DIGITS_MAX;
  }

  /** The properties of an entry. The bytes are good until the next call. */
  of(entry: SourceEntry): Uint8Array {
    const wallMs = toldMs(entry);
    if (wallMs !== this.#wallMs) {
      this.#wallMs = wallMs;
      this.#bytes.write(isoTime(wallMs), this.#timeAt, "latin1");
    }
    const digits = this.#bytes.write(String(entry.seq), this.#seqAt, "latin1");
    this.#bytes.writeUInt16BE(digits, this.#seqAt - 2);
    const end = this.#seqAt + digits;
    return entry.time ? this.#withDoubt(end, entry) : this.#bytes.subarray(0, end);
  }

  #withDoubt(end: number, entry: SourceEntry): Uint8Array {
    const [clock, ...since] = doubtOf(entry);
    if (clock === undefined) return this.#bytes.subarray(0, end);
    const quality = CLOCK.get(clock[1]) ?? NOTHING;
    this.#bytes.set(quality, end);
    const bytes = this.#bytes.subarray(0, end + quality.length);
    if (since.length === 0) return bytes;
    return Buffer.concat([bytes, ...since.map(([name, value]) => userProperty(name, value))]);
  }
}

/** When a message was accepted, ISO 8601, by what is known now. */
export function datedIso(entry: SourceEntry): string {
  return isoTime(toldMs(entry));
}

/** What the cloud has to know of a time that was not sure when the message was accepted: names and values. */
export function doubtOf({ time, wallMs }: SourceEntry): readonly (readonly [string, string])[] {
  const quality = time?.quality() ?? "synchronised";
  if (!time || quality === "synchronised") return [];
  if (quality !== "unset") return [["fg-clock", quality]];
  const bootMs = String(Math.max(0, Math.floor(time.bootMs(wallMs))));
  return [
    ["fg-clock", quality],
    ["fg-boot", time.bootId],
    ["fg-boot-ms", bootMs],
  ];
}

function toldMs(entry: SourceEntry): number {
  return Math.min(Math.max(0, Math.floor(datedMs(entry))), WALL_MS_MAX);
}

const NOTHING = Buffer.alloc(0);
/** `fg-clock`, by its value. */
const CLOCK: ReadonlyMap<string, Buffer> = new Map(
  ["redated", "free-running", "unset"].map((quality) => [
    quality,
    userProperty("fg-clock", quality),
  ]),
);
const CLOCK_BYTES_MAX = userProperty("fg-clock", "free-running").length;

const TIME_CHARS = "1970-01-01T00:00:00.000Z".length;
const SEQ_DIGITS_MAX = String(Number.MAX_SAFE_INTEGER).length;
/** The end of the year 9999: later times have a longer form. */
const WALL_MS_MAX = 253_402_300_799_999;
