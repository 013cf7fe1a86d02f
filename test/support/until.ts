/** Resolves when the claim holds, looked at every few ms; throws with `what` when it does not in time. */
export async function until(
  what: string,
  claim: () => boolean | Promise<boolean>,
  msMax = 60_000,
): Promise<void> {
  const deadline = performance.now() + msMax;
  while (!(await claim())) {
    if (performance.now() > deadline) throw new Error(`not within ${msMax} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
