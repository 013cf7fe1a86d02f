import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { Random } from "../../src/base/random.ts";
import { compiledScript } from "../support/compiled-script.ts";
import { type Started, startOnEach } from "../support/damaged-store.ts";
import { seededRandom } from "../support/random.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const IS_LONG = process.env["FIELDGATE_TEST_LONG"] !== undefined;
const SAMPLE = Number(process.env["FAULTS"] ?? 3);
/** Of the writer's calls, so many make its store. */
const START_CALLS = 50;
const { ENOSPC, EIO, EROFS } = constants.errno;
const KINDS = { ENOSPC, EIO, EROFS, "a short write": 0 };
/** One process starts on so many stores, one after the other. */
const AT_ONCE = 20;
const SUPPORT = join(import.meta.dirname, "../support");
const folder = mkdtempSync(join(tmpdir(), "fieldgate-faults-"));
const library = join(folder, "disk-faults.so");

/** What a writer relies on: entries that it was told are durable, and how far its readers had passed them. */
interface Run {
  readonly durable: readonly number[];
  readonly passed: number;
  readonly status: number | null;
  readonly said: string;
}

describe(`LevelDB on a disk of which one call fails (SEED=${SEED})`, () => {
  after(() => rmSync(folder, { recursive: true, force: true }));

  it("loses nothing that was acknowledged, whichever call it is, and starts again", (t) => {
    const gcc = spawnSync("gcc", [
      "-shared",
      "-fPIC",
      "-o",
      library,
      join(SUPPORT, "disk-faults.c"),
      "-ldl",
    ]);
    if (gcc.error) return t.skip("there is no gcc");
    assert.equal(gcc.status, 0, `${gcc.stderr}`);
    const count = join(folder, "count");
    const clean = write(join(folder, "clean"), { FAULT_AT: "0", FAULT_COUNT: count });
    assert.equal(clean.status, 0, clean.said);
    const calls = Number(readFileSync(count, "utf8"));
    assert.ok(calls > 100, `${calls} calls`);

    const random = seededRandom(SEED);
    const places = Object.entries(KINDS).flatMap(([name, errno]) =>
      (IS_LONG ? everyPlace(calls) : somePlaces(calls, random)).map((at) => ({ name, errno, at })),
    );
    const wrong: string[] = [];
    let ended = 0;
    for (let from = 0; from < places.length; from += AT_ONCE) {
      const runs = places.slice(from, from + AT_ONCE).map(({ name, errno, at }) => {
        const path = join(folder, `${name.replaceAll(" ", "-")}-${at}`);
        const run = write(path, { FAULT_AT: `${at}`, FAULT_ERRNO: `${errno}` });
        return { ...run, path, where: `${name} at call ${at} of ${calls}` };
      });
      const found = startOnEach(runs.map(({ path }) => path));
      for (const [i, run] of runs.entries()) {
        if (run.status === 2) ended++;
        wrong.push(...judge(run, found[i]).map((fault) => `${run.where}: ${fault}`));
        rmSync(run.path, { recursive: true, force: true });
      }
    }
    t.diagnostic(`${calls} calls; the writer ended by itself ${ended} times, and said why`);
    assert.deepEqual(wrong, []);
  });
});

let writer: string | null = null;

function write(path: string, fault: Record<string, string>): Run {
  const env = { ...process.env, ...fault, FAULT_UNDER: path, LD_PRELOAD: library };
  writer ??= compiledScript("store-writer");
  const { stdout, stderr, status } = spawnSync(process.execPath, [writer, path], {
    env,
    encoding: "utf8",
    timeout: 120_000,
  });
  const lines = stdout.split("\n").filter((line) => line !== "");
  const told = lines.map((line) => JSON.parse(line) as { seq?: number; passed?: number });
  return {
    durable: told.flatMap(({ seq }) => seq ?? []),
    passed: Math.max(0, ...told.flatMap(({ passed }) => passed ?? [])),
    status,
    said: stderr,
  };
}

function judge({ durable, passed, status, said }: Run, started: Started | undefined): string[] {
  const wrong: string[] = [];
  if (status !== 0 && status !== 2) wrong.push(`it ended with ${status}: ${said}`);
  const { reading, starts, stderr } = started ?? { reading: null, starts: 0, stderr: "" };
  if (reading === null) return [...wrong, `${starts} starts in vain: ${stderr}`];
  if (starts > 1) wrong.push(`${starts} starts were needed: ${stderr}`);
  const found = new Set(reading.entries.map(([seq]) => seq));
  const lost = durable.filter((seq) => seq > passed && !found.has(seq));
  if (lost.length > 0) wrong.push(`lost ${lost}`);
  if (reading.missing.length > 0) wrong.push(`said that it lost ${reading.missing}`);
  if (durable.length > 0 && reading.quarantine !== null) wrong.push(`set aside: ${reading.told}`);
  return wrong;
}

function everyPlace(calls: number): number[] {
  return Array.from({ length: calls }, (_, i) => i + 1);
}

/** One of them is a call of the start, which fails in a way of its own. */
function somePlaces(calls: number, random: Random): number[] {
  const upTo = (most: number) => 1 + Math.floor(random() * most);
  return Array.from({ length: SAMPLE }, (_, i) => upTo(i === 0 ? START_CALLS : calls));
}
