import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Gathering } from "../../src/uplink/gathering.ts";

describe("acknowledgements", () => {
  it("are read as they come while they are few: nobody waits for what is no load", () => {
    check({ perMs: 1, inflight: 256 }, 0);
    check({ perMs: 3, inflight: 65_000 }, 0);
  });

  it("gather for a millisecond while they are many and the cloud has enough to go on", () => {
    check({ perMs: 40, inflight: 256 }, 1);
    check({ perMs: 100, inflight: 256 }, 1);
  });

  it("are read at once where the cloud would soon have nothing left to do", () => {
    check({ perMs: 40, inflight: 20 }, 0);
    check({ perMs: 110, inflight: 256 }, 0);
    check({ perMs: 40, inflight: 0 }, 0);
  });

  it("are read as they come for a while when a rest was so long that the cloud has little left", () => {
    const gathering = new Gathering();
    const line = { perMs: 40, inflight: 256 };
    assert.equal(play(gathering, 0, line), 1);
    for (let count = 0; count < 250; count++) gathering.acknowledged();
    assert.equal(gathering.restMs(106, 256), 0);
    assert.equal(play(gathering, 106, { ...line, ms: 90 }), 0, "still a while");
    assert.equal(play(gathering, 196, line), 1, "and then not any more");
  });

  it("are read at once again when they become fewer", () => {
    const gathering = new Gathering();
    play(gathering, 0, { perMs: 40, inflight: 256 });
    assert.equal(play(gathering, 100, { perMs: 1, inflight: 256 }), 0);
  });
});

interface Line {
  /** Acknowledgements. */
  readonly perMs: number;
  readonly inflight: number;
  readonly ms?: number;
}

function check(line: Line, restMs: number): void {
  assert.equal(play(new Gathering(), 0, line), restMs, JSON.stringify(line));
}

/** A while of such a line, read once a millisecond: for how long it rests in the end. */
function play(
  gathering: Gathering,
  fromMs: number,
  { perMs, inflight, ms: forMs = 100 }: Line,
): number {
  let restMs = 0;
  for (let ms = 1; ms <= forMs; ms++) {
    for (let count = 0; count < perMs; count++) gathering.acknowledged();
    restMs = gathering.restMs(fromMs + ms, inflight);
  }
  return restMs;
}
