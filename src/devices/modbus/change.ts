import type { SlaveConfig } from "../../config/schema.ts";
import type { Reading, Value } from "../decode/reading.ts";

/** Lets those readings of a slave through that its configuration wants published. */
export class ChangeFilter {
  readonly #rules: ReadonlyMap<string, SlaveConfig["fields"][number]>;
  readonly #last = new Map<string, Value>();
  /** Readings that were held back. */
  unchanged = 0;

  constructor(slave: SlaveConfig) {
    this.#rules = new Map(slave.fields.map((field) => [field.field, field]));
  }

  /** Those that are to be published; what they say counts as said. */
  pass(readings: readonly Reading[]): Reading[] {
    const passed = readings.filter((reading) => this.#passes(reading));
    for (const { field, value } of passed) this.#last.set(field, value);
    this.unchanged += readings.length - passed.length;
    return passed;
  }

  /** What was said was not kept, or nobody knows what happened since: all is published again. */
  forget(): void {
    this.#last.clear();
  }

  #passes({ field, value }: Reading): boolean {
    const rule = this.#rules.get(field);
    if (rule?.publish !== "change" || !this.#last.has(field)) return true;
    const last = this.#last.get(field);
    if (typeof value === "number" && typeof last === "number") {
      return Math.abs(value - last) > (rule.deadBand ?? 0);
    }
    return value !== last;
  }
}
