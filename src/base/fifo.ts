/** First in, first out, in a ring that grows: taking from the front costs the same however long it is. */
export class Fifo<T> {
  #slots: (T | undefined)[] = [];
  #first = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(item: T): void {
    if (this.#length === this.#slots.length) this.#grow();
    this.#slots[(this.#first + this.#length) & (this.#slots.length - 1)] = item;
    this.#length++;
  }

  peek(): T | undefined {
    return this.#length === 0 ? undefined : this.#slots[this.#first];
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#slots[this.#first];
    this.#slots[this.#first] = undefined;
    this.#first = (this.#first + 1) & (this.#slots.length - 1);
    this.#length--;
    return item;
  }

  /** Puts something else in the place of each of the first so many. */
  replace(count: number, other: (item: T) => T): void {
    for (let i = 0; i < Math.min(count, this.#length); i++) {
      const at = (this.#first + i) & (this.#slots.length - 1);
      this.#slots[at] = other(this.#slots[at] as T);
    }
  }

  #grow(): void {
    const slots: (T | undefined)[] = new Array(Math.max(SLOTS_MIN, this.#slots.length * 2));
    for (let i = 0; i < this.#length; i++) {
      slots[i] = this.#slots[(this.#first + i) & (this.#slots.length - 1)];
    }
    this.#slots = slots;
    this.#first = 0;
  }
}

/** Nothing is taken before there is something to hold: most queues of most connections stay empty. */
const SLOTS_MIN = 16;
