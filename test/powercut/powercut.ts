import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Random } from "../../src/base/random.ts";
import { seededRandom } from "../support/random.ts";
import { acknowledgements, acknowledgementsByKind, booksAt } from "./books.ts";
import type { BrokerUnderTest } from "./broker-under-test.ts";
import { checkCut, type Outcome } from "./check-cut.ts";
import { CloudEnd } from "./cloud-end.ts";
import { CrashImages } from "./crash-images.ts";
import { splitAt } from "./crash-state.ts";
import { type Cut, chooseCuts } from "./cuts.ts";
import { FieldgateBroker } from "./fieldgate-broker.ts";
import { MosquittoBroker, type MosquittoMode } from "./mosquitto-broker.ts";
import { type Recording, record, type Wreck } from "./record.ts";
import { compileBlockLog } from "./recorded-disk.ts";

export interface PowercutOptions {
  readonly broker: "fieldgate" | MosquittoMode;
  readonly durability: "local" | "fast";
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

/** Two recordings, of which the second goes on from a cut of the first, then two in which LevelDB writes and merges tables early. */
const STORE_BYTES = [2 ** 31, 12 * 2 ** 20] as const;

export interface Listener {
  /** Told what happens, a line at a time. */
  said(line: string): void;
  cut(outcome: Outcome): void;
}

/** Records, cuts the power, and checks what is left. */
export async function powercut(options: PowercutOptions, listener: Listener): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "fieldgate-powercut-"));
  const cloud = await CloudEnd.start();
  try {
    const blockLog = compileBlockLog(folder);
    let from: Wreck | null = null;
    for (let done = 0, number = 0; done < options.cuts; number++) {
      const count = Math.min(options.cutsPerRecording, options.cuts - done);
      const own = join(folder, `recording-${number}`);
      mkdirSync(own);
      const random = seededRandom(options.seed + number);
      const broker = brokerOf(options, own, cloud, number);
      const mayKill = options.broker === "fieldgate";
      const recording = await record({
        ...options,
        folder: own,
        blockLog,
        broker,
        random,
        mayKill,
        from,
      });
      listener.said(summary(recording, number, broker, from !== null));
      const left = await cutAll(
        { ...options, cuts: count },
        recording,
        own,
        broker,
        random,
        listener,
      );
      // Whoever loses something by design cannot go on from it with the books that the world has.
      from = from === null && isHonest(options) ? left : null;
      if (!options.keep && from === null) {
        for (let k = 0; k <= number; k++) rmSync(join(folder, `recording-${k}`), REMOVE);
      }
      done += count;
    }
  } finally {
    await cloud.stop();
    if (options.keep) listener.said(`kept: ${folder}`);
    else rmSync(folder, REMOVE);
  }
}

const REMOVE = { recursive: true, force: true } as const;

/** Checks as many cuts as are asked for, and makes one more, from which the next recording goes on. */
async function cutAll(
  { cuts, liarCache }: PowercutOptions,
  { base, records, books, starts, end }: Recording,
  folder: string,
  broker: BrokerUnderTest,
  random: Random,
  listener: Listener,
): Promise<Wreck> {
  const first = starts[0]?.from ?? 0;
  // What is known from an earlier recording is known from position 0 on.
  const acknowledged = acknowledgementsByKind(books).map((kind) => kind.filter((at) => at > first));
  const moments = { first, last: end, starts, acknowledged };
  const images = new CrashImages(base, folder, records);
  const recording = { records, books };
  for (const cut of chooseCuts(cuts, moments, random)) {
    listener.cut(await checkCut(cut, recording, images, broker, folder, liarCache));
  }
  const last = { ...chooseCuts(1, moments, random)[0] } as Cut;
  const image = images.build(splitAt(records, last.position), last.remains, random);
  return { image, books: booksAt(books, last.position, 0) };
}

function isHonest({ broker, durability, liarCache }: PowercutOptions): boolean {
  return broker === "fieldgate" && durability !== "fast" && liarCache === 0;
}

function summary(
  { records, books, end, seconds }: Recording,
  number: number,
  broker: BrokerUnderTest,
  isContinued: boolean,
): string {
  const flushes = records.filter(({ kind }) => kind === "flush").length;
  const disk = isContinued ? "a disk after a power cut" : "an empty disk";
  return [
    `recording ${number}: ${broker.name} on ${disk}`,
    `${acknowledgements(books).length} acknowledgements in ${seconds.toFixed(1)} s`,
    `${records.length - flushes} writes`,
    `${flushes} flushes`,
    `${(end / 2 ** 20).toFixed(1)} MiB`,
  ].join(", ");
}

function brokerOf(
  { broker, durability }: PowercutOptions,
  folder: string,
  cloud: CloudEnd,
  number: number,
): BrokerUnderTest {
  if (broker !== "fieldgate") return new MosquittoBroker(folder, broker);
  const bytesMax = STORE_BYTES[Math.floor(number / 2) % STORE_BYTES.length] as number;
  return new FieldgateBroker(folder, { durability, bytesMax, cloud });
}
