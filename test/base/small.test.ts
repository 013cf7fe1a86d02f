import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fullJitter } from "../../src/base/backoff.ts";
import { errorFields, FieldgateError } from "../../src/base/errors.ts";
import { Fifo } from "../../src/base/fifo.ts";
import { jsonLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { Watched } from "../../src/base/watchable.ts";
import { seededRandom } from "../support/random.ts";
import { SimClock } from "../support/sim-clock.ts";

describe("an exact sleep", () => {
  it("is never shorter than it was asked to be, to the fraction of a millisecond, and ends when it is aborted", async () => {
    for (const ms of [0, 0.3, 1.75, 3.646, 2.999]) {
      const beganMs = systemClock.monotonicMs();
      await systemClock.sleepExactly(ms);
      assert.ok(systemClock.monotonicMs() - beganMs >= ms, `${ms} ms`);
    }
    const reason = new Error("gone");
    const aborted = systemClock.sleepExactly(60_000.5, AbortSignal.abort(reason));
    await assert.rejects(aborted, reason);
  });
});

describe("fifo", () => {
  it("gives what an array gives, over random pushes and shifts", () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = seededRandom(seed);
      const fifo = new Fifo<number>();
      const array: number[] = [];
      for (let i = 0; i < 500; i++) {
        if (random() < 0.55) {
          fifo.push(i);
          array.push(i);
        } else assert.equal(fifo.shift(), array.shift(), `seed ${seed}`);
        assert.equal(fifo.peek(), array[0], `seed ${seed}`);
        assert.equal(fifo.length, array.length, `seed ${seed}`);
      }
    }
  });
});

describe("full jitter", () => {
  it("stays below a ceiling that doubles up to its maximum", () => {
    const timing = { firstMs: 100, maxMs: 1000 };
    const highest = (attempt: number) => fullJitter(attempt, timing, () => 0.999_999);
    assert.deepEqual([1, 2, 3, 4, 5, 1000].map(highest), [99, 199, 399, 799, 999, 999]);
    assert.equal(
      fullJitter(9, timing, () => 0),
      0,
    );
  });
});

describe("watched value", () => {
  it("tells its followers of changes, and only of changes, until they leave", () => {
    const watched = new Watched("a");
    const seen: string[] = [];
    const leave = watched.follow((value) => seen.push(value));
    watched.set("a");
    watched.set("b");
    leave();
    watched.set("c");
    assert.deepEqual(seen, ["b"]);
    assert.equal(watched.get(), "c");
  });
});

describe("log", () => {
  it("writes one JSON object a line, from its level upwards, with the part and the chain of causes", () => {
    const lines: string[] = [];
    const write = (line: string) => lines.push(line);
    const log = jsonLog({ clock: new SimClock(), level: "info", write }).part("journal");
    log.debug("not this");
    const odd = "a\u001b[2J\n{\u009b2J\u202e\u007f";
    log.info("odd", { clientId: odd });
    const [line = ""] = lines.splice(0);
    assert.match(line, /^[ -~]+\n$/, "it moves no terminal");
    assert.equal(JSON.parse(line).clientId, odd);
    const cause = new Error("disk on fire");
    const details = { path: "/x" };
    log.warn(
      "store not open",
      errorFields(new FieldgateError("ERR_STORE_OPEN", "no", { cause, details })),
    );
    assert.deepEqual(
      lines.map((line) => JSON.parse(line)),
      [
        {
          time: "2023-11-14T22:13:20.000Z",
          level: "warn",
          part: "journal",
          message: "store not open",
          error: "no",
          code: "ERR_STORE_OPEN",
          path: "/x",
          cause: { error: "disk on fire" },
        },
      ],
    );
  });
});
