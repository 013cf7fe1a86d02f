import assert from "node:assert/strict";
import { cpSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import {
  DAMAGES,
  damagedCopy,
  filesOf,
  fillStore,
  type Started,
  startOnEach,
} from "../support/damaged-store.ts";
import { seededRandom } from "../support/random.ts";
import type { StoreReading } from "../support/store-reader.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
/** Of each file and each damage whose place is drawn; of the others one is enough. */
const TURNS = process.env["FIELDGATE_TEST_LONG"] ? 12 : 1;
const folder = mkdtempSync(join(tmpdir(), "fieldgate-rot-"));
const sound = join(folder, "sound");

describe(`a store of which a file is damaged (SEED=${SEED})`, () => {
  const random = seededRandom(SEED);
  let whole: StoreReading;

  before(async () => {
    await fillStore(sound, random);
    cpSync(sound, join(folder, "read"), { recursive: true });
    const [{ reading } = { reading: null }] = startOnEach([join(folder, "read")]);
    assert.ok(reading !== null && reading.entries.length > 100);
    assert.deepEqual([reading.missing, reading.quarantine, reading.isRepaired], [[], null, false]);
    whole = reading;
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  for (const damage of DAMAGES) {
    it(`starts, and what it reports lost is what is lost: ${damage}`, (t) => {
      const places = filesOf(sound).flatMap((file) =>
        Array.from({ length: damage === "empty" || damage === "gone" ? 1 : TURNS }, () => file),
      );
      const paths = places.map((file, i) => {
        const path = join(folder, `${damage}-${i}`);
        damagedCopy(sound, path, [file, damage], random);
        return path;
      });
      const outcomes = startOnEach(paths).map((started, i) =>
        judge(whole, started, places[i] ?? ""),
      );
      t.diagnostic(outcomes.map(({ what }) => what).join("; "));
      assert.deepEqual(
        outcomes.flatMap(({ wrong }) => wrong),
        [],
      );
      for (const path of paths) rmSync(path, { recursive: true, force: true });
    });
  }
});

/** What came of it, in words, and what is wrong with that. */
function judge(
  whole: StoreReading,
  { reading, starts, stderr }: Started,
  file: string,
): { what: string; wrong: string[] } {
  if (reading === null)
    return { what: "", wrong: [`${file}: ${starts} starts in vain: ${stderr}`] };
  const { quarantine, missing, queue, isRepaired, told } = reading;
  const found = new Map(reading.entries);
  const lost = whole.entries.map(([seq]) => seq).filter((seq) => !found.has(seq));
  const digests = new Map(whole.entries);
  const wrong: string[] = [];
  if (reading.entries.some(([seq, digest]) => digests.get(seq) !== digest))
    wrong.push("wrong payload");
  if (quarantine === null && `${lost}` !== `${missing}`)
    wrong.push(`lost ${spans(lost)}, said ${spans(missing)}`);
  if (quarantine === null && queue.read + queue.lost !== queue.waiting)
    wrong.push(`queue: ${JSON.stringify(queue)}`);
  if (quarantine !== null && !existsSync(quarantine)) wrong.push(`${quarantine} is not there`);
  if (quarantine !== null && reading.id === whole.id)
    wrong.push("the id of what was set aside goes on");
  if (isRepaired && lost.length > 0) wrong.push("repaired, and yet something is lost");
  const what = quarantine !== null ? "set aside" : isRepaired ? "repaired" : `${lost.length} lost`;
  const after = starts > 1 ? ` at start ${starts}` : "";
  return {
    what: `${file.replace("journal/", "")} ${what}${after}`,
    wrong: wrong.map((one) => `${file}: ${one}\n${told}`),
  };
}

function spans(seqs: readonly number[]): string {
  return `${seqs.length} (${seqs[0]} to ${seqs.at(-1)})`;
}
