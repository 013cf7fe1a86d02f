import { join } from "node:path";
import { seededRandom } from "../support/random.ts";
import { until } from "../support/until.ts";
import { acknowledgements, type Books, booksAt } from "./books.ts";
import type { BrokerUnderTest } from "./broker-under-test.ts";
import type { CrashImages } from "./crash-images.ts";
import { type Split, splitAt, splitOfLiarAt } from "./crash-state.ts";
import type { Cut } from "./cuts.ts";
import { Mount, repairExt4 } from "./disk-tools.ts";
import { type Recording, STORE } from "./record.ts";
import { recover, WAIT_MS_MAX } from "./recovery.ts";
import { judge, type Verdict } from "./verdict.ts";

/** What became of one cut. */
export interface Outcome {
  readonly cut: Cut;
  /** The file system could not be mounted, or e2fsck had to mend it. */
  readonly fileSystem: "sound" | "repaired" | "beyond repair";
  /** Why the broker did not start, or did not serve; null when it did. */
  readonly failure: string | null;
  /** From the start of the process until it was ready. */
  readonly startMs: number;
  /** What the broker reported itself. */
  readonly reports: readonly string[];
  /** What does not fit between its own count and the world's. */
  readonly imbalance: string | null;
  readonly verdict: Verdict | null;
}

/** A disk that keeps up to so many records of its cache although it was told to flush; 0 for an honest one. */
export type LiarCache = number;

/** Rebuilds the disk as the cut left it, starts the broker on it, and compares what it has with the books. */
export async function checkCut(
  cut: Cut,
  recording: Pick<Recording, "records" | "books">,
  images: CrashImages,
  broker: BrokerUnderTest,
  folder: string,
  liarCache: LiarCache,
): Promise<Outcome> {
  const random = seededRandom(cut.seed);
  const split: Split =
    liarCache === 0
      ? splitAt(recording.records, cut.position)
      : splitOfLiarAt(recording.records, cut.position, liarCache, random);
  const image = images.build(split, cut.remains, random);
  let fileSystem: Outcome["fileSystem"] = "sound";
  try {
    // A disk that keeps its promises leaves ext4 with nothing to repair but its journal, which mounting replays.
    if (liarCache > 0 && repairExt4(image)) fileSystem = "repaired";
  } catch {
    fileSystem = "beyond repair";
  }
  if (fileSystem === "beyond repair") return outcome(cut, fileSystem, "no file system", 0);
  const mount = Mount.of(image, join(folder, "crashed"));
  try {
    // Where a subscription may be lost, its messages are waited for in vain, and not for long.
    const waitMsMax = liarCache === 0 ? WAIT_MS_MAX : LIAR_WAIT_MS_MAX;
    const store = join(mount.path, STORE);
    return await startAndJudge(cut, recording.books, broker, store, fileSystem, waitMsMax);
  } finally {
    await broker.kill();
    await until("unmounted", () => tries(() => mount.unmount()));
  }
}

async function startAndJudge(
  cut: Cut,
  books: Books,
  broker: BrokerUnderTest,
  store: string,
  fileSystem: Outcome["fileSystem"],
  waitMsMax: number,
): Promise<Outcome> {
  const before = booksAt(books, cut.position);
  const after = booksAt(books, cut.position);
  const acknowledged = acknowledgements(before).length;
  if (broker.cloud) {
    broker.cloud.away = false;
    broker.cloud.arrivals = after.cloud;
    broker.cloud.position = () => AFTER;
  }
  const began = performance.now();
  let startMs = 0;
  try {
    const port = await broker.start(store);
    startMs = performance.now() - began;
    const found = await recover(after, broker, port, () => AFTER, waitMsMax);
    const identities = new Set(after.cloud.map(({ identity }) => identity)).size;
    const imbalance = await broker.imbalance(identities);
    const verdict = judge(before, after, found, acknowledged);
    const reports = broker.reports();
    return { cut, fileSystem, failure: null, startMs, reports, imbalance, verdict };
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error);
    return outcome(cut, fileSystem, failure, startMs, broker.reports());
  }
}

const LIAR_WAIT_MS_MAX = 3000;

/** The position of everything after the cut: later than all that was recorded. */
const AFTER = Number.MAX_SAFE_INTEGER;

function outcome(
  cut: Cut,
  fileSystem: Outcome["fileSystem"],
  failure: string,
  startMs: number,
  reports: readonly string[] = [],
): Outcome {
  return { cut, fileSystem, failure, startMs, reports, imbalance: null, verdict: null };
}

function tries(work: () => void): boolean {
  try {
    work();
    return true;
  } catch {
    return false;
  }
}
