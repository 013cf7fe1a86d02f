import assert from "node:assert/strict";
import type { Commands } from "../../src/devices/commands.ts";

/** Compares the named counters of a device's commands, and that all of them balance. */
export function check(
  { commands }: { readonly commands: Commands },
  expected: Partial<ReturnType<Commands["counters"]>>,
): void {
  const counters = commands.counters();
  const keys = Object.keys(expected) as (keyof typeof counters)[];
  assert.deepEqual(Object.fromEntries(keys.map((key) => [key, counters[key]])), expected);
  const ends = [...Object.values(counters.refused), ...Object.values(counters.timeout)];
  const sum = ends.reduce((total, count) => total + count, counters.success + counters.waiting);
  assert.equal(counters.received, sum, JSON.stringify(counters));
}
