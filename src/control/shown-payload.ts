/** A payload for a person to read: as text when it is text, else in base64; cut where it is long. */
export type ShownPayload = {
  /** Of the whole payload. */
  readonly bytes: number;
} & ({ readonly text: string } | { readonly base64: string });

/** @param bytesMax how much of it is shown */
export function shownPayload(payload: Uint8Array, bytesMax: number): ShownPayload {
  const start = payload.subarray(0, bytesMax);
  const bytes = payload.length;
  const text = textOf(start, bytes > bytesMax);
  return text === null ? { bytes, base64: Buffer.from(start).toString("base64") } : { bytes, text };
}

/** Null for what is not UTF-8, or has control characters beside those of lines. */
function textOf(bytes: Uint8Array, isCut: boolean): string | null {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  try {
    // A character that was cut in two is left out.
    const text = decoder.decode(bytes, { stream: isCut });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    return /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/.test(text) ? null : text;
  } catch {
    return null;
  }
}
