import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { Loaded, rateOf } from "./journal-load.ts";

/**
 * A process of its own with nothing but a journal: `journal-rest.ts DIRECTORY [--seconds N]`. Starts it, has messages pass
 * through for so long, and prints how long the start took and what is resident, in bytes, before, after, and after that.
 */
const { values, positionals } = parseArgs({
  options: { seconds: { type: "string", default: "1" } },
  allowPositionals: true,
});
const path = positionals[0] ?? "";
const isNew = !existsSync(path);
global.gc?.();
const bareBytes = process.memoryUsage().rss;
const begun = performance.now();
const loaded = await Loaded.start(path);
const startMs = performance.now() - begun;
global.gc?.();
const startedBytes = process.memoryUsage().rss;
const rate = await rateOf(Number(values.seconds) * 1000, 100, () =>
  isNew ? loaded.follow(100) : loaded.grow(100),
);
global.gc?.();
const workedBytes = process.memoryUsage().rss;
await loaded.journal.stop();
console.log(JSON.stringify({ startMs, bareBytes, startedBytes, workedBytes, rate }));
