import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { type Meter, mbapFrame, meterAnswer, rtuFrame } from "../../firmware-sim/encode/modbus.ts";

interface Vector {
  readonly name: string;
  readonly unit: number;
  readonly request: string;
  readonly answer: string;
  readonly rtuAnswer: string;
  readonly tcpAnswer: string;
}

const file: { meter: Meter; vectors: readonly Vector[] } = JSON.parse(
  readFileSync(new URL("../vectors/modbus.json", import.meta.url), "utf8"),
);

describe("an energy meter", () => {
  for (const { name, unit, request, answer, rtuAnswer, tcpAnswer } of file.vectors) {
    it(`answers as the vector says: ${name}`, () => {
      const pdu = meterAnswer({ ...file.meter }, Buffer.from(request, "hex"));
      check(pdu, answer);
      check(rtuFrame(unit, pdu), rtuAnswer);
      check(mbapFrame(1, unit, pdu), tcpAnswer);
    });
  }

  it("does what it is told", () => {
    const meter = { ...file.meter };
    meterAnswer(meter, Buffer.from("0500000000", "hex"));
    meterAnswer(meter, Buffer.from("06000007d0", "hex"));
    assert.deepEqual([meter.relay, meter.limit], [false, 20]);
    meterAnswer(meter, Buffer.from("050000ff00", "hex"));
    meterAnswer(meter, Buffer.from("10000000020403e80000", "hex"));
    assert.deepEqual([meter.relay, meter.limit], [true, 10]);
  });

  it("refuses what it does not know, has not, or must not do", () => {
    for (const [request, answer] of [
      ["0700000001", "8701"],
      ["0300010002", "8302"],
      ["0300000000", "8303"],
      ["0400000080", "8403"],
      ["0500000001", "8503"],
      ["05000100ff00", "8502"],
      ["03", "8303"],
    ] as const) {
      check(meterAnswer({ ...file.meter }, Buffer.from(request, "hex")), answer);
    }
  });
});

function check(bytes: Uint8Array, hex: string): void {
  assert.equal(Buffer.from(bytes).toString("hex"), hex);
}
