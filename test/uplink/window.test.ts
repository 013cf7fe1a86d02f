import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SourceEntry } from "../../src/uplink/source.ts";
import { Window } from "../../src/uplink/window.ts";
import { seededRandom } from "../support/random.ts";

describe("the window of what is in flight", () => {
  it("retires only the run of finished messages at its head", () => {
    check(4, "+1 +2 +3 !1 = !0 = !2 =", "- | 2 through 2 | 1 through 3");
  });

  it("is full by its span: a slot is free again only when the head has passed it", () => {
    check(3, "+1 +2 +3 full !1 !2 full !0 full = full", "full | full | full | 3 through 3 | room");
  });

  it("counts a message that was never sent in its turn", () => {
    check(4, "+1 skip2 +3 = !0 = !2 =", "- | 2 through 2 | 1 through 3");
    check(4, "skip7 skip9 =", "2 through 9");
  });

  it("takes an acknowledgement once, and none for what was not sent", () => {
    const window = new Window(2);
    window.sent(entry(1), 100);
    assert.equal(window.inflightBytes, 100);
    assert.equal(window.finish(0), true);
    assert.equal(window.finish(0), false);
    assert.equal(window.finish(1), false);
    assert.equal(window.finish(77), false);
    assert.equal(window.inflight, 0);
    assert.equal(window.inflightBytes, 0);
  });

  it("forgets everything", () => {
    check(2, "+1 +2 !0 clear = +5 +6 !0 =", "- | 1 through 5");
  });

  it("refuses to take more than fits", () => {
    const window = new Window(1);
    window.sent(entry(1), 1);
    assert.throws(() => window.sent(entry(2), 1), /beyond the window/);
  });

  it("never passes one that is in flight, whatever the order of acknowledgements", () => {
    const seed = Math.floor(Math.random() * 2 ** 32);
    const random = seededRandom(seed);
    const window = new Window(16);
    const inflight = new Map<number, number>();
    let retired = 0;
    let next = 1;
    for (let step = 0; step < 20_000; step++) {
      if (random() < 0.5 && !window.full) {
        inflight.set(window.nextSlot, next);
        window.sent(entry(next++), 1);
      } else if (inflight.size > 0) {
        const slots = [...inflight.keys()];
        const slot = slots[Math.floor(random() * slots.length)] as number;
        inflight.delete(slot);
        assert.equal(window.finish(slot), true, `seed ${seed}`);
      }
      if (random() < 0.3) {
        const { count, lastSeq } = window.retire();
        if (count > 0) assert.equal(lastSeq, retired + count, `seed ${seed}`);
        retired += count;
        for (const seq of inflight.values()) assert.ok(seq > retired, `seed ${seed}`);
      }
    }
    assert.ok(retired > 1000, `seed ${seed}: it moved`);
  });
});

function entry(seq: number): SourceEntry {
  const message = { topic: "t", payload: EMPTY, qos: 1, retain: false, properties: null } as const;
  return { seq, wallMs: seq, message };
}

const EMPTY = new Uint8Array(0);

/** `+n` sends seq n, `skipn` skips it, `!s` acknowledges slot s, `=` retires, `full` asks whether it is. */
function check(max: number, script: string, expected: string): void {
  const window = new Window(max);
  const seen: string[] = [];
  for (const word of script.split(" ")) {
    if (word === "=") {
      const { count, lastSeq } = window.retire();
      seen.push(count === 0 ? "-" : `${count} through ${lastSeq}`);
    } else if (word === "full") seen.push(window.full ? "full" : "room");
    else if (word === "clear") window.clear();
    else if (word.startsWith("+")) window.sent(entry(Number(word.slice(1))), 1);
    else if (word.startsWith("skip")) window.skipped(entry(Number(word.slice(4))), "expired");
    else window.finish(Number(word.slice(1)));
  }
  assert.equal(seen.join(" | "), expected);
}
