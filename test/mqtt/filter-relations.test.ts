import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FilterTree } from "../../src/mqtt/filter-tree.ts";
import { topicMatches } from "../../src/mqtt/topic.ts";

/** Every topic of up to four levels of these names: enough to tell any two filters of three levels apart. */
const NAMES = ["a", "b", "c", "$x", ""];
const TOPICS = levelsOf(NAMES, 4).filter((topic) => topic !== "");
const FILTERS = levelsOf(["a", "b", "+", "$x"], 3).flatMap((filter) =>
  filter.split("/").length < 4 ? [filter, `${filter}/#`] : [filter],
);

describe("of two filters the tree says", () => {
  it("that one contains the other only if it matches every topic that the other matches", () => {
    let found = 0;
    for (const [set, asked, contains] of pairs("containing")) {
      const isIn = matched(asked).every((topic) => topicMatches(set, topic));
      if (contains) assert.ok(isIn, `${set} does not contain ${asked}`);
      // "+/#" matches all that "#" does; the tree does not go to such lengths, and a right less is no danger.
      else if (isIn && !asked.endsWith("#")) assert.fail(`${set} contains ${asked}`);
      if (contains) found++;
    }
    assert.ok(found > 100);
  });

  it("that they meet if and only if a topic is matched by both", () => {
    let found = 0;
    for (const [set, asked, meets] of pairs("meeting")) {
      const shares = matched(asked).some((topic) => topicMatches(set, topic));
      assert.equal(meets, shares, `${set} and ${asked}`);
      if (meets) found++;
    }
    assert.ok(found > 100);
  });
});

/** Each filter of the tree with each that is asked about, and whether it was found. */
function* pairs(
  question: "containing" | "meeting",
): Generator<readonly [set: string, asked: string, found: boolean]> {
  const tree = new FilterTree<string, true>();
  for (const filter of [...FILTERS, "#"]) tree.set(filter, filter, true);
  for (const asked of [...FILTERS, "#"]) {
    const found = new Set<string>();
    tree[question](asked, (filter) => found.add(filter));
    for (const set of [...FILTERS, "#"]) yield [set, asked, found.has(set)];
  }
}

const known = new Map<string, readonly string[]>();

function matched(filter: string): readonly string[] {
  const before = known.get(filter);
  if (before !== undefined) return before;
  const topics = TOPICS.filter((topic) => topicMatches(filter, topic));
  known.set(filter, topics);
  return topics;
}

function levelsOf(names: readonly string[], depth: number): string[] {
  let all: string[] = [...names];
  let last: string[] = all;
  for (let level = 1; level < depth; level++) {
    last = last.flatMap((head) => names.map((name) => `${head}/${name}`));
    all = [...all, ...last];
  }
  return all;
}
