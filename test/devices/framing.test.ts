import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FieldgateError } from "../../src/base/errors.ts";
import type { FramingConfig } from "../../src/config/schema.ts";
import { checkNamed } from "../../src/devices/check.ts";
import { type FramingVector, listen, vectors } from "./framing-support.ts";

describe("framing", () => {
  for (const vector of vectors<FramingVector>("framing")) {
    it(`reads ${vector.name}`, () => {
      const { said, framer } = listen(vector.framing);
      framer.push(Buffer.from(vector.wire, "hex"), 0);
      assert.deepEqual(said, vector.frames);
    });
  }

  it("takes no more bytes than its bound, and finds the next frame", () => {
    const lines = { type: "lines", bytesMax: 4 } as const;
    check(lines, "@0 abcd\n abcde\n ef\n", "abcd !too-long ef");
    check(lines, "@0 abcd\r\n abcde\r\n", "abcd !too-long");
    check(lines, "@0 abcdefghijklmnop\n x\n", "!too-long x");
    check(
      { type: "delimiter", delimiter: "2e2e", bytesMax: 2 },
      "@0 ab.. abc.. a...c..",
      "ab !too-long a .c",
    );
    check(
      { type: "slip", bytesMax: 2 },
      "@0 ab\xc0 abc\xc0 abcdef\xc0 \xdb\xdc\xdb\xdd\xc0",
      "ab !too-long !too-long \xc0\xdb",
    );
    check(
      { type: "cobs", bytesMax: 2 },
      "@0 \x03ab\x00 \x04abc\x00 \x09abcdefgh\x00 \x02a\x00",
      "ab !too-long !too-long a",
    );
    check(
      { type: "length-prefix", prefixBytes: 1, bytesMax: 2, check: "xor" },
      "@0 \x03ab\x00 \x04abcd",
      "ab !too-long",
    );
  });

  it("refuses what breaks the encoding", () => {
    check({ type: "slip" }, "@0 a\xdbb\xc0 c\xc0 \xdb\xc0", "!malformed c !malformed");
    check({ type: "cobs" }, "@0 \x05ab\x00 \x02c\x00", "!malformed c");
    check({ type: "length-prefix", prefixBytes: 1 }, "@0 \x00\x01a", "!malformed a");
  });

  it("refuses a wrong check value, or none, and finds the next frame", () => {
    check(
      { type: "lines", check: "xor" },
      "@0 ab*03\n ab*04\n ab\n *00\n ab*3\n",
      "ab !checksum !checksum !checksum !checksum",
    );
    check(
      { type: "cobs", check: "xor" },
      "@0 \x04ab\x03\x00 \x04ab\x04\x00 \x02a\x00",
      "ab !checksum !checksum",
    );
    check({ type: "fixed", length: 3, check: "xor" }, "@0 ab\x03 ab\x04 ab\x03", "ab !checksum ab");
  });

  it("counts one run of lost bytes as one refusal, however long it is", () => {
    check(
      { type: "fixed", length: 3, check: "xor" },
      "@0 zzzzzzzzzzq ab\x03 yx ab\x03",
      "!checksum ab !checksum ab",
    );
  });

  it("refuses a frame that falls silent, and takes what comes after for a new one", () => {
    check({ type: "lines" }, "@0 T=2 @999 1 @1999 T=22\n", "!timeout T=22");
    check({ type: "fixed", length: 4 }, "@0 ab @1000 abcd", "!timeout abcd");
    check({ type: "cobs" }, "@0 \x05ab @1000 \x02c\x00", "!timeout c");
  });

  it("refuses a frame that is too slow, and does not take its tail for a frame", () => {
    check({ type: "lines" }, "@0 T= @600 2 @1100 1 @1200 .4\n @1201 T=22\n", "!timeout T=22");
  });

  it("finds the frame within what only looked like the beginning of a longer one", () => {
    const framing = { type: "length-prefix", prefixBytes: 1, check: "xor" } as const;
    check(framing, "@0 \x40 \x03ab\x00 @1000 \x03ab\x00", "!timeout ab ab");
  });

  it("refuses what comes before the first delimiter after opening, unless the line was silent", () => {
    check({ type: "lines" }, "open@0 @10 .4\n T=21.5\n", "!unsynchronised T=21.5");
    check({ type: "lines" }, "open@0 @10 \n T=21.5\n", "T=21.5");
    check({ type: "lines" }, "open@0 @1000 T=21.5\n", "T=21.5");
    check(
      { type: "delimiter", delimiter: "2e2e" },
      "open@0 @10 x @20 .. ab..",
      "!unsynchronised ab",
    );
    check({ type: "lines" }, "open@0 @10 .4 @1010 T=21.5\n", "!unsynchronised T=21.5");
  });

  it("needs no delimiter first where a check value tells half a frame", () => {
    check({ type: "lines", check: "xor" }, "open@0 @10 ab*03\n", "ab");
  });

  it("refuses the frame that was begun when the line closes", () => {
    check({ type: "lines", check: "xor" }, "@0 ab open@10 @11 ab*03\n", "!incomplete ab");
    check({ type: "fixed", length: 4 }, "@0 ab open@10 @11 abcd", "!incomplete abcd");
  });

  it("says what a configuration lacks", () => {
    for (const config of [
      { type: "fixed" },
      { type: "fixed", length: 2, check: "crc16-modbus" },
      { type: "fixed", length: 2000 },
      { type: "delimiter" },
      { type: "length-prefix" },
      { type: "length-prefix", prefixBytes: 2 },
    ] satisfies Partial<FramingConfig>[]) {
      assert.throws(
        () => listen(config),
        (error) => error instanceof FieldgateError && error.code === "ERR_CONFIG_INVALID",
        JSON.stringify(config),
      );
    }
  });
});

describe("check values", () => {
  interface CheckVector {
    readonly input: string;
    readonly values: Readonly<Record<string, string>>;
  }
  for (const { input, values } of vectors<CheckVector>("checks")) {
    for (const [name, value] of Object.entries(values)) {
      it(`${name} of ${input.slice(0, 20)} is ${value}`, () => {
        const bytes = Buffer.from(input, "hex");
        const found = checkNamed(name as FramingConfig["check"]);
        assert.equal(found?.compute(bytes, 0, bytes.length), Number.parseInt(value, 16));
      });
    }
  }
});

/**
 * Plays a script: `@ms` sets the time, `open@ms` opens the line, anything else is bytes (latin1, blanks dropped).
 * Expects frames and `!reason`s in their order, separated by blanks.
 */
function check(config: Partial<FramingConfig>, script: string, expected: string): void {
  const { said, framer } = listen(config);
  let nowMs = 0;
  for (const word of script.split(" ")) {
    const time = /^(open)?@(\d+)$/.exec(word);
    if (time === null) framer.push(Buffer.from(word, "latin1"), nowMs);
    else nowMs = Number(time[2]);
    if (time !== null) framer.expire(nowMs);
    if (time?.[1] === "open") framer.reset(nowMs);
  }
  const text = said.map((each) =>
    each.startsWith("!") ? each : Buffer.from(each, "hex").toString("latin1"),
  );
  assert.deepEqual(text, expected.split(" "));
}
