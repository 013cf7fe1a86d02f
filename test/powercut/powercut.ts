import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seededRandom } from "../support/random.ts";
import { acknowledgements } from "./books.ts";
import type { BrokerUnderTest } from "./broker-under-test.ts";
import { checkCut, type Outcome } from "./check-cut.ts";
import { CloudEnd } from "./cloud-end.ts";
import { CrashImages } from "./crash-images.ts";
import { chooseCuts } from "./cuts.ts";
import { FieldgateBroker } from "./fieldgate-broker.ts";
import { MosquittoBroker, type MosquittoMode } from "./mosquitto-broker.ts";
import { record } from "./record.ts";
import { compileBlockLog } from "./recorded-disk.ts";

export interface PowercutOptions {
  readonly broker: "fieldgate" | MosquittoMode;
  readonly durability: "safe" | "local" | "fast";
  readonly cuts: number;
  /** Cuts in one recording; then the next one begins, on a new disk. */
  readonly cutsPerRecording: number;
  readonly seed: number;
  readonly diskBytes: number;
  readonly rounds: number;
  readonly messages: number;
  /** Records that the disk keeps in its cache although it was told to flush; 0: an honest disk. */
  readonly liarCache: number;
  /** Leaves images and logs where they are. */
  readonly keep: boolean;
}

export const DEFAULTS: Omit<PowercutOptions, "seed"> = {
  broker: "fieldgate",
  durability: "local",
  cuts: 30,
  cutsPerRecording: 25,
  diskBytes: 64 * 2 ** 20,
  rounds: 3,
  messages: 120,
  liarCache: 0,
  keep: false,
};

/** Every other recording has a store so small that LevelDB writes and merges tables within it. */
const STORE_BYTES = [2 ** 31, 12 * 2 ** 20] as const;

/** Records, cuts and checks. `said` is told what happens, a line at a time, and `each` the outcome of each cut. */
export async function powercut(
  options: PowercutOptions,
  said: (line: string) => void,
  each: (outcome: Outcome) => void,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "fieldgate-powercut-"));
  const cloud = await CloudEnd.start();
  try {
    const blockLog = compileBlockLog(folder);
    for (let done = 0, number = 0; done < options.cuts; number++) {
      const count = Math.min(options.cutsPerRecording, options.cuts - done);
      const within = join(folder, `recording-${number}`);
      mkdirSync(within);
      const broker = brokerOf(options, within, cloud, number);
      await cutOneRecording(
        { ...options, cuts: count },
        number,
        within,
        blockLog,
        broker,
        said,
        each,
      );
      if (!options.keep) rmSync(within, { recursive: true });
      done += count;
    }
  } finally {
    await cloud.stop();
    if (options.keep) said(`kept: ${folder}`);
    else rmSync(folder, { recursive: true, force: true });
  }
}

async function cutOneRecording(
  options: PowercutOptions,
  number: number,
  folder: string,
  blockLog: string,
  broker: BrokerUnderTest,
  said: (line: string) => void,
  each: (outcome: Outcome) => void,
): Promise<void> {
  const random = seededRandom(options.seed + number);
  const mayKill = options.broker === "fieldgate";
  const recording = await record({ ...options, folder, blockLog, broker, random, mayKill });
  const { records, books, starts, end, base } = recording;
  const acknowledged = acknowledgements(books);
  const flushes = records.filter(({ kind }) => kind === "flush").length;
  said(
    `recording ${number}: ${broker.name}, ${acknowledged.length} acknowledgements in ${recording.seconds.toFixed(1)} s, ` +
      `${records.length - flushes} writes, ${flushes} flushes, ${(end / 2 ** 20).toFixed(1)} MiB`,
  );
  const first = starts[0]?.from ?? 0;
  const cuts = chooseCuts(options.cuts, { first, last: end, starts, acknowledged }, random);
  const images = new CrashImages(base, folder, records);
  for (const cut of cuts) {
    each(await checkCut(cut, recording, images, broker, folder, options.liarCache));
  }
}

function brokerOf(
  { broker, durability }: PowercutOptions,
  folder: string,
  cloud: CloudEnd,
  number: number,
): BrokerUnderTest {
  if (broker !== "fieldgate") return new MosquittoBroker(folder, broker);
  const bytesMax = STORE_BYTES[number % STORE_BYTES.length] as number;
  return new FieldgateBroker(folder, { durability, bytesMax, cloud });
}
