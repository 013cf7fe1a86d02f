import { Worker } from "node:worker_threads";
import type { Systeminformation } from "systeminformation";
import type { Clock } from "../base/clock.ts";
import { givingWay } from "../base/giving-way.ts";

/** What systeminformation is asked for, in this order. */
const ASKED = ["mem", "cpuTemperature", "fsSize", "networkStats"] as const;

export type HostAnswers = readonly [
  Systeminformation.MemData,
  Systeminformation.CpuTemperatureData,
  readonly Systeminformation.FsSizeData[],
  readonly Systeminformation.NetworkStatsData[],
];

const HEAP_MIB_MAX = 32;
/** Programs that are asked may hang. */
const ANSWER_MS_MAX = 30_000;

/** What the thread does. As text, because the program is one script; in dist/ the package lies beside it, else where Node finds it. */
const WORK = `${givingWay("PRIORITY_LOW")}
  const { createRequire } = require("node:module");
  const { parentPort, workerData: { place, asked } } = require("node:worker_threads");
  const load = createRequire(place);
  let information;
  try {
    information = load("./packages/systeminformation.cjs");
  } catch (error) {
    if (error.code !== "MODULE_NOT_FOUND") throw error;
    information = load("systeminformation");
  }
  Promise.all(asked.map((name) => information[name]())).then((answers) => parentPort.postMessage(answers));
`;

/**
 * Asks systeminformation on a thread that ends with the answer. The package starts a dozen programs for one sample and waits for half of
 * them, with all that its thread has to do: hundreds of milliseconds on a small machine, seconds on a busy one. Kept, the thread would
 * cost 12 MiB. Rejects when there is no answer, or the signal says to end.
 */
export async function askHost(clock: Clock, signal: AbortSignal): Promise<HostAnswers> {
  const resourceLimits = { maxOldGenerationSizeMb: HEAP_MIB_MAX, maxYoungGenerationSizeMb: 2 };
  const workerData = { place: import.meta.url, asked: ASKED };
  const options = { eval: true, name: "host", execArgv: [], resourceLimits, workerData };
  const worker = new Worker(WORK, options);
  const over = new AbortController();
  try {
    return await new Promise<HostAnswers>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
      worker.once("exit", () => reject(new Error("the thread ended without an answer")));
      const late = () => reject(new Error(`no answer within ${ANSWER_MS_MAX} ms`));
      clock.sleep(ANSWER_MS_MAX, over.signal).then(late, () => undefined);
      signal.addEventListener("abort", () => reject(signal.reason), { signal: over.signal });
    });
  } finally {
    over.abort();
    await worker.terminate();
  }
}
