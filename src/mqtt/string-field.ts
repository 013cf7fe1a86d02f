/** Fields of two bytes of length and what they announce (MQTT 3.1.1, section 1.5.3), as they lie in a packet. */

/** Where the field that begins at `at` ends; null when it does not end before `limit`. */
export function fieldEnd(bytes: Buffer, at: number, limit: number): number | null {
  if (at + 2 > limit) return null;
  const end = at + 2 + (((bytes[at] as number) << 8) | (bytes[at + 1] as number));
  return end > limit ? null : end;
}

/** Why the characters of the field that begins at `at` are no string, or null [MQTT-1.5.3-1, MQTT-1.5.3-2]. */
export function stringError(bytes: Buffer, at: number, end: number): string | null {
  const text = bytes.subarray(at + 2, end);
  if (text.includes(0)) return "contains U+0000";
  return Buffer.from(text.toString()).equals(text) ? null : "is not well-formed UTF-8";
}

export function stringOf(bytes: Buffer, at: number, end: number): string {
  return bytes.toString("utf8", at + 2, end);
}
