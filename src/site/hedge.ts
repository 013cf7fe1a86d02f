import type { Clock } from "../base/clock.ts";

/**
 * The first answer of several who can give it. The next one is asked when the one before has failed, or has said nothing
 * for `hedgeMs`. Each attempt must end by itself.
 *
 * @throws what the last one threw, when all have failed
 */
export function hedged<T>(
  attempts: readonly (() => Promise<T>)[],
  hedgeMs: number,
  clock: Clock,
): Promise<{ readonly value: T; readonly winner: number }> {
  return new Promise((resolve, reject) => {
    let begun = 0;
    let failed = 0;
    let patience = new AbortController();

    const begin = () => {
      patience.abort();
      const index = begun++;
      const attempt = attempts[index];
      if (attempt === undefined) return;
      patience = new AbortController();
      if (begun < attempts.length) {
        clock.sleep(hedgeMs, patience.signal).then(begin, () => undefined);
      }
      attempt().then(
        (value) => {
          patience.abort();
          begun = attempts.length;
          resolve({ value, winner: index });
        },
        (error: unknown) => {
          failed++;
          if (failed === attempts.length) reject(error);
          else if (failed === begun) begin();
        },
      );
    };
    begin();
  });
}
