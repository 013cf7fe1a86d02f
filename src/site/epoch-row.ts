import { FieldgateError } from "../base/errors.ts";
import { isEpoch } from "./records.ts";

/** The little of the gateway's store that the site needs. A write resolves when it is durable. */
export interface EpochRows {
  get(key: string): Promise<Uint8Array | undefined>;
  put(key: string, value: Uint8Array): Promise<void>;
}

const KEY = "epoch";

/**
 * The highest epoch that this gateway has seen, from its disk; 0 when it has seen none.
 * @throws FieldgateError ERR_STORE_FORMAT when the row is not an epoch
 */
export async function readEpoch(rows: EpochRows): Promise<number> {
  const row = await rows.get(KEY);
  if (row === undefined) return 0;
  const text = new TextDecoder().decode(row);
  const epoch = Number(text);
  if (isEpoch(epoch) && text === String(epoch)) return epoch;
  throw new FieldgateError("ERR_STORE_FORMAT", "the row of the site's epoch is damaged", {
    details: { row: text.slice(0, 40) },
  });
}

export async function writeEpoch(rows: EpochRows, epoch: number): Promise<void> {
  await rows.put(KEY, new TextEncoder().encode(String(epoch)));
}
