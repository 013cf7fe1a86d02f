import { join } from "node:path";
import { systemClock } from "../base/system-clock.ts";
import { loadConfig } from "../config/yaml-load.ts";
import { type Backup, backUp } from "../journal/file-backup.ts";
import { type Command, numberOf, textOf } from "./command.ts";
import { say } from "./terminal.ts";

const KEEP = { usual: 3, min: 1, max: 1000 };

export const command: Command = {
  options: { to: { type: "string" }, keep: { type: "string" } },
  help: `fieldgate backup [--to DIRECTORY] [--keep N] [--config FILE] [--json]   copy the store, whether the gateway runs or not

Everything that was acknowledged before is in the copy. On the disk of the store a copy takes little room at first, for it shares
files with the store; on another one it takes as much as the store. docs/service.md says how to go back to a copy.

  --to DIRECTORY   where copies are, each named by its time (usual: backups below store.path)
  --keep N         delete all but the newest N there (usual: ${KEEP.usual})

Examples:
  fieldgate backup
  fieldgate backup --to /mnt/usb/gw-a --keep 10

Exit codes: 0 copied, 2 not copied
`,

  async run(invocation) {
    const { store } = await loadConfig(invocation.configPath);
    const to = textOf(invocation, "to") ?? join(store.path, "backups");
    const keep = numberOf(invocation, "keep", KEEP);
    process.umask(0o077);
    const made = await backUp({ journal: join(store.path, "journal"), to, keep }, systemClock);
    say(invocation.json, made, () => screen(made));
    return 0;
  },
};

function screen({ path, bytes, linked, deleted }: Backup): string {
  const size = `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const older = deleted.length === 0 ? "" : `; deleted: ${deleted.join(", ")}`;
  return `${path}: ${size}, ${linked} files shared with the store${older}\n`;
}
