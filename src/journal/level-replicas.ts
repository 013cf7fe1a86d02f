import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { errorFields } from "../base/errors.ts";
import type { Service } from "../base/service.ts";
import { ensureDirectory, moveAside, namesIn, removeDirectory } from "./file-store.ts";
import { type LevelJournalOptions, levelJournal } from "./level-journal.ts";
import type { JournalTools } from "./options.ts";
import { START_MS_MAX } from "./start.ts";
import type { StoreJournal } from "./store-journal.ts";

const ID = /^[0-9a-f]{32}$/;
/** An entry of these replicas is never waited for by a live reader for long: less is kept in memory than of our own journal. */
const TAIL_SHARE = 1 / 4;
const NEVER = new AbortController().signal;

/**
 * Copies of other gateways' journals, each in a store of its own: `<path>/replicas/<journal>`. A store that is damaged is set
 * aside beside it, like our own, and copied anew.
 */
export class LevelReplicas implements Service {
  readonly name = "replicas";
  readonly startMsMax = START_MS_MAX;
  readonly #directory: string;
  readonly #options: LevelJournalOptions;
  readonly #tools: JournalTools;
  readonly #open = new Map<string, StoreJournal>();
  readonly #opening = new Map<string, Promise<StoreJournal>>();

  /** @param options those of our own journal, with the `bytesMax` of one replica; `path` is the same */
  constructor(options: LevelJournalOptions, tools: JournalTools) {
    this.#directory = join(options.path, "replicas");
    this.#options = options;
    this.#tools = tools;
  }

  /** Opens those that are there. One that cannot be opened is left as it is, and reported. */
  async start(signal: AbortSignal): Promise<void> {
    await ensureDirectory(this.#directory);
    for (const name of await namesIn(this.#directory)) {
      if (name.startsWith("removed-")) await removeDirectory(join(this.#directory, name));
      if (!ID.test(name)) continue;
      signal.throwIfAborted();
      await this.open(name, signal).catch((error) =>
        this.#tools.log.error("a replica cannot be opened", {
          journal: name,
          ...errorFields(error),
        }),
      );
    }
  }

  async stop(): Promise<void> {
    await Promise.allSettled(this.#opening.values());
    const open = [...this.#open.values()];
    this.#open.clear();
    await Promise.all(open.map((replica) => replica.stop()));
  }

  all(): readonly StoreJournal[] {
    return [...this.#open.values()];
  }

  /**
   * The replica of that journal, made when it is not there.
   * @throws what a journal's start throws
   */
  open(journal: string, signal = NEVER): Promise<StoreJournal> {
    const known = this.#open.get(journal);
    if (known) return Promise.resolve(known);
    const before = this.#opening.get(journal);
    if (before) return before;
    const opening = this.#begin(journal, signal).finally(() => this.#opening.delete(journal));
    this.#opening.set(journal, opening);
    return opening;
  }

  /** Gives the replica up with all that it holds. */
  async remove(journal: string): Promise<void> {
    const replica = this.#open.get(journal);
    if (replica === undefined) return;
    this.#open.delete(journal);
    await replica.stop();
    const away = join(this.#directory, `removed-${journal}-${randomBytes(4).toString("hex")}`);
    await moveAside(join(this.#directory, journal), away);
    await removeDirectory(away);
  }

  async #begin(journal: string, signal: AbortSignal): Promise<StoreJournal> {
    const path = join(this.#directory, journal);
    const { tailBytesMax = 2 ** 22 } = this.#options;
    const bounds = { tailBytesMax: tailBytesMax * TAIL_SHARE };
    const replica = levelJournal({ ...this.#options, ...bounds, path, id: journal }, this.#tools);
    await replica.start(signal);
    this.#open.set(journal, replica);
    return replica;
  }
}
