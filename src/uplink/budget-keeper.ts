import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { type BudgetRow, DailyBudget } from "./daily-budget.ts";
import type { SourceRows } from "./source.ts";

const KEY = "budget";

/** Keeps a daily budget on the journal's disk, so that a restart does not grant it twice. */
export class BudgetKeeper {
  readonly budget: DailyBudget;
  readonly #rows: SourceRows;
  readonly #log: Log;
  #writing: Promise<void> | null = null;

  private constructor(budget: DailyBudget, rows: SourceRows, log: Log) {
    this.budget = budget;
    this.#rows = rows;
    this.#log = log;
  }

  /** With what the disk knows of the day. */
  static async open(bytesMax: number, rows: SourceRows, log: Log): Promise<BudgetKeeper> {
    const row = await rows.get(KEY);
    const kept = row === undefined ? null : (JSON.parse(Buffer.from(row).toString()) as BudgetRow);
    return new BudgetKeeper(new DailyBudget(bytesMax, kept), rows, log);
  }

  /** Reserves a part, if one is needed, and calls `done` when the disk has it. One at a time. */
  reserve(done: () => void): void {
    if (this.#writing !== null || !this.budget.wantsReservation) return;
    const row = this.budget.reservation();
    this.#writing = this.#write(row)
      .then(() => {
        this.budget.reserved(row);
        done();
      })
      .catch((error) => this.#log.warn("the daily budget is not on disk", errorFields(error)))
      .finally(() => {
        this.#writing = null;
      });
  }

  /** Writes what was really spent, so that a restart loses nothing of the budget. */
  async stop(): Promise<void> {
    await this.#writing;
    if (this.budget.day === "") return;
    await this.#write(this.budget.row).catch((error) =>
      this.#log.warn("the daily budget is not on disk", errorFields(error)),
    );
  }

  async #write(row: BudgetRow): Promise<void> {
    await this.#rows.put(KEY, Buffer.from(JSON.stringify(row)));
  }
}
