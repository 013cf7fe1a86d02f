import { assertNever, FieldgateError } from "../base/errors.ts";
import type { DecodeConfig } from "../config/schema.ts";
import { decodeBinary } from "./decode/binary.ts";
import { decodeCsv } from "./decode/csv.ts";
import { decodeJson } from "./decode/json.ts";
import { decodeKeyValue } from "./decode/key-value.ts";
import { decodeNmea } from "./decode/nmea.ts";
import { type Decoded, refused } from "./decode/reading.ts";
import { textOf } from "./decode/text.ts";

/** Frame to meaning. Pure; what it cannot understand it refuses with a reason. */
export type Decoder = (frame: Uint8Array) => Decoded;

/**
 * The decoder that a configuration describes; its `units` win over those that the frame itself states. More than
 * `readingsMax` readings in a frame are refused. ERR_CONFIG_INVALID when the configuration is not complete.
 */
export function decoderFor(config: DecodeConfig, readingsMax: number): Decoder {
  const decode = formatFor(config);
  const units = new Map(Object.entries(config.units ?? {}));
  return (frame) => {
    const decoded = decode(frame);
    if (decoded.is !== "readings") return decoded;
    if (decoded.readings.length > readingsMax) return refused("too-many-fields");
    if (units.size === 0) return decoded;
    const readings = decoded.readings.map((reading) => {
      const unit = units.get(reading.field);
      return unit === undefined ? reading : { ...reading, unit };
    });
    return { is: "readings", readings };
  };
}

function formatFor(config: DecodeConfig): Decoder {
  switch (config.type) {
    case "raw":
      return (payload) => ({ is: "payload", payload });
    case "text":
      return (payload) =>
        textOf(payload) === null ? refused("not-text") : { is: "payload", payload };
    case "json":
      return decodeJson;
    case "csv":
      return csv(config.columns ?? []);
    case "key-value":
      return decodeKeyValue;
    case "nmea":
      return decodeNmea;
    case "binary":
      return binary(config.fields ?? []);
    default:
      return assertNever(config.type);
  }
}

function binary(fields: NonNullable<DecodeConfig["fields"]>): Decoder {
  if (fields.length === 0 || new Set(fields.map(({ field }) => field)).size !== fields.length) {
    throw new FieldgateError("ERR_CONFIG_INVALID", "decode binary: `fields` must name each once", {
      details: { fields },
    });
  }
  return (frame) => decodeBinary(frame, fields);
}

function csv(columns: readonly string[]): Decoder {
  if (columns.length === 0 || new Set(columns).size !== columns.length) {
    throw new FieldgateError(
      "ERR_CONFIG_INVALID",
      "decode csv: `columns` must name each column once",
      {
        details: { columns },
      },
    );
  }
  return (frame) => decodeCsv(frame, columns);
}
