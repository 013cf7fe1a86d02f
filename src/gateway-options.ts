import { getHeapStatistics } from "node:v8";
import type { Clock } from "./base/clock.ts";
import type { Log } from "./base/log.ts";
import type { BrokerOptions } from "./broker/broker-options.ts";
import type { Config } from "./config/schema.ts";
import { FlashWear } from "./health/flash-wear.ts";
import { memoryMark } from "./health/memory-mark.ts";
import type { LevelJournalOptions } from "./journal/level-journal.ts";
import type { StoreJournal } from "./journal/store-journal.ts";
import { cursorName, LANES, type LaneName } from "./uplink/rules.ts";

/** The configuration, as the journal's options. */
export function journalOptions({ store, uplink }: Config): LevelJournalOptions {
  const lanes = (Object.keys(LANES) as LaneName[]).map((name) => [
    LANES[name],
    { whenFull: uplink?.lanes[name].whenFull ?? "reject-new", cursor: cursorName(name) },
  ]);
  const {
    retryFirstMs: firstMs,
    retryMaxMs: maxMs,
    pendingBytesMax,
    enduranceBytes: _,
    ...options
  } = store;
  const retry = { firstMs, maxMs };
  return {
    ...options,
    pendingBytesMax: 2 * pendingBytesMax,
    retry,
    lanes: Object.fromEntries(lanes),
  };
}

/** What the journal costs the card, counted from the store's folder. */
export function flashWear(
  { store }: Config,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
  journal: StoreJournal,
): FlashWear {
  const options = { path: store.path, enduranceBytes: store.enduranceBytes ?? null };
  const counted = () => ({
    messages: journal.counters.entries,
    messageBytes: journal.counters.entryBytes,
  });
  return new FlashWear(options, {
    clock,
    log: log.part("health"),
    rows: journal.rows("health"),
    counted,
  });
}

/** The configuration, as the broker's options. */
export function brokerOptions(config: Config): BrokerOptions {
  const { mqtt, store, listeners } = config;
  const overloadMemoryBytes = memoryMark(mqtt.overloadMemoryBytes, {
    constrained: process.constrainedMemory(),
    heapLimit: getHeapStatistics().heap_size_limit,
  });
  return { ...mqtt, overloadMemoryBytes, listeners, pendingBytesMax: store.pendingBytesMax };
}
