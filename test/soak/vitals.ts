import { readdirSync, readFileSync } from "node:fs";

/** What a process takes of the machine now. */
export interface Vitals {
  readonly residentMiB: number;
  readonly descriptors: number;
}

/** Reads them from /proc: Linux only. */
export function vitalsOf(pid: number): Vitals {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const residentKiB = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]);
  return {
    residentMiB: residentKiB / 1024,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
  };
}

/**
 * Says what has grown from the second third to the last one: the first is for warming up. A leak grows for ever; caches,
 * pools and the engine's reserves do not.
 */
export function growth(samples: readonly Vitals[]): string[] {
  const third = Math.floor(samples.length / 3);
  if (third < 3) return [];
  const medians = (part: readonly Vitals[]) => ({
    residentMiB: median(part.map(({ residentMiB }) => residentMiB)),
    descriptors: median(part.map(({ descriptors }) => descriptors)),
  });
  const before = medians(samples.slice(third, 2 * third));
  const after = medians(samples.slice(2 * third));
  return [
    ...(after.residentMiB > before.residentMiB * 1.1 + 5
      ? [`resident memory grows: ${before.residentMiB} to ${after.residentMiB} MiB`]
      : []),
    ...(after.descriptors > before.descriptors + 10
      ? [`descriptors grow: ${before.descriptors} to ${after.descriptors}`]
      : []),
  ];
}

function median(values: readonly number[]): number {
  return [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0;
}
