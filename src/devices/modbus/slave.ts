import type { SlaveConfig } from "../../config/schema.ts";
import type { SlaveStatus } from "../device.ts";
import type { Mapper } from "../mapping.ts";
import { ChangeFilter } from "./change.ts";
import type { ExchangeRefusal } from "./master.ts";
import { exceptionText } from "./pdu.ts";
import type { PlannedRead } from "./plan.ts";

const REFUSING_MAX = 8;

/** What is known of a slave, and what it has said. requests = answers + exceptions + the sum of failures + one on the wire. */
export class Slave {
  readonly config: SlaveConfig;
  readonly map: Mapper;
  readonly filter: ChangeFilter;
  requests = 0;
  #answers = 0;
  #exceptions = 0;
  #lastHeardMs: number | null = null;
  readonly #failures = new Map<string, number>();
  /** What the slave refuses now, by the read. */
  readonly #refusing = new Map<PlannedRead, number>();

  constructor(config: SlaveConfig, map: Mapper) {
    this.config = config;
    this.map = map;
    this.filter = new ChangeFilter(config);
  }

  heard(wallMs: number): void {
    this.#lastHeardMs = wallMs;
  }

  answered(read: PlannedRead): void {
    this.#answers += 1;
    this.#refusing.delete(read);
  }

  refused(read: PlannedRead, code: number): void {
    this.#exceptions += 1;
    this.#refusing.set(read, code);
  }

  failed(reason: ExchangeRefusal): void {
    this.#failures.set(reason, (this.#failures.get(reason) ?? 0) + 1);
  }

  status(online: boolean): SlaveStatus {
    const refusing = [...this.#refusing].slice(0, REFUSING_MAX);
    return {
      name: this.config.name,
      unit: this.config.unit,
      online: online && this.#lastHeardMs !== null,
      lastHeardMs: this.#lastHeardMs,
      requests: this.requests,
      answers: this.#answers,
      exceptions: this.#exceptions,
      failures: Object.fromEntries(this.#failures),
      unchanged: this.filter.unchanged,
      refusing: refusing.map(([{ table, start, count }, code]) => {
        return { table, start, count, code, text: exceptionText(code) };
      }),
    };
  }
}
