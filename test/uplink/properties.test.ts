import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { forwardedProperties, userProperty } from "../../src/uplink/properties.ts";
import { seededRandom } from "../support/random.ts";

describe("properties of a message that go on to the cloud", () => {
  it("are those that mean the same there", () => {
    const contentType = hex("03 0004 74657874");
    const responseTopic = hex("08 0001 72");
    const correlation = hex("09 0002 cafe");
    const format = hex("01 01");
    const all = [format, contentType, responseTopic, correlation, userProperty("unit", "°C")];
    check(all, 0, all);
  });

  it("leave out topic alias and subscription identifiers", () => {
    const contentType = hex("03 0001 61");
    check([hex("23 0007"), contentType, hex("0b 80 01"), hex("0b 05")], 0, [contentType]);
  });

  it("leave out names that only we may set", () => {
    const unit = userProperty("unit", "bar");
    check([userProperty("fg-seq", "1"), unit, userProperty("fg-journal", "x")], 0, [unit]);
    check([userProperty("fg", "kept")], 0, [userProperty("fg", "kept")]);
  });

  it("have their expiry reduced by the time that the message waited", () => {
    check([hex("02 0000000a")], 3999, [hex("02 00000007")]);
    check([hex("02 0000000a")], -5000, [hex("02 0000000a")]);
    check([hex("02 ffffffff")], 1000, [hex("02 fffffffe")]);
  });

  it("say that the message expired", () => {
    check([hex("02 0000000a")], 10_000, "expired");
    check([hex("03 0001 61"), hex("02 00000000")], 0, "expired");
  });

  it("end where they cannot be understood", () => {
    const contentType = hex("03 0001 61");
    check([contentType, hex("7f 01")], 0, [contentType]);
    check([contentType, hex("02 0000")], 0, [contentType]);
    check([contentType, hex("26 0001 61 00ff 62")], 0, [contentType]);
    check([contentType, hex("0b ffffffffff")], 0, [contentType]);
    check([hex("03 00")], 0, []);
  });

  it("are read without a fault, whatever the bytes", () => {
    const seed = Math.floor(Math.random() * 2 ** 32);
    const random = seededRandom(seed);
    for (let round = 0; round < 20_000; round++) {
      const kinds = [1, 2, 3, 8, 9, 11, 35, 38];
      const bytes = Buffer.from(
        Array.from({ length: Math.floor(random() * 24) }, (_, index) =>
          index % 5 === 0 ? (kinds[Math.floor(random() * 8)] ?? 0) : Math.floor(random() * 4),
        ),
      );
      const forwarded = forwardedProperties(bytes, random() * 5000);
      assert.ok(forwarded === "expired" || forwarded.length <= bytes.length, `seed ${seed}`);
    }
  });
});

function check(
  properties: readonly Buffer[],
  waitedMs: number,
  expected: readonly Buffer[] | "expired",
): void {
  const seen = forwardedProperties(Buffer.concat(properties), waitedMs);
  const wanted = expected === "expired" ? expected : Buffer.concat(expected).toString("hex");
  assert.equal(seen === "expired" ? seen : seen.toString("hex"), wanted);
}

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(" ", ""), "hex");
}
