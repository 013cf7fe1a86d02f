/** Wakes those who wait to look again at something that has changed. */
export class Wakeup {
  #waiting: (() => void)[] = [];

  next(): Promise<void> {
    return new Promise((wake) => this.#waiting.push(wake));
  }

  wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}
