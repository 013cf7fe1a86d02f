/** What bounds the memory of the process from outside, in bytes. */
export interface MemoryBounds {
  /** What the control group may have (MemoryHigh= or MemoryMax= of a unit); more than any machine has where there is no bound. */
  readonly constrained: number | undefined;
  /** What V8 takes for JavaScript's objects before it ends the process. */
  readonly heapLimit: number;
}

/** Of the control group's memory: beyond it the kernel slows the process down, or ends it. */
const SHARE_OF_GROUP = 0.85;

/**
 * Where a gateway counts as short of memory, in bytes of resident memory: where the configuration says, but before somebody else ends the
 * process. Objects are only a part of what is resident, so that as much resident as V8 allows for them leaves V8 some room. 0 stays 0: not
 * looked at.
 */
export function memoryMark(wantedBytes: number, { constrained, heapLimit }: MemoryBounds): number {
  if (wantedBytes === 0) return 0;
  const ofGroup = constrained ? constrained * SHARE_OF_GROUP : Number.POSITIVE_INFINITY;
  return Math.floor(Math.min(wantedBytes, ofGroup, heapLimit));
}
