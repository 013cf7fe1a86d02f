import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Random } from "../../src/base/random.ts";
import { until } from "../support/until.ts";
import type { BlockRecord } from "./block-log.ts";
import type { Books } from "./books.ts";
import type { BrokerUnderTest } from "./broker-under-test.ts";
import { copySparse, makeExt4 } from "./disk-tools.ts";
import { emptyBooks, Load, PUBLISHERS } from "./load.ts";
import { RecordedDisk } from "./recorded-disk.ts";

/** The store's path below the top of the disk: the broker makes the directories, and has to make them last. */
export const STORE = "var/lib/broker";

export interface RecordingOptions {
  /** An empty folder. */
  readonly folder: string;
  readonly blockLog: string;
  readonly broker: BrokerUnderTest;
  readonly random: Random;
  readonly diskBytes: number;
  /** What an earlier cut has left, to begin with, instead of an empty disk. */
  readonly from: Wreck | null;
  /** Starts of the broker; each but the last is ended under load. */
  readonly rounds: number;
  /** Messages of each publisher in each round. */
  readonly messages: number;
  /** Whether the broker may be ended with SIGKILL; otherwise always with SIGTERM. */
  readonly mayKill: boolean;
}

/** What a power cut has left of a broker, and what the world knows of it. */
export interface Wreck {
  readonly image: string;
  readonly books: Books;
}

/** A broker's life on a disk, with all that the disk and the world saw. */
export interface Recording {
  /** The file system before the first record. */
  readonly base: string;
  readonly records: readonly BlockRecord[];
  readonly books: Books;
  /** For each start of the broker: the positions before it and when it was ready. */
  readonly starts: readonly { readonly from: number; readonly to: number }[];
  /** The position of the end. */
  readonly end: number;
  readonly seconds: number;
}

/** Runs the broker under load on a recorded disk, and ends it and starts it again in the midst of it. */
export async function record(options: RecordingOptions): Promise<Recording> {
  const { folder, broker } = options;
  const base = join(folder, "base.img");
  mkdirSync(folder, { recursive: true });
  if (options.from === null) makeExt4(base, options.diskBytes);
  else copySparse(options.from.image, base);
  const disk = await RecordedDisk.start(options.blockLog, base, folder);
  try {
    return { base, ...(await live(disk, options)) };
  } catch (error) {
    await broker.kill();
    disk.abandon();
    throw error;
  }
}

async function live(
  disk: RecordedDisk,
  options: RecordingOptions,
): Promise<Omit<Recording, "base">> {
  const { broker, random, rounds, messages } = options;
  const { position } = disk;
  const began = performance.now();
  const books = options.from?.books ?? emptyBooks();
  const load = new Load(books, position, random);
  if (broker.cloud) {
    broker.cloud.arrivals = books.cloud;
    broker.cloud.position = position;
  }
  const starts: { from: number; to: number }[] = [];
  for (let number = 1; number <= rounds; number++) {
    const from = position();
    if (broker.cloud) broker.cloud.away = random() < 0.3;
    const port = await broker.start(join(disk.path, STORE));
    starts.push({ from, to: position() });
    const goal = load.published + PUBLISHERS * messages * (0.2 + 0.7 * random());
    const round = load.round(port, number, messages);
    if (number < rounds) {
      await until("the load goes on", () => load.published >= goal, 60_000);
      await (options.mayKill && random() < 0.7 ? broker.kill() : broker.terminate());
    }
    const isThrough = await round;
    if (number === rounds && !isThrough) throw new Error("the broker ended under load by itself");
  }
  const end = position();
  await broker.kill();
  await load.ended();
  const records = await disk.stop();
  const seconds = (performance.now() - began) / 1000;
  return { records, books, starts, end, seconds };
}
