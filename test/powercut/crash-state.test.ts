import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seededRandom } from "../support/random.ts";
import { readBlockLog, type Write } from "./block-log.ts";
import { REMAINS, splitAt, splitOfLiarAt, survivors } from "./crash-state.ts";

const SECTOR = 512;

describe("a block log", () => {
  it("is read to the byte, with the size it had after each record", () => {
    const log = Buffer.concat([record("W", 4096, "ab"), record("F", 0, ""), record("W", 0, "c")]);
    assert.deepEqual(
      readBlockLog(log).map((each) =>
        each.kind === "write" ? [each.offset, `${each.bytes}`, each.endsAt] : [each.endsAt],
      ),
      [[4096, "ab", 18], [34], [0, "c", 51]],
    );
  });

  it("that ends within a record, or is none, is refused", () => {
    const whole = record("W", 0, "abc");
    for (const bytes of [whole.subarray(0, 15), whole.subarray(0, 18), record("X", 0, "")]) {
      assert.throws(() => readBlockLog(bytes), /block log/);
    }
  });
});

describe("a power cut", () => {
  const log = readBlockLog(
    Buffer.concat([
      record("W", 0, "a"), // ends at 17
      record("F", 0, ""), //          33
      record("W", 1, "b"), //         50
      record("F", 0, ""), //          66
      record("W", 2, "c"), //         83
    ]),
  );

  it("leaves what was flushed before it, and counts a record once it is complete", () => {
    const splits = [0, 16, 17, 33, 50, 65, 66, 83, 999].map((at) => splitAt(log, at));
    assert.deepEqual(
      splits.map(({ flushed, cut }) => [flushed, cut]),
      [
        [0, 0],
        [0, 0],
        [0, 1],
        [2, 2],
        [2, 3],
        [2, 3],
        [4, 4],
        [4, 5],
        [4, 5],
      ],
    );
  });

  it("of a disk that lies leaves any number of records that it had cached", () => {
    const random = seededRandom(1);
    const kept = new Set<number>();
    for (let i = 0; i < 200; i++) {
      const { flushed, cut } = splitOfLiarAt(log, 83, 3, random);
      assert.equal(cut, 5);
      kept.add(flushed);
    }
    assert.deepEqual([...kept].sort(), [2, 3, 4, 5]);
  });

  it("leaves of the rest none, all, a prefix, any, or a prefix and a part of one write cut between sectors", () => {
    const writes = [0, 1, 2].map(
      (k): Write => ({
        kind: "write",
        endsAt: 0,
        offset: k * 4096,
        bytes: Buffer.alloc(4096, 97 + k),
      }),
    );
    const seed = Math.floor(Math.random() * 2 ** 31);
    const random = seededRandom(seed);
    for (let i = 0; i < 300; i++) {
      for (const remains of REMAINS) {
        const left = survivors(writes, remains, random);
        check(remains, writes, left, `seed ${seed}, ${remains}`);
      }
    }
  });
});

function record(kind: string, offset: number, data: string): Buffer {
  const header = Buffer.alloc(16);
  header.write(kind);
  header.writeUInt32LE(data.length, 4);
  header.writeBigUInt64LE(BigInt(offset), 8);
  return Buffer.concat([header, Buffer.from(data)]);
}

function check(
  remains: (typeof REMAINS)[number],
  writes: readonly Write[],
  left: readonly { readonly offset: number; readonly bytes: Buffer }[],
  hint: string,
): void {
  const isWhole = (k: number) => left[k] === writes[k];
  if (remains === "none") assert.equal(left.length, 0, hint);
  if (remains === "all") assert.deepEqual(left, writes, hint);
  if (remains === "prefix")
    assert.ok(
      left.every((_, k) => isWhole(k)),
      hint,
    );
  if (remains === "random")
    assert.ok(
      left.every((patch) => writes.includes(patch as Write)),
      hint,
    );
  if (remains !== "torn") return;
  const torn = left.at(-1);
  if (torn === undefined || isWhole(left.length - 1)) return;
  assert.ok(
    left.slice(0, -1).every((_, k) => isWhole(k)),
    hint,
  );
  const write = writes[left.length - 1] as Write;
  const from = torn.offset - write.offset;
  assert.ok(from % SECTOR === 0 && torn.bytes.length % SECTOR === 0, hint);
  assert.ok(from === 0 || from + torn.bytes.length === 4096, hint);
  assert.equal(torn.bytes.compare(write.bytes, from, from + torn.bytes.length), 0, hint);
}
