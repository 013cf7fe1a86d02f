import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatByteSize, likelyByteSize, parseByteSize } from "../../src/config/byte-size.ts";
import { byNearness, nearest } from "../../src/config/nearest.ts";
import { parseConfig } from "../../src/config/yaml-load.ts";
import { toYaml } from "../../src/config/yaml-write.ts";

describe("the nearest known word", () => {
  it("is one with a letter left out, added, replaced, or swapped with its neighbour", () => {
    for (const slip of ["prt", "portt", "pott", "prot", "PORT", "po_rt"]) check(slip, "port");
    check("baud_rate", "baudRate");
    check("baud-Rat", "baudRate");
  });

  it("is none when nothing is close, or the word is longer than any", () => {
    for (const word of ["", "x", "hostname", "p".repeat(100_000)]) check(word, null);
  });

  it("comes first, and the others keep their order", () => {
    assert.deepEqual(byNearness("bc", ["x", "abc", "y"]), ["abc", "x", "y"]);
  });
});

describe("sizes in bytes", () => {
  it("are whole numbers with a unit", () => {
    const sizes = { "0B": 0, "64KiB": 65_536, "1.5 MiB": 1_572_864, "3kB": 3000, "2GB": 2e9 };
    for (const [text, count] of Object.entries(sizes)) assert.equal(parseByteSize(text), count);
  });

  it("are nothing else", () => {
    const others = ["", "5", "KiB", "-1KiB", "1e3B", "1.5B", "1KIB", "1kib", "1 KiB ", " 1KiB"];
    for (const text of [...others, `${"9".repeat(15)}GiB`, "0x10B", "1,5MiB", "1TiB"]) {
      assert.equal(parseByteSize(text), null, text);
    }
  });

  it("read back as they are written", () => {
    for (const count of [0, 1, 1023, 1024, 1536, 2 ** 20, 3 * 2 ** 30, 268_435_455]) {
      assert.equal(parseByteSize(formatByteSize(count)), count);
    }
    assert.deepEqual([1536, 2 ** 30, 0].map(formatByteSize), ["1536B", "1GiB", "0B"]);
  });

  it("are guessed from what people write", () => {
    const guesses = { "8M": "8MiB", "8mb": "8MiB", "8 Ki": "8KiB", "1.5g": "1.5GiB" };
    for (const [text, likely] of Object.entries(guesses)) {
      assert.equal(likelyByteSize(text), likely);
    }
    for (const text of ["8", "M", "8MBit", "1.2.3M", "much"]) {
      assert.equal(likelyByteSize(text), null, text);
    }
  });
});

describe("a configuration written as YAML", () => {
  it("reads back the same", () => {
    const config = parseConfig(
      'devices: [{ name: a, port: "/dev/a", framing: { type: delimiter, delimiter: "00" } }]',
      "f.yaml",
    );
    assert.deepEqual(parseConfig(toYaml(config), "g.yaml"), config);
  });
});

function check(word: string, expected: string | null): void {
  assert.equal(nearest(word, ["name", "type", "host", "port", "baudRate"]), expected, word);
}
