import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FilterTree } from "../../src/mqtt/filter-tree.ts";
import {
  topicFilterError,
  topicLevels,
  topicMatches,
  topicNameError,
} from "../../src/mqtt/topic.ts";
import { TopicTree } from "../../src/mqtt/topic-tree.ts";
import { seededRandom } from "../support/random.ts";

describe("topic names", () => {
  it("may be anything of at least one character without wildcards", () => {
    for (const topic of ["a", "/", "//", " ", "a b/ü", "$x", "sport/tennis/player1"]) {
      assert.equal(topicNameError(topic), null, topic);
    }
  });

  it("may not be empty, have wildcards, NUL, half surrogates, or over 65,535 bytes [MQTT-4.7.3-1, MQTT-4.7.3-2, MQTT-4.7.3-3]", () => {
    check(topicNameError, {
      "": "is empty",
      "a/#": "a topic name has no wildcards",
      "+": "a topic name has no wildcards",
      "a\0": "contains U+0000",
      "\ud800": "is not well-formed UTF-8",
      [`${"ü".repeat(32_768)}`]: "is longer than 65535 bytes",
    });
  });
});

describe("topic filters", () => {
  it("have wildcards only as whole levels, and # only at the end", () => {
    for (const filter of ["#", "+", "a/+/b", "+/+", "a/#", "/+", "$share"]) {
      assert.equal(topicFilterError(filter), null, filter);
    }
    check(topicFilterError, {
      "a#": "# stands alone in its level",
      "#/a": "# stands only at the end",
      "a+": "+ stands alone in its level",
      "": "is empty",
    });
  });

  it("match as the standard's own examples say [MQTT-4.7.1-2, MQTT-4.7.1-3, MQTT-4.7.2-1]", () => {
    const cases: [string, string, boolean][] = [
      ["sport/tennis/player1/#", "sport/tennis/player1", true],
      ["sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true],
      ["sport/#", "sport", true],
      ["#", "sport/tennis", true],
      ["sport/tennis/+", "sport/tennis/player1", true],
      ["sport/tennis/+", "sport/tennis/player1/ranking", false],
      ["sport/+", "sport", false],
      ["sport/+", "sport/", true],
      ["+/+", "/finance", true],
      ["/+", "/finance", true],
      ["+", "/finance", false],
      ["#", "$SYS/uptime", false],
      ["+/monitor/Clients", "$SYS/monitor/Clients", false],
      ["$SYS/#", "$SYS/uptime", true],
      ["$SYS/monitor/+", "$SYS/monitor/Clients", true],
    ];
    for (const [filter, topic, expected] of cases) {
      assert.equal(topicMatches(filter, topic), expected, `${filter} ${topic}`);
    }
    assert.equal(topicLevels("a//b"), 3);
  });
});

describe("the trees", () => {
  it("find what topicMatches finds, over random filters and topics, also after deletions", () => {
    for (let seed = 1; seed <= 200; seed++) {
      const { filters, topics, filterTree, topicTree } = grow(seed);
      for (const topic of topics) {
        const found: string[] = [];
        filterTree.match(topic, (filter) => found.push(filter));
        const expected = [...filters].filter((filter) => topicMatches(filter, topic));
        assert.deepEqual(found.sort(), expected.sort(), `seed ${seed}, topic ${topic}`);
      }
      for (const filter of filters) {
        const found: string[] = [];
        topicTree.match(filter, (topic) => found.push(topic));
        const expected = [...topics].filter((topic) => topicMatches(filter, topic));
        assert.deepEqual(found.sort(), expected.sort(), `seed ${seed}, filter ${filter}`);
      }
      assert.equal(topicTree.size, topics.size, `seed ${seed}`);
    }
  });
});

/** Both trees after 60 random settings and deletions, and the sets of what must be in them. */
function grow(seed: number) {
  const random = seededRandom(seed);
  const text = (words: readonly string[]) => {
    const pick = () => words[Math.floor(random() * words.length)] as string;
    return Array.from({ length: 1 + Math.floor(random() * 4) }, pick).join("/");
  };
  const filters = new Set<string>();
  const topics = new Set<string>();
  const filterTree = new FilterTree<string, number>();
  const topicTree = new TopicTree<string>();
  for (let i = 0; i < 60; i++) {
    const filter = text(["a", "b", "", "$x", "+", "#"]);
    const topic = text(["a", "b", "", "$x"]);
    const keep = random() < 0.7;
    if (topicFilterError(filter) === null) {
      if (keep) filterTree.set(filter, filter, 1);
      else filterTree.delete(filter, filter);
      note(filters, filter, keep);
    }
    if (topicNameError(topic) === null) {
      if (keep) topicTree.set(topic, topic);
      else topicTree.delete(topic);
      note(topics, topic, keep);
    }
  }
  return { filters, topics, filterTree, topicTree };
}

function note(set: Set<string>, text: string, keep: boolean): void {
  if (keep) set.add(text);
  else set.delete(text);
}

function check(
  reason: (text: string) => string | null,
  expected: Readonly<Record<string, string>>,
): void {
  for (const [text, why] of Object.entries(expected)) assert.equal(reason(text), why);
}
