/**
 * The beginning of a worker thread's script: it gives way to all others, as do the programs that it starts. A lower priority is that
 * thread's alone under Linux, and the whole process's elsewhere; where it is not allowed the thread works without.
 * @param level a name in `os.constants.priority`
 */
export function givingWay(level: "PRIORITY_BELOW_NORMAL" | "PRIORITY_LOW"): string {
  return `
  if (process.platform === "linux") {
    const { constants, setPriority } = require("node:os");
    try {
      setPriority(constants.priority.${level});
    } catch {}
  }
`;
}
