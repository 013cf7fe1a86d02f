import type { Change } from "./store.ts";

/** What one commit writes, and what is told to whom once it is written. */
export class Batch {
  readonly changes: Change[] = [];
  /** Called in order when the batch is durable. */
  readonly settled: (() => void)[] = [];
  bytes = 0;

  put(key: Buffer, value: Buffer): void {
    this.changes.push({ key, value });
    this.bytes += key.length + value.length;
  }

  del(key: Buffer): void {
    this.changes.push({ key, value: null });
    this.bytes += key.length;
  }
}

/** Someone with something to write: asked at the moment of the commit, never in the middle of a turn. */
export interface Contributor {
  contribute(batch: Batch): void;
}
