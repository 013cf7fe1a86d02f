import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { collectGarbage } from "./collect-garbage.ts";

const MIB = 2 ** 20;

interface Memory {
  readonly heap: number;
  readonly buffers: number;
  readonly resident: number;
  readonly descriptors: number;
}

/** What this process holds once garbage is collected. */
export async function memory(): Promise<Memory> {
  await collectGarbage();
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  const descriptors = readdirSync("/proc/self/fd").length;
  return { heap: heapUsed, buffers: arrayBuffers, resident: rss, descriptors };
}

/** Within ten percent, and what the journal in memory keeps until it trims. */
export function checkAsBefore(before: Memory, after: Memory, seed = ""): void {
  const said = `${seed} ${JSON.stringify({ before, after })}`;
  assert.ok(after.heap < before.heap * 1.1 + MIB, `heap: ${said}`);
  assert.ok(after.resident < before.resident * 1.1 + 10 * MIB, `resident: ${said}`);
  assert.ok(after.buffers < before.buffers * 1.1 + 2 * MIB, `buffers: ${said}`);
  assert.ok(after.descriptors <= before.descriptors * 1.1, `descriptors: ${said}`);
}
