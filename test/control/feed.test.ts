import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Feed } from "../../src/control/feed.ts";
import { shownPayload } from "../../src/control/shown-payload.ts";

describe("a feed", () => {
  it("gives what was pushed, in order, and ends with its signal", async () => {
    const gone = new AbortController();
    const feed = new Feed<number>(room(10), gone.signal);
    feed.push(1);
    feed.push(2);
    const seen: unknown[] = [];
    const reading = (async () => {
      for await (const value of feed) seen.push(value);
    })();
    await turn();
    feed.push(3);
    await turn();
    gone.abort();
    await reading;
    assert.deepEqual(seen, [1, 2, 3]);
  });

  it("keeps no more than its bound, and says how many it has left out", async () => {
    const gone = new AbortController();
    const feed = new Feed<number>(room(2), gone.signal);
    for (let i = 1; i <= 5; i++) feed.push(i);
    const seen: unknown[] = [];
    for await (const value of feed) {
      seen.push(value);
      if (seen.length === 3) feed.push(6);
      if (seen.length === 4) gone.abort();
    }
    assert.deepEqual(seen, [1, 2, { skipped: 3 }, 6]);
  });

  it("keeps no more bytes than it may, but one value whatever its size, and has room again once they are read", async () => {
    const gone = new AbortController();
    const feed = new Feed<number>({ ...room(10), bytesMax: 5, bytesOf: (n) => n }, gone.signal);
    for (const value of [9, 1, 2]) feed.push(value);
    const seen: unknown[] = [];
    for await (const value of feed) {
      seen.push(value);
      if (seen.length === 2) for (const each of [3, 2, 1]) feed.push(each);
      if (seen.length === 5) gone.abort();
    }
    assert.deepEqual(seen, [9, { skipped: 2 }, 3, 2, { skipped: 1 }]);
  });

  it("of one that is over gives nothing", async () => {
    const feed = new Feed<number>(room(2), AbortSignal.abort());
    feed.push(1);
    for await (const value of feed) assert.fail(`gave ${value}`);
  });
});

function room(max: number) {
  return { max, bytesMax: Number.POSITIVE_INFINITY, bytesOf: () => 1 };
}

describe("a payload that is shown", () => {
  it("is text when it is text, lines and other alphabets too", () => {
    check("a\tb\nc", { bytes: 5, text: "a\tb\nc" });
    check("23 °C", { bytes: 6, text: "23 °C" });
    check("", { bytes: 0, text: "" });
  });

  it("is base64 when it is not UTF-8 or would move the cursor of a terminal", () => {
    check([0xff, 1], { bytes: 2, base64: "/wE=" });
    check("\u001b[2J", { bytes: 4, base64: "G1sySg==" });
  });

  it("is cut where it is long, and never within a character", () => {
    check("abcdef", { bytes: 6, text: "abc" }, 3);
    check("ab°", { bytes: 4, text: "ab" }, 3);
  });

  function check(payload: string | number[], expected: object, bytesMax = 100): void {
    const bytes = typeof payload === "string" ? Buffer.from(payload) : Buffer.from(payload);
    assert.deepEqual(shownPayload(bytes, bytesMax), expected);
  }
});

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
