export type Value =
  | string
  | number
  | boolean
  | null
  | readonly Value[]
  | { readonly [key: string]: Value };

/** One measured value, as the frame says it. */
export interface Reading {
  readonly field: string;
  readonly value: Value;
  readonly unit?: string;
}

/** Why a frame that arrived whole says nothing. */
export type DecodeRefusal =
  | "not-text"
  | "not-json"
  | "too-deep"
  | "no-fields"
  | "too-short"
  | "too-many-fields"
  | "duplicate-field"
  | "wrong-columns"
  | "not-key-value"
  | "not-nmea"
  | "nmea-checksum";

/** What a frame means: readings, or bytes that are published as they are, or why nothing. */
export type Decoded =
  | { readonly is: "readings"; readonly readings: readonly Reading[] }
  | { readonly is: "payload"; readonly payload: Uint8Array }
  | { readonly is: "refused"; readonly reason: DecodeRefusal };

export function refused(reason: DecodeRefusal): Decoded {
  return { is: "refused", reason };
}

export function readings(list: readonly Reading[]): Decoded {
  return list.length === 0 ? refused("no-fields") : { is: "readings", readings: list };
}
