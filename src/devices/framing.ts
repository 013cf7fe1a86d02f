import { assertNever, FieldgateError } from "../base/errors.ts";
import type { FramingConfig } from "../config/schema.ts";
import {
  type Check,
  checkNamed,
  hasBinaryCheck,
  numberAt,
  stripTextCheck,
  textCheckBytes,
} from "./check.ts";
import { cobsBytesMax, uncobs } from "./framing/cobs.ts";
import { DelimitedFramer, type DelimitedRule } from "./framing/delimited.ts";
import type { FrameRefusal, Framer, FrameSink } from "./framing/framer.ts";
import { SLIP_END, unslip } from "./framing/slip.ts";
import { WindowedFramer } from "./framing/windowed.ts";

/** The framer that a configuration describes. ERR_CONFIG_INVALID when it describes none. docs/frame.md has the formats. */
export function framerFor(config: FramingConfig, sink: FrameSink): Framer {
  const check = checkNamed(config.check);
  const delimited = (rule: Omit<DelimitedRule, "timeoutMs" | "huntsAfterOpening">) =>
    new DelimitedFramer(
      { ...rule, timeoutMs: config.timeoutMs, huntsAfterOpening: check === null },
      sink,
    );
  switch (config.type) {
    case "lines":
      return delimited({
        delimiter: Uint8Array.of(0x0a),
        rawBytesMax: config.bytesMax + textCheckBytes(check) + 1,
        finish: (raw) => text(withoutReturn(raw), check, config.bytesMax),
      });
    case "delimiter":
      return delimited({
        delimiter: Buffer.from(needed(config.delimiter, "delimiter", config), "hex"),
        rawBytesMax: config.bytesMax + textCheckBytes(check),
        finish: (raw) => text(raw, check, config.bytesMax),
      });
    case "slip":
      return delimited({
        delimiter: Uint8Array.of(SLIP_END),
        rawBytesMax: 2 * (config.bytesMax + (check?.bytes ?? 0)),
        finish: (raw) => binary(raw, unslip, check, config.bytesMax),
      });
    case "cobs":
      return delimited({
        delimiter: Uint8Array.of(0),
        rawBytesMax: cobsBytesMax(config.bytesMax + (check?.bytes ?? 0)),
        finish: (raw) => binary(raw, uncobs, check, config.bytesMax),
      });
    case "fixed":
      return fixed(config, check, sink);
    case "length-prefix":
      return lengthPrefix(config, check, sink);
    default:
      return assertNever(config.type);
  }
}

/** The frame's length includes its check value. */
function fixed(config: FramingConfig, check: Check | null, sink: FrameSink): Framer {
  const length = needed(config.length, "length", config);
  const checkBytes = check?.bytes ?? 0;
  const contentBytes = length - checkBytes;
  if (contentBytes < 1 || contentBytes > config.bytesMax) {
    throw invalid("`length` without the check value must be between 1 and `bytesMax`", config);
  }
  const rule = {
    wireBytesMax: length,
    timeoutMs: config.timeoutMs,
    check,
    measure: () => length,
    content: (window: Uint8Array, start: number, end: number) =>
      window.slice(start, end - checkBytes),
  };
  return new WindowedFramer(rule, sink);
}

/** The bytes that follow the prefix include the check value; the check value covers the prefix too. */
function lengthPrefix(config: FramingConfig, check: Check | null, sink: FrameSink): Framer {
  const prefixBytes = needed(config.prefixBytes, "prefixBytes", config);
  const endian = prefixBytes === 1 ? "big" : needed(config.endian, "endian", config);
  const checkBytes = check?.bytes ?? 0;
  const { bytesMax, offset = 0 } = config;
  const measure = (window: Uint8Array, start: number, end: number): number | FrameRefusal => {
    if (end - start < prefixBytes) return 0;
    const followBytes = numberAt(window, start, prefixBytes, endian) + offset;
    if (followBytes <= checkBytes) return "malformed";
    return followBytes - checkBytes > bytesMax ? "too-long" : prefixBytes + followBytes;
  };
  const rule = {
    wireBytesMax: prefixBytes + bytesMax + checkBytes,
    timeoutMs: config.timeoutMs,
    check,
    measure,
    content: (window: Uint8Array, start: number, end: number) =>
      window.slice(start + prefixBytes, end - checkBytes),
  };
  return new WindowedFramer(rule, sink);
}

function text(raw: Uint8Array, check: Check | null, bytesMax: number) {
  return raw.length === 0 ? null : bounded(stripTextCheck(check, raw), bytesMax);
}

function binary(
  raw: Uint8Array,
  unstuff: (raw: Uint8Array) => Uint8Array | null,
  check: Check | null,
  bytesMax: number,
) {
  if (raw.length === 0) return null;
  const bytes = unstuff(raw);
  if (bytes === null || bytes.length === 0) return "malformed";
  if (!hasBinaryCheck(check, bytes, 0, bytes.length)) return "checksum";
  return bounded(bytes.subarray(0, bytes.length - (check?.bytes ?? 0)), bytesMax);
}

function bounded(content: Uint8Array | null, bytesMax: number): Uint8Array | FrameRefusal {
  if (content === null) return "checksum";
  return content.length > bytesMax ? "too-long" : content;
}

function withoutReturn(line: Uint8Array): Uint8Array {
  return line[line.length - 1] === 0x0d ? line.subarray(0, -1) : line;
}

function needed<T>(value: T | undefined, key: string, config: FramingConfig): T {
  if (value === undefined) throw invalid(`\`${key}\` is missing`, config);
  return value;
}

function invalid(what: string, config: FramingConfig): FieldgateError {
  return new FieldgateError("ERR_CONFIG_INVALID", `framing ${config.type}: ${what}`, {
    details: { framing: config },
  });
}
