/**
 * What other layouts of the journal would cost: `npm run bench -- journal-layouts [--turns N] [--megabytes N] [--directory DIR]`
 *
 * The journal as it is beside one key a message and beside an append log of our own, in turns in one process, with a bare
 * write and fdatasync of as many bytes. The others do the least that they must: no checks, no reading, no recovery. docs/decisions/0002.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { figure, inTurns, median, table } from "./support/figures.ts";
import { deviceBytes, MESSAGE_BYTES, MESSAGES, rateOf } from "./support/journal-load.ts";
import {
  bareFile,
  bareLevel,
  blocksOnLevel,
  keyEachOnLevel,
  type Layout,
  type OpenLayout,
  ownLog,
} from "./support/layouts.ts";

const { values } = parseArgs({
  options: {
    turns: { type: "string", default: "7" },
    megabytes: { type: "string", default: "100" },
    directory: { type: "string", default: tmpdir() },
  },
});
const TURNS = Number(values.turns);
const TURN_MS = 1000;
const LAYOUTS = {
  "a bare write and fdatasync": bareFile,
  "LevelDB alone, blocks of before": bareLevel,
  "blocks on LevelDB": blocksOnLevel,
  "one key a message on LevelDB": keyEachOnLevel,
  "own log, index synced": ownLog({ syncsIndex: true }),
  "own log, index rebuilt at the start": ownLog({ syncsIndex: false }),
};
const directory = mkdtempSync(join(values.directory, "fieldgate-layouts-"));

const NAMES = Object.keys(LAYOUTS);
const OPENERS: readonly OpenLayout[] = Object.values(LAYOUTS);

try {
  const crowd = await rates(1000);
  const alone = await rates(1);
  const drained: number[] = [];
  const growing: number[] = [];
  for (const start of OPENERS) {
    drained.push(await bytesOf(start, true));
    growing.push(await bytesOf(start, false));
  }
  const head = ["", "1,000 waiting", "one alone", "bytes a byte, drained", "growing"];
  const rows = NAMES.map((name, i) => [
    name,
    `${figure(crowd[i] ?? 0)}/s`,
    `${figure(alone[i] ?? 0)}/s`,
    figure(drained[i] ?? 0),
    figure(growing[i] ?? 0),
  ]);
  console.log(table([head, ...rows]));
  console.log(`load at the end: ${figure(loadavg()[0] ?? 0)}`);
} finally {
  rmSync(directory, { recursive: true, force: true });
}

/** Messages a second that are drained at once, of each layout in turns: the medians. */
async function rates(waiting: number): Promise<number[]> {
  const layouts: Layout[] = [];
  for (const start of OPENERS) layouts.push(await start(fresh()));
  const messages = MESSAGES.slice(0, waiting);
  const results = await inTurns(layouts, TURNS, (layout) =>
    rateOf(TURN_MS, waiting, () => layout.commit(messages, true)),
  );
  for (const layout of layouts) await layout.stop();
  return results.map(median);
}

/** Bytes to the device for each byte of topic and payload, in commits of 1,000, until the store is closed. */
async function bytesOf(start: OpenLayout, passed: boolean): Promise<number> {
  const layout = await start(fresh());
  const before = deviceBytes();
  const commits = Math.ceil((Number(values.megabytes) * 1e6) / (MESSAGES.length * MESSAGE_BYTES));
  for (let i = 0; i < commits; i++) await layout.commit(MESSAGES, passed);
  await layout.stop();
  return (deviceBytes() - before) / (commits * MESSAGES.length * MESSAGE_BYTES);
}

function fresh(): string {
  return mkdtempSync(join(directory, "layout-"));
}
