import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { memoryMark } from "../../src/health/memory-mark.ts";

const MIB = 2 ** 20;

describe("the mark of memory", () => {
  it("is where the configuration says, on a machine that has more", () => {
    assert.equal(memoryMark(768 * MIB, { constrained: 2 ** 64, heapLimit: 4144 * MIB }), 768 * MIB);
    assert.equal(
      memoryMark(768 * MIB, { constrained: undefined, heapLimit: 4144 * MIB }),
      768 * MIB,
    );
  });

  it("is below what the unit may have, before the kernel ends the process", () => {
    const mark = memoryMark(768 * MIB, { constrained: 320 * MIB, heapLimit: 4144 * MIB });
    assert.equal(mark, 272 * MIB);
  });

  it("is not above what V8 allows for objects, before V8 ends the process", () => {
    assert.equal(memoryMark(768 * MIB, { constrained: 0, heapLimit: 260 * MIB }), 260 * MIB);
  });

  it("is none when none is wanted", () => {
    assert.equal(memoryMark(0, { constrained: 320 * MIB, heapLimit: 260 * MIB }), 0);
  });
});
