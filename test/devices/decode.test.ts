import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FieldgateError } from "../../src/base/errors.ts";
import type { DecodeConfig } from "../../src/config/schema.ts";
import { decoderFor } from "../../src/devices/decode.ts";

describe("decoding", () => {
  it("leaves raw bytes alone", () => {
    check({ type: "raw" }, Buffer.from([0, 255, 10]), { payload: "00ff0a" });
  });

  it("takes text for text only when it is UTF-8 without control characters", () => {
    check({ type: "text" }, "T=21.4 °C\t", { payload: Buffer.from("T=21.4 °C\t").toString("hex") });
    check({ type: "text" }, Buffer.from([0x54, 0xff]), "not-text");
    check({ type: "text" }, "T=2\u00001", "not-text");
    check({ type: "text" }, "T=2\u007f1", "not-text");
  });

  it("reads the members of a JSON object, nested values as they are", () => {
    check({ type: "json" }, '{"T":21.4,"ok":true,"gps":{"lat":1},"x":null}', {
      readings: [
        ["T", 21.4],
        ["ok", true],
        ["gps", { lat: 1 }],
        ["x", null],
      ],
    });
    check({ type: "json" }, '{"__proto__":1,"constructor":2}', {
      readings: [
        ["__proto__", 1],
        ["constructor", 2],
      ],
    });
  });

  it("refuses JSON that is broken, no object, empty, or deep enough to hurt", () => {
    check({ type: "json" }, '{"T":21.4', "not-json");
    check({ type: "json" }, "[1,2]", "not-json");
    check({ type: "json" }, "21.4", "not-json");
    check({ type: "json" }, "null", "not-json");
    check({ type: "json" }, "{}", "no-fields");
    check({ type: "json" }, `{"a":${"[".repeat(30_000)}${"]".repeat(30_000)}}`, "too-deep");
    check({ type: "json" }, '{"a":"[[[[[[[[[[[[[[[[[[[[[["}', {
      readings: [["a", "[".repeat(22)]],
    });
  });

  it("keeps whole numbers of JSON that its readers would round, as text", () => {
    check(
      { type: "json" },
      '{"id":9007199254740993,"n":-9007199254740991,"far":1e400,"T":21.399999618530273}',
      {
        readings: [
          ["id", "9007199254740993"],
          ["n", -9007199254740991],
          ["far", "1e400"],
          ["T", 21.399999618530273],
        ],
      },
    );
    check(
      { type: "json" },
      '{"9007199254740993":"9007199254740993 \\" 9007199254740993","in":[{"a":12345678901234567890}]}',
      {
        readings: [
          ["9007199254740993", '9007199254740993 " 9007199254740993'],
          ["in", [{ a: "12345678901234567890" }]],
        ],
      },
    );
    check({ type: "json" }, "{9007199254740993:1}", "not-json");
  });

  it("refuses a member of JSON that comes twice: one of the two is wrong", () => {
    check({ type: "json" }, '{"T":21.4,"T":22}', "duplicate-field");
    check({ type: "json" }, '{"T":21.4,"\\u0054":22}', "duplicate-field");
    check({ type: "json" }, '{"a":{"T":1},"b":{"T":2},"c":"T:1"}', {
      readings: [
        ["a", { T: 1 }],
        ["b", { T: 2 }],
        ["c", "T:1"],
      ],
    });
  });

  it("names the cells of CSV", () => {
    const csv: DecodeConfig = { type: "csv", columns: ["id", "T", "note"] };
    check(csv, "7,21.4,fine", {
      readings: [
        ["id", 7],
        ["T", 21.4],
        ["note", "fine"],
      ],
    });
    check(csv, '7,,"a, ""b"""', {
      readings: [
        ["id", 7],
        ["T", null],
        ["note", 'a, "b"'],
      ],
    });
    check(csv, '"7",-1e3,x y', {
      readings: [
        ["id", "7"],
        ["T", -1000],
        ["note", "x y"],
      ],
    });
  });

  it("refuses CSV with another number of columns or broken quotes", () => {
    const csv: DecodeConfig = { type: "csv", columns: ["id", "T"] };
    for (const line of ["7", "7,1,2", '7,"1', '7,"1"2', '7,1"', `${" ".repeat(60_000)}"`]) {
      check(csv, line, "wrong-columns");
    }
  });

  it("keeps as text what a number would change", () => {
    const csv: DecodeConfig = { type: "csv", columns: ["a"] };
    for (const [cell, value] of [
      ["0.5", 0.5],
      ["-.5", -0.5],
      ["+5.", 5],
      ["0", 0],
      ["007", "007"],
      ["1234567890123456", "1234567890123456"],
      ["1e999", "1e999"],
      ["0x10", "0x10"],
      ["Infinity", "Infinity"],
      ["1 2", "1 2"],
      [`${"1".repeat(60_000)}x`, `${"1".repeat(60_000)}x`],
    ] as const) {
      check(csv, cell, { readings: [["a", value]] });
    }
  });

  it("reads key=value pairs", () => {
    check({ type: "key-value" }, "id=dc-1 n=3,door=open;v=3.01&e=", {
      readings: [
        ["id", "dc-1"],
        ["n", 3],
        ["door", "open"],
        ["v", 3.01],
        ["e", null],
      ],
    });
    check({ type: "key-value" }, "a=b=c", { readings: [["a", "b=c"]] });
  });

  it("refuses pairs without a key, words that are none, and a key twice", () => {
    check({ type: "key-value" }, "a=1 boot", "not-key-value");
    check({ type: "key-value" }, "=1", "not-key-value");
    check({ type: "key-value" }, "a=1 a=2", "duplicate-field");
    check({ type: "key-value" }, " , ", "no-fields");
  });

  it("reads wind, transducers, and any other NMEA sentence by position", () => {
    check({ type: "nmea" }, nmea("WIMWV,045.0,R,3.5,M,A"), {
      readings: [
        ["windAngle", 45, "deg"],
        ["windReference", "relative"],
        ["windSpeed", 3.5, "m/s"],
      ],
    });
    check({ type: "nmea" }, nmea("WIXDR,C,21.4,C,air,P,,B,baro,H,45,P,"), {
      readings: [
        ["air", 21.4, "C"],
        ["H", 45, "P"],
      ],
    });
    check({ type: "nmea" }, nmea("GPGLL,4916.45,N,083559,A"), {
      readings: [
        ["sentence", "GPGLL"],
        ["field1", 4916.45],
        ["field2", "N"],
        ["field3", "083559"],
        ["field4", "A"],
      ],
    });
  });

  it("refuses NMEA with a wrong checksum, without one, or that says it is not valid", () => {
    check({ type: "nmea" }, "$WIMWV,045.0,R,3.5,M,A*00", "nmea-checksum");
    check({ type: "nmea" }, "$WIMWV,045.0,R,3.5,M,A", "not-nmea");
    check({ type: "nmea" }, nmea("WIMWV,045.0,R,3.5,M,V"), "not-nmea");
    check({ type: "nmea" }, nmea("WIXDR,C,21.4,C"), "not-nmea");
    check({ type: "nmea" }, nmea("WIXDR,C,1,C,air,C,2,C,air"), "duplicate-field");
    check({ type: "nmea" }, "hello", "not-nmea");
    check({ type: "nmea" }, nmea("WIMWV"), "not-nmea");
  });

  it("finds the numbers of a binary layout, and refuses a frame that ends too soon", () => {
    const rule = { type: "uint8", endian: "big" } as const;
    const fields = [
      { ...rule, field: "a", at: 0 },
      { ...rule, field: "b", at: 1, type: "int32", endian: "little", unit: "mm" } as const,
      { ...rule, field: "c", at: 0, bit: 7 },
      { ...rule, field: "d", at: 1, type: "uint16", scale: 0.5, shift: 1 } as const,
      { ...rule, field: "e", at: 0, enum: { "129": "on" } },
    ];
    const layout: DecodeConfig = { type: "binary", fields };
    const frame = Buffer.from("81feffffff", "hex");
    check(layout, Buffer.concat([frame, Buffer.from([7])]), {
      readings: [
        ["a", 129],
        ["b", -2, "mm"],
        ["c", true],
        ["d", 32_640.5],
        ["e", "on"],
      ],
    });
    check(layout, frame.subarray(0, 4), "too-short");
    check(layout, Buffer.alloc(0), "too-short");
  });

  it("adds the configured units, which win over the frame's", () => {
    check({ type: "key-value", units: { T: "°C" } }, "T=1 n=2", {
      readings: [
        ["T", 1, "°C"],
        ["n", 2],
      ],
    });
    check({ type: "nmea", units: { air: "°C" } }, nmea("WIXDR,C,21.4,C,air"), {
      readings: [["air", 21.4, "°C"]],
    });
  });

  it("refuses a frame with more readings than the bound", () => {
    check({ type: "key-value" }, Array.from({ length: 256 }, (_, i) => `k${i}=1`).join(" "), {
      readings: Array.from({ length: 256 }, (_, i) => [`k${i}`, 1] as const),
    });
    check(
      { type: "key-value" },
      Array.from({ length: 257 }, (_, i) => `k${i}=1`).join(" "),
      "too-many-fields",
    );
  });

  it("needs the columns of CSV, each once", () => {
    for (const columns of [undefined, [], ["a", "a"]]) {
      assert.throws(
        () => decoderFor({ type: "csv", ...(columns === undefined ? {} : { columns }) }, 256),
        (error) => error instanceof FieldgateError && error.code === "ERR_CONFIG_INVALID",
      );
    }
  });
});

function nmea(body: string): string {
  const sum = [...body].reduce((xor, character) => xor ^ character.charCodeAt(0), 0);
  return `$${body}*${sum.toString(16).toUpperCase().padStart(2, "0")}`;
}

type Expected =
  | string
  | { readonly payload: string }
  | { readonly readings: readonly (readonly [string, unknown, string?])[] };

/** Decodes a frame and compares: a refusal's reason, the payload in hexadecimal, or [field, value, unit] of each reading. */
function check(config: DecodeConfig, frame: string | Uint8Array, expected: Expected): void {
  const decoded = decoderFor(config, 256)(typeof frame === "string" ? Buffer.from(frame) : frame);
  if (decoded.is === "refused") assert.deepEqual(decoded.reason, expected);
  else if (decoded.is === "payload") {
    assert.deepEqual({ payload: Buffer.from(decoded.payload).toString("hex") }, expected);
  } else {
    const readings = decoded.readings.map(({ field, value, unit }) =>
      unit === undefined ? [field, value] : [field, value, unit],
    );
    assert.deepEqual({ readings }, expected);
  }
}
