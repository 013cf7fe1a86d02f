import { type Decoded, type Reading, readings, refused } from "./reading.ts";
import { cellValue, textOf } from "./text.ts";

/**
 * NMEA 0183: `$` talker (2) sentence (3) `,` fields `*` XOR of everything between in two hexadecimal digits. The checksum is
 * required. XDR and MWV, which weather stations speak, give named readings; any other sentence gives its fields by
 * position: `sentence`, `field1`, `field2`, …
 */
export function decodeNmea(frame: Uint8Array): Decoded {
  const text = textOf(frame);
  if (text === null) return refused("not-text");
  const match = /^\$([A-Z0-9]{3,10}(?:,[^$*]*)?)\*([0-9A-Fa-f]{2})$/.exec(text.trim());
  if (match === null) return refused("not-nmea");
  const [, body = "", digits = ""] = match;
  if (xorOf(body) !== Number.parseInt(digits, 16)) return refused("nmea-checksum");
  const [address = "", ...fields] = body.split(",");
  const named = SENTENCES[address.slice(2)];
  const found = named === undefined ? byPosition(address, fields) : named(fields);
  return found === null ? refused("not-nmea") : distinct(found);
}

const SENTENCES: Readonly<Record<string, (fields: readonly string[]) => Reading[] | null>> = {
  XDR: transducers,
  MWV: wind,
};

/** XDR: groups of type, value, unit, name. A transducer without a value is left out, as the standard has it. */
function transducers(fields: readonly string[]): Reading[] | null {
  if (fields.length === 0 || fields.length % 4 !== 0) return null;
  const found: Reading[] = [];
  for (let i = 0; i < fields.length; i += 4) {
    const [type = "", value = "", unit = "", name = ""] = fields.slice(i, i + 4);
    if (value !== "") found.push(reading(name === "" ? type : name, value, unit));
  }
  return found;
}

/** MWV: angle, reference (R relative, T true), speed, unit of speed, status (A valid). */
function wind(fields: readonly string[]): Reading[] | null {
  const [angle = "", reference = "", speed = "", unit = "", status = ""] = fields;
  if (fields.length < 5 || status !== "A") return null;
  return [
    reading("windAngle", angle, "deg"),
    reading("windReference", reference === "T" ? "true" : "relative", ""),
    reading("windSpeed", speed, SPEED_UNITS[unit] ?? unit),
  ];
}

const SPEED_UNITS: Readonly<Record<string, string>> = { K: "km/h", M: "m/s", N: "kn", S: "mph" };

function byPosition(address: string, fields: readonly string[]): Reading[] {
  const cells = fields.map((cell, i) => ({ field: `field${i + 1}`, value: cellValue(cell) }));
  return [{ field: "sentence", value: address }, ...cells];
}

function reading(field: string, cell: string, unit: string): Reading {
  return { field, value: measured(cell), ...(unit === "" ? {} : { unit }) };
}

/** A measured value may be padded with zeros (`045`); positions and times keep theirs. */
function measured(cell: string): string | number | null {
  return /^-?0\d{1,2}$/.test(cell.trim()) ? Number(cell) : cellValue(cell);
}

function distinct(found: readonly Reading[]): Decoded {
  const fields = new Set(found.map((each) => each.field));
  return fields.size === found.length ? readings(found) : refused("duplicate-field");
}

function xorOf(text: string): number {
  let xor = 0;
  for (let i = 0; i < text.length; i++) xor ^= text.charCodeAt(i);
  return xor & 0xff;
}
