/** Small, so that LevelDB writes and merges tables early. */
export const STORE_OPTIONS = {
  bytesMax: 2 ** 22,
  durability: "fast",
  tidyEveryMs: 60_000,
  trimBytesMin: 1,
} as const;
