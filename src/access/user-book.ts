import type { Clock } from "../base/clock.ts";
import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { UsersRead } from "./file-users.ts";
import type { User, Users } from "./users-text.ts";

/** Where users come from. */
export interface UsersSource {
  read(): Promise<UsersRead>;
  stamp(): Promise<string>;
}

/** What the users file looks like now. */
export interface UsersStatus {
  readonly users: number;
  /** How often a changed file was taken up. */
  readonly reloads: number;
  /** Why the file as it is cannot be taken; what it was before counts on. */
  readonly error: string | null;
}

/**
 * The users as the last whole file has them. A file that is half-written, damaged or gone changes nothing, and is said; one
 * that was never whole lets nobody in, and does not keep the gateway from starting.
 */
export class UserBook {
  readonly #source: UsersSource;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #changed: () => void;
  #users: Users = new Map();
  #stamp: string | null = null;
  #reloads = 0;
  #error: string | null = null;
  #looking: Promise<void> = Promise.resolve();
  #stopWatching: () => void = () => {};

  constructor(
    source: UsersSource,
    tools: { readonly clock: Clock; readonly log: Log; readonly changed: () => void },
  ) {
    this.#source = source;
    this.#clock = tools.clock;
    this.#log = tools.log;
    this.#changed = tools.changed;
  }

  async start(everyMs: number): Promise<void> {
    await this.look();
    this.#stopWatching = this.#clock.every(everyMs, () => {
      this.#looking = this.#looking.then(() => this.look());
    });
  }

  async stop(): Promise<void> {
    this.#stopWatching();
    await this.#looking;
  }

  get(name: string): User | undefined {
    return this.#users.get(name);
  }

  status(): UsersStatus {
    return { users: this.#users.size, reloads: this.#reloads, error: this.#error };
  }

  /** Looks at the file once. Never rejects. */
  async look(): Promise<void> {
    try {
      const isFirst = this.#stamp === null;
      if (!isFirst && this.#error === null && (await this.#source.stamp()) === this.#stamp) return;
      const { users, stamp, isOpen } = await this.#source.read();
      if (isOpen) this.#log.warn("users file can be read by everybody: chmod 640");
      const before = this.#stamp;
      this.#stamp = stamp;
      this.#error = null;
      if (before === stamp) return;
      this.#users = users;
      if (!isFirst) this.#reloads++;
      this.#log.info("users taken up", { users: users.size });
      this.#changed();
    } catch (error) {
      const fields = errorFields(error);
      if (this.#error !== fields["error"]) this.#log.error("users file not taken", fields);
      this.#error = String(fields["error"]);
    }
  }
}
