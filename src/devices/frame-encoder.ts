import { assertNever } from "../base/errors.ts";
import type { FramingConfig } from "../config/schema.ts";
import { type Check, checkNamed } from "./check.ts";
import { cobs, slip } from "./framing/encode.ts";

/** Why bytes cannot be a frame of the device's framing. */
export type EncodeRefusal = "empty" | "too-long" | "wrong-length" | "delimiter-within";

/** A content as a frame on the wire, or why it can be none. Pure; the framer of the same configuration gives it back. */
export function encodeFrame(
  content: Uint8Array,
  config: FramingConfig,
): Uint8Array | EncodeRefusal {
  const check = checkNamed(config.check);
  if (content.length === 0) return "empty";
  if (content.length > config.bytesMax) return "too-long";
  switch (config.type) {
    case "lines":
      return text(content, check, Uint8Array.of(0x0a), Uint8Array.of(0x0d, 0x0a));
    case "delimiter": {
      const delimiter = Buffer.from(config.delimiter ?? "", "hex");
      return text(content, check, delimiter, delimiter);
    }
    case "slip":
      return slip(withCheck(content, check));
    case "cobs":
      return cobs(withCheck(content, check));
    case "fixed": {
      const bytes = withCheck(content, check);
      return bytes.length === config.length ? bytes : "wrong-length";
    }
    case "length-prefix":
      return prefixed(content, check, config);
    default:
      return assertNever(config.type);
  }
}

/** `*` and the check value in hexadecimal digits, and the delimiter behind. */
function text(
  content: Uint8Array,
  check: Check | null,
  delimiter: Uint8Array,
  end: Uint8Array,
): Uint8Array | EncodeRefusal {
  if (check === null) return ended(content, delimiter, end);
  const value = check.compute(content, 0, content.length);
  const digits = value
    .toString(16)
    .toUpperCase()
    .padStart(2 * check.bytes, "0");
  return ended(Buffer.concat([content, Buffer.from(`*${digits}`, "latin1")]), delimiter, end);
}

/** The delimiter may also begin within and end with itself, or stand among the digits of a check value. */
function ended(
  bytes: Uint8Array,
  delimiter: Uint8Array,
  end: Uint8Array,
): Uint8Array | EncodeRefusal {
  const at = Buffer.concat([bytes, delimiter]).indexOf(delimiter);
  return at < bytes.length ? "delimiter-within" : Buffer.concat([bytes, end]);
}

function withCheck(content: Uint8Array, check: Check | null): Uint8Array {
  if (check === null) return content;
  const value = number(check.compute(content, 0, content.length), check.bytes, check.endian);
  return Buffer.concat([content, value]);
}

/** The length is what follows it, less the offset; the check value covers it too. */
function prefixed(
  content: Uint8Array,
  check: Check | null,
  { prefixBytes = 1, endian = "big", offset = 0 }: FramingConfig,
): Uint8Array | EncodeRefusal {
  const length = content.length + (check?.bytes ?? 0) - offset;
  if (length < 0 || length >= 256 ** prefixBytes) return "too-long";
  return withCheck(Buffer.concat([number(length, prefixBytes, endian), content]), check);
}

function number(value: number, count: 1 | 2 | 4, endian: "big" | "little"): Uint8Array {
  const bytes = Uint8Array.from({ length: count }, (_, i) => Math.floor(value / 256 ** i) & 0xff);
  return endian === "big" ? bytes.reverse() : bytes;
}
