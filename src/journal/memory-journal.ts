import { MemoryStore } from "./memory-store.ts";
import { DEFAULTS, type JournalOptions, type JournalTools } from "./options.ts";
import { StoreJournal } from "./store-journal.ts";

/** A journal in memory, for tests and simulations. It is the real one on a store that forgets. */
export class MemoryJournal extends StoreJournal {
  readonly #memory: MemoryStore;

  constructor(memory: MemoryStore, options: JournalOptions, tools: JournalTools) {
    super(memory, options, tools);
    this.#memory = memory;
  }

  /** Makes the next writes fail for as long as `onWrite` throws. */
  set onWrite(onWrite: MemoryStore["onWrite"]) {
    this.#memory.onWrite = onWrite;
  }

  /** Cuts the power: this journal ends, and the one returned, not started yet, has what was synced. */
  async crash(): Promise<MemoryJournal> {
    this.#memory.crash();
    await this.kill();
    return this.reopened();
  }

  /** A journal, not started yet, on the same store. Stop this one first. */
  reopened(tools: JournalTools = this.tools): MemoryJournal {
    return new MemoryJournal(this.#memory, this.options, tools);
  }
}

/** A new journal in memory. Start it before anything else is called. */
export function memoryJournal(
  options: Partial<JournalOptions>,
  tools: JournalTools,
): MemoryJournal {
  const memory = new MemoryStore((task) => tools.clock.afterTurn(task), tools.random);
  const all = { ...DEFAULTS, bytesMax: 2 ** 30, durability: "local" as const, ...options };
  return new MemoryJournal(memory, all, tools);
}
