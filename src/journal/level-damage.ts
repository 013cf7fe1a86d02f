/**
 * LevelDB has met something in its files that cannot be right: what it calls corruption; a file that is not there, or too short to
 * be mapped; a sector that cannot be read. An error of the disk while writing is none.
 */
export function isLevelDamage(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    const code = "code" in at ? at.code : undefined;
    if (code === "LEVEL_CORRUPTION") return true;
    if (code === "LEVEL_IO_ERROR" && UNREADABLE.test(at.message)) return true;
  }
  return false;
}

/** A table is only read; the other names come up when a store is opened. `CURRENT` may name any file. */
const UNREADABLE =
  /\.(ldb|sst): (Invalid argument|Input\/output error|No such file)|: No such file or directory$/;
