const UNITS = {
  B: 1,
  kB: 1000,
  MB: 1000 ** 2,
  GB: 1000 ** 3,
  TB: 1000 ** 4,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
} as const;

/** Text that means a number of bytes, as a regular expression without its anchors' flags; for the JSON Schema as well. */
export const BYTE_SIZE_PATTERN = `^[0-9]{1,15}(\\.[0-9]{1,9})? ?(${Object.keys(UNITS).join("|")})$`;

/** The bytes that `64KiB`, `1.5 GiB` or `500kB` means; null for other text and for what is no whole number of bytes. */
export function parseByteSize(text: string): number | null {
  if (!new RegExp(BYTE_SIZE_PATTERN).test(text)) return null;
  const unit = /[A-Za-z]+$/.exec(text)?.[0] as keyof typeof UNITS;
  const count = Number(text.slice(0, -unit.length)) * UNITS[unit];
  return Number.isSafeInteger(count) ? count : null;
}

/** A number of bytes in the first of TB, GiB, MiB, KiB and B that needs no fraction. */
export function formatByteSize(count: number): string {
  for (const unit of ["TB", "GiB", "MiB", "KiB"] as const) {
    if (count !== 0 && count % UNITS[unit] === 0) return `${count / UNITS[unit]}${unit}`;
  }
  return `${count}B`;
}

/** What was probably meant by a size that is not written as we read it: `8M`, `8mb`; null when nothing is likely. */
export function likelyByteSize(text: string): string | null {
  const match = /^([0-9.]{1,15}) ?([kmg])(i?)b?$/i.exec(text);
  const [, count, letter] = match ?? [];
  if (count === undefined || letter === undefined) return null;
  const likely = `${count}${letter.toUpperCase()}iB`;
  return parseByteSize(likely) === null ? null : likely;
}
