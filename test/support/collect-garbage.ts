import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

/** Collects now what nobody holds, so that a difference in memory is a leak. */
export async function collectGarbage(): Promise<void> {
  for (let round = 0; round < 3; round++) {
    collect();
    // Closed sockets and buffers are let go of in the turns that follow.
    await new Promise((resolve) => setImmediate(resolve));
  }
}
