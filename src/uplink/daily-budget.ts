/** What is on disk of the budget: the day, and up to how many bytes may have been spent on it. */
export interface BudgetRow {
  readonly day: string;
  readonly bytes: number;
}

/**
 * Bytes that may be sent on one day, for links that are paid by volume.
 *
 *   spent ≤ reserved on disk
 *
 * A part of the budget is reserved on disk before any of it is spent. So a crash never makes it spend more than the
 * budget; it loses at most what was reserved and not spent. A day counts from when it begins by the clock on the wall; a
 * clock that goes back begins no new day.
 */
export class DailyBudget {
  readonly bytesMax: number;
  readonly #chunkBytes: number;
  #day: string;
  #spent: number;
  #reserved: number;

  /** @param kept what the disk has of it; null when nothing */
  constructor(bytesMax: number, kept: BudgetRow | null) {
    this.bytesMax = bytesMax;
    this.#chunkBytes = Math.max(CHUNK_BYTES_MIN, Math.floor(bytesMax / CHUNKS));
    this.#day = kept?.day ?? "";
    this.#spent = kept?.bytes ?? 0;
    this.#reserved = this.#spent;
  }

  get day(): string {
    return this.#day;
  }
  get spentBytes(): number {
    return this.#spent;
  }
  /** What the disk should say when nothing more is sent. */
  get row(): BudgetRow {
    return { day: this.#day, bytes: this.#spent };
  }

  /** Whether something may be sent: the budget is not used up, and a part of it is reserved. */
  verdict(day: string): "may" | "must reserve" | "used up" {
    this.#turn(day);
    if (this.#spent >= this.bytesMax) return "used up";
    return this.#spent < this.#reserved ? "may" : "must reserve";
  }

  /** Half of what was reserved is spent: time to reserve more, before anybody waits for it. */
  get wantsReservation(): boolean {
    if (this.#day === "" || this.#spent >= this.bytesMax) return false;
    return this.#spent + this.#chunkBytes / 2 >= this.#reserved;
  }

  /** What to write to the disk before more is spent; `reserved` follows once it is there. */
  reservation(): BudgetRow {
    return { day: this.#day, bytes: this.#spent + this.#chunkBytes };
  }

  /** The disk has it. Ignored when the day has changed meanwhile. */
  reserved(row: BudgetRow): void {
    if (row.day === this.#day) this.#reserved = Math.max(this.#reserved, row.bytes);
  }

  spend(bytes: number, day: string): void {
    this.#turn(day);
    this.#spent += bytes;
  }

  #turn(day: string): void {
    if (day <= this.#day) return;
    this.#day = day;
    this.#spent = 0;
    this.#reserved = 0;
  }
}

const CHUNKS = 64;
const CHUNK_BYTES_MIN = 16 * 1024;
