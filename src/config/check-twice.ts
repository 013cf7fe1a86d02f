import type { Finding } from "./mistake.ts";

/** A finding for each item whose key another item before it has; items without a key (null) are left alone. */
export function* checkTwice<T>(
  items: readonly T[],
  keyOf: (item: T) => string | null,
  pathOf: (index: number) => string,
  message: (first: string) => string,
): Generator<Finding> {
  const firsts = new Map<string, number>();
  for (const [index, item] of items.entries()) {
    const key = keyOf(item);
    if (key === null) continue;
    const first = firsts.get(key);
    if (first === undefined) firsts.set(key, index);
    else yield conflict(pathOf(index), message(pathOf(first)), [pathOf(first)]);
  }
}

/** A finding that two or more keys contradict each other. */
export function conflict(path: string, message: string, restsOn: readonly string[] = []): Finding {
  return { path, code: "conflict", message, restsOn };
}
