import { LevelStore } from "./level-store.ts";
import { DEFAULTS, type JournalOptions, type JournalTools } from "./options.ts";
import { StoreJournal } from "./store-journal.ts";

export type LevelJournalOptions = Pick<JournalOptions, "bytesMax" | "durability"> &
  Partial<JournalOptions> & {
    /** Directory of the store; the journal is in `journal` below it. */
    readonly path: string;
  };

export type LevelJournal = StoreJournal;

/**
 * The journal on LevelDB. Start it before anything else is called.
 * `start` throws FieldgateError ERR_STORE_LOCKED, ERR_STORE_FORMAT or ERR_STORE_OPEN.
 */
export function levelJournal(options: LevelJournalOptions, tools: JournalTools): LevelJournal {
  const { path, bytesMax, ballastBytes } = options;
  const store = new LevelStore(path, bytesMax, tools.clock, ballastBytes);
  return new StoreJournal(store, { ...DEFAULTS, ...options }, tools);
}
