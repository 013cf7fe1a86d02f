import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { levelJournal } from "../../src/journal/level-journal.ts";
import { type MemoryJournal, memoryJournal } from "../../src/journal/memory-journal.ts";
import type { JournalOptions } from "../../src/journal/options.ts";
import type { StoreJournal } from "../../src/journal/store-journal.ts";
import { seededRandom } from "./random.ts";

/** How a suite makes, restarts and crashes journals of one kind. `end` removes what was made. */
export interface JournalKind {
  readonly name: string;
  create(options?: Partial<JournalOptions>): Promise<StoreJournal>;
  /** Stops cleanly and starts again, with other options if given. */
  restart(journal: StoreJournal): Promise<StoreJournal>;
  /** What is there after the process, or the power, was cut at this moment. */
  crash(journal: StoreJournal): Promise<StoreJournal>;
  end(): Promise<void>;
}

const NEVER = new AbortController().signal;

/** Journals in memory: a crash loses what was not synced, chosen by the seed. */
export function memoryKind(seed: number): JournalKind {
  const tools = { clock: systemClock, log: silentLog, random: seededRandom(seed) };
  const open = new Set<StoreJournal>();
  const started = async (journal: MemoryJournal) => {
    await journal.start(NEVER);
    open.add(journal);
    return journal;
  };
  return {
    name: "memory journal",
    create: (options = {}) => started(memoryJournal(options, tools)),
    async restart(journal) {
      open.delete(journal);
      await journal.stop();
      return started((journal as MemoryJournal).reopened());
    },
    async crash(journal) {
      open.delete(journal);
      return started(await (journal as MemoryJournal).crash());
    },
    async end() {
      for (const journal of open) await journal.stop();
      open.clear();
    },
  };
}

/** Journals on LevelDB: a crash loses what the journal had not handed over; kill-level-journal.test.ts kills a process. */
export function levelKind(seed: number): JournalKind {
  const tools = { clock: systemClock, log: silentLog, random: seededRandom(seed) };
  const open = new Map<StoreJournal, { path: string; options: Partial<JournalOptions> }>();
  const paths: string[] = [];
  const directory = async () => {
    const path = await mkdtemp(join(tmpdir(), "fieldgate-journal-"));
    paths.push(path);
    return path;
  };
  const started = async (path: string, options: Partial<JournalOptions>) => {
    const base = { path, bytesMax: 2 ** 30, durability: "local" as const };
    const journal = levelJournal({ ...base, ...options }, tools);
    await journal.start(NEVER);
    open.set(journal, { path, options });
    return journal;
  };
  const known = (journal: StoreJournal) => {
    const place = open.get(journal);
    if (!place) throw new Error("not a journal of this kind");
    return place;
  };
  return {
    name: "level journal",
    create: async (options = {}) => started(await directory(), options),
    async restart(journal) {
      const { path, options } = known(journal);
      open.delete(journal);
      await journal.stop();
      return started(path, options);
    },
    async crash(journal) {
      const { path, options } = known(journal);
      open.delete(journal);
      await journal.kill();
      return started(path, options);
    },
    async end() {
      for (const journal of open.keys()) await journal.stop();
      open.clear();
      for (const path of paths) await rm(path, { recursive: true, force: true });
    },
  };
}
