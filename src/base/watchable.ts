/** A value that changes, and who follows it. The holder sets it; everyone else gets a Watchable. */
export interface Watchable<T> {
  get(): T;
  /** Calls `follower` on each change, not now, until the returned function is called. */
  follow(follower: (value: T) => void): () => void;
}

/** A Watchable with its one owner's end. Setting an identical value tells nobody. */
export class Watched<T> implements Watchable<T> {
  #value: T;
  readonly #followers = new Set<(value: T) => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get(): T {
    return this.#value;
  }

  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const follower of [...this.#followers]) follower(value);
  }

  follow(follower: (value: T) => void): () => void {
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }
}
