import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { levelJournal } from "../../src/journal/level-journal.ts";
import { message, NOW } from "../support/journal-samples.ts";
import { seededRandom } from "../support/random.ts";

const LIVES = 5;
const MESSAGES = 1000;
const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 32));

describe(`the identity of a message (SEED=${SEED})`, () => {
  const random = seededRandom(SEED);
  for (const end of ["stopped", "killed"] as const) {
    it(`is not used again by lives that all begin at what a forgetful disk has of a ${end} one`, async () => {
      const folder = mkdtempSync(join(tmpdir(), "fieldgate-identity-"));
      try {
        const remembered = join(folder, "remembered");
        const seen = new Set(await live(remembered, end, random));
        for (let life = 1; life <= LIVES; life++) {
          const path = join(folder, `life-${life}`);
          cpSync(remembered, path, { recursive: true });
          for (const identity of await live(path, end, random)) seen.add(identity);
        }
        assert.equal(seen.size, (1 + LIVES) * MESSAGES);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  }
});

/** The identities that a life of the journal at `path` gives out. */
async function live(
  path: string,
  end: "stopped" | "killed",
  random: () => number,
): Promise<string[]> {
  const options = { path, bytesMax: 2 ** 30, durability: "local" as const };
  const tools = { clock: systemClock, log: silentLog, random };
  const journal = levelJournal(options, tools);
  await journal.start(new AbortController().signal);
  const given: string[] = [];
  for (let i = 0; i < MESSAGES; i++) {
    given.push(`${journal.id} ${journal.append(message("t", `${i}`), 1, NOW, [])}`);
  }
  await journal.committed();
  await (end === "stopped" ? journal.stop() : journal.kill());
  return given;
}
