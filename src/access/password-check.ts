import { createHmac, randomBytes } from "node:crypto";
import { COST, isPassword, type PasswordHash } from "./phc.ts";
import type { User } from "./users-text.ts";

/** Passwords known to be right that are remembered. */
const KNOWN_MAX = 2000;

/** For users that do not exist: they must not be told apart by the time it takes. */
const NOBODY: PasswordHash = { ...COST, salt: randomBytes(16), hash: randomBytes(32) };

/**
 * Checks passwords one after the other: scrypt is made to be slow, and the threads on which it runs are those of the disk. A
 * password that was right is remembered, as a keyed hash that means nothing outside this process, so that a thousand
 * clients that come back after a power cut need no minute of hashing.
 */
export class PasswordCheck {
  readonly #checksMax: number;
  readonly #key = randomBytes(32);
  readonly #known = new Set<string>();
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  /** Grows when those who wait are sent away. */
  #round = 0;

  constructor(checksMax: number) {
    this.#checksMax = checksMax;
  }

  /** Whether that is the user's password; null when too many wait already. A user who is not there has none. */
  async isRight(user: User | undefined, password: Buffer): Promise<boolean | null> {
    const mark = createHmac("sha256", this.#key)
      .update(JSON.stringify([user?.name, user?.secret]))
      .update(password)
      .digest("base64");
    if (user !== undefined && this.#known.has(mark)) return true;
    if (this.#waiting >= this.#checksMax) return null;
    this.#waiting++;
    const round = this.#round;
    const checked = this.#last.then(() =>
      round === this.#round ? isPassword(password, user?.password ?? NOBODY) : false,
    );
    this.#last = checked.catch(() => {});
    try {
      const isRight = (await checked) && user !== undefined && user.password !== null;
      if (isRight) this.#remember(mark);
      return isRight;
    } finally {
      this.#waiting--;
    }
  }

  /** Those who wait are not checked any more: nobody's password is right. */
  stop(): void {
    this.#round++;
  }

  #remember(mark: string): void {
    if (this.#known.size >= KNOWN_MAX) this.#known.clear();
    this.#known.add(mark);
  }
}
