import { type Log, type LogFields, silentLog } from "../../src/base/log.ts";

/** What a journal says in its log, kept for whoever compares it with what really happened. */
export class Told {
  readonly lines: {
    readonly level: string;
    readonly message: string;
    readonly fields: LogFields;
  }[] = [];
  readonly log: Log;

  constructor() {
    const at =
      (level: string) =>
      (message: string, fields: LogFields = {}) =>
        void this.lines.push({ level, message, fields });
    const log: Log = {
      ...silentLog,
      info: at("info"),
      warn: at("warn"),
      error: at("error"),
      part: () => log,
    };
    this.log = log;
  }

  /** Seqs that it said are missing. */
  missing(): number[] {
    const seqs: number[] = [];
    for (const { fields } of this.lines) {
      const { afterSeq, entries } = fields as { afterSeq?: number; entries?: number };
      if (afterSeq === undefined || entries === undefined) continue;
      for (let seq = afterSeq + 1; seq <= afterSeq + entries; seq++) seqs.push(seq);
    }
    return seqs;
  }

  text(): string {
    return this.lines
      .map(({ level, message, fields }) => `${level} ${message} ${JSON.stringify(fields)}`)
      .join("\n");
  }
}
