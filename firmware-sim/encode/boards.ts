import { cobs } from "./cobs.ts";
import { crc16CcittFalse } from "./crc16.ts";

export interface Thermometer {
  readonly id: string;
  readonly n: number;
  /** °C. */
  readonly temperature: number;
}

export interface DoorContact {
  readonly id: string;
  readonly n: number;
  readonly open: boolean;
  /** Once it was commanded. */
  readonly lamp?: boolean;
  /** V. */
  readonly battery: number;
}

export interface Vibration {
  readonly station: number;
  readonly n: number;
  /** 16 bits, signed. */
  readonly samples: readonly number[];
}

export type Weather =
  | {
      readonly kind: "transducers";
      readonly station: number;
      readonly n: number;
      /** °C. */
      readonly air: number;
      /** bar. */
      readonly baro: number;
      /** %. */
      readonly humidity: number;
    }
  | {
      readonly kind: "wind";
      /** Degrees. */
      readonly angle: number;
      /** m/s. */
      readonly speed: number;
    };

/** `id=th-1 n=17 T=21.4`, CR, LF. */
export function thermometerLine({ id, n, temperature }: Thermometer): Uint8Array {
  return ascii(`id=${id} n=${n} T=${temperature.toFixed(1)}\r\n`);
}

/** `id=dc-1 n=3 door=open battery=3.01*3F39`, CR, LF: CRC-16/CCITT-FALSE of what stands before the `*`. */
export function doorContactLine({ id, n, open, battery, lamp }: DoorContact): Uint8Array {
  const light = lamp === undefined ? "" : ` lamp=${lamp ? "on" : "off"}`;
  const door = open ? "open" : "closed";
  const text = `id=${id} n=${n} door=${door} battery=${battery.toFixed(2)}${light}`;
  return ascii(`${text}*${hex(crc16CcittFalse(ascii(text)), 4)}\r\n`);
}

/** What `lamp=on*22FB` says, without CR and LF; null for anything else, and for a wrong check value. */
export function doorContactCommand(line: string): boolean | null {
  const [, text = "", digits = ""] = /^(lamp=(?:on|off))\*([0-9A-Fa-f]{4})$/.exec(line) ?? [];
  if (text === "" || Number.parseInt(digits, 16) !== crc16CcittFalse(ascii(text))) return null;
  return text === "lamp=on";
}

/**
 * Station (2 bytes), number (4), samples (2 each), CRC-16/CCITT-FALSE (2), all high byte first, in COBS between two zeros: the
 * first one ends whatever noise came before.
 */
export function vibrationFrame({ station, n, samples }: Vibration): Uint8Array {
  const body = new DataView(new ArrayBuffer(6 + 2 * samples.length + 2));
  body.setUint16(0, station);
  body.setUint32(2, n);
  samples.forEach((sample, i) => {
    body.setInt16(6 + 2 * i, sample);
  });
  const checked = new Uint8Array(body.buffer, 0, body.byteLength - 2);
  body.setUint16(body.byteLength - 2, crc16CcittFalse(checked));
  return Uint8Array.of(0, ...cobs(new Uint8Array(body.buffer)), 0);
}

/** NMEA 0183: XDR for air, pressure, humidity, the station and the number; MWV for the wind. */
export function weatherSentence(weather: Weather): Uint8Array {
  if (weather.kind === "wind") {
    const angle = weather.angle.toFixed(1).padStart(5, "0");
    return nmea(`WIMWV,${angle},R,${weather.speed.toFixed(1)},M,A`);
  }
  const { station, n, air, baro, humidity } = weather;
  const readings = `C,${air.toFixed(1)},C,air,P,${baro.toFixed(4)},B,baro,H,${humidity.toFixed(1)},P,humidity`;
  return nmea(`WIXDR,${readings},G,${station},,station,G,${n},,n`);
}

function nmea(body: string): Uint8Array {
  let checksum = 0;
  for (const byte of ascii(body)) checksum ^= byte;
  return ascii(`$${body}*${hex(checksum, 2)}\r\n`);
}

function hex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, "0");
}

function ascii(text: string): Uint8Array {
  return Buffer.from(text, "latin1");
}
