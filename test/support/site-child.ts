/**
 * One gateway's part of the site and nothing else, in a process of its own: `site-process.ts` starts it. While it may act as
 * primary it says so every few milliseconds, with the time of the machine's monotonic clock.
 */
import { open, readFile } from "node:fs/promises";
import { jsonLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { type SiteStatus, site } from "../../src/site/site.ts";

export interface ChildOptions {
  readonly id: string;
  readonly journal: string;
  readonly endpoints: readonly string[];
  /** The file of the epoch. */
  readonly disk: string;
  readonly registrationTtlSeconds: number;
  readonly primaryTtlSeconds: number;
  readonly priority: number;
}

export type ChildOrder =
  | { readonly do: "status" | "stop" }
  | { readonly do: "hand over"; readonly to?: string };

export type ChildNews =
  | { readonly acts: number; readonly ms: number }
  | { readonly status: SiteStatus }
  | { readonly handedOver: unknown }
  | { readonly refused: string }
  | { readonly log: string };

const ACT_EVERY_MS = 2;

async function main(options: ChildOptions): Promise<void> {
  const tell = (news: ChildNews) => process.send?.(news);
  const log = jsonLog({ clock: systemClock, level: "info", write: (line) => tell({ log: line }) });
  const part = site(
    {
      endpoints: [...options.endpoints],
      registrationTtlSeconds: options.registrationTtlSeconds,
      primaryTtlSeconds: options.primaryTtlSeconds,
      priority: options.priority,
      onEtcdLoss: "cloud-fenced",
    },
    {
      clock: systemClock,
      log,
      random: Math.random,
      identity: { gateway: options.id, site: "test" },
      version: "0",
      rows: fileRows(options.disk),
      journalOffset: () => ({ id: options.journal, seq: 0 }),
    },
  );
  process.on("disconnect", () => process.exit(1));
  process.on("message", (order: ChildOrder) => {
    if (order.do === "status") tell({ status: part.status() });
    if (order.do === "stop") void part.stop().then(() => process.exit(0));
    if (order.do === "hand over") {
      part.handOver(order.to).then(
        (handedOver) => tell({ handedOver }),
        (error: Error) => tell({ refused: error.message }),
      );
    }
  });
  await part.start(new AbortController().signal);
  setInterval(() => {
    const role = part.role.get();
    if (!part.role.mayAct() || role.at !== "primary") return;
    tell({ acts: role.epoch, ms: Number(process.hrtime.bigint()) / 1e6 });
  }, ACT_EVERY_MS);
}

/** One row in one file, synced before it counts. */
function fileRows(path: string) {
  return {
    get: (_key: string) => readFile(path).catch(() => undefined),
    async put(_key: string, value: Uint8Array) {
      const file = await open(path, "w");
      await file.writeFile(value);
      await file.datasync();
      await file.close();
    },
  };
}

await main(JSON.parse(process.argv[2] ?? "{}"));
