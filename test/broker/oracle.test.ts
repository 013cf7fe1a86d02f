import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { withAedes } from "../support/oracle-aedes.ts";
import { comparable, withoutFaults } from "../support/oracle-faults.ts";
import { playOnOurs } from "../support/oracle-ours.ts";
import { play } from "../support/oracle-play.ts";
import { randomScript, type Step } from "../support/oracle-script.ts";
import { seededRandom } from "../support/random.ts";

const SEEDS = process.env["FIELDGATE_TEST_LONG"] ? 5000 : 200;
const TOGETHER = 10;

describe("stock aedes and ours", () => {
  it(`bring the same messages to the same clients, script by script: ${SEEDS} seeds`, async () => {
    const given = process.env["SEED"];
    const first = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);
    const count = given === undefined ? SEEDS : 1;
    for (let done = 0; done < count; done += TOGETHER) {
      const seeds = Array.from(
        { length: Math.min(TOGETHER, count - done) },
        (_, i) => first + done + i,
      );
      await Promise.all(seeds.map(check));
    }
  });
});

async function check(seed: number): Promise<void> {
  const script = randomScript(seededRandom(seed));
  const difference = await differs(script);
  if (difference === null) return;
  const shortest = await shortened(script, difference);
  const steps = shortest.map((step, index) => `${index} ${JSON.stringify(step)}`);
  assert.fail([`SEED=${seed}`, ...steps, difference].join("\n"));
}

/** The first step that turns out otherwise, with both outcomes; null when there is none. */
async function differs(script: readonly Step[]): Promise<string | null> {
  try {
    const [theirs, ours] = await Promise.all([
      withAedes((side) => play(side, script)),
      playOnOurs(script),
    ]);
    const expected = comparable(script, withoutFaults(script, theirs));
    const actual = comparable(script, ours);
    for (const [index, step] of script.entries()) {
      const [right, said] = [expected[index], actual[index]].map((each) => JSON.stringify(each));
      if (right !== said) return `${JSON.stringify(step)}\naedes: ${right}\nours:  ${said}`;
    }
    return null;
  } catch (error) {
    return String(error);
  }
}

/** The script without the steps that this difference does not need. */
async function shortened(script: readonly Step[], difference: string): Promise<readonly Step[]> {
  let shortest = script;
  for (let index = script.length - 1; index >= 0; index--) {
    const shorter = shortest.toSpliced(index, 1);
    if ((await differs(shorter)) === difference) shortest = shorter;
  }
  return shortest;
}
