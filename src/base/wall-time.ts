/** "2026-11-22T23:18:37.000Z" (ISO 8601, UTC) of a wall time in milliseconds since the Unix epoch. Reads no clock. */
export function isoTime(wallMs: number): string {
  return dateOf(wallMs).toISOString();
}

/** The wall time that a text states, in milliseconds since the Unix epoch; NaN when it states none. */
export function wallMsOf(text: string): number {
  return globalThis.Date.parse(text);
}

/** The wall time as a Date, for libraries that want one. */
export function dateOf(wallMs: number): globalThis.Date {
  return new globalThis.Date(wallMs);
}
