import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FieldgateError } from "../../src/base/errors.ts";
import type { Reading } from "../../src/devices/decode/reading.ts";
import { mapperFor } from "../../src/devices/mapping.ts";

describe("mapping", () => {
  it("publishes a frame's readings together, with their units", () => {
    check(
      "plant/{site}/{gateway}/{device}",
      [
        ["T", 21.4, "°C"],
        ["door", "open"],
      ],
      ['plant/plant-7/gw-a/boiler {"values":{"T":21.4,"door":"open"},"units":{"T":"°C"}}'],
    );
    check("t", [["n", 1]], ['t {"values":{"n":1}}']);
  });

  it("keeps fields apart that have the names of our own keys", () => {
    check(
      "t",
      [
        ["units", 1, "m"],
        ["__proto__", 2],
      ],
      ['t {"values":{"units":1,"__proto__":2},"units":{"units":"m"}}'],
    );
  });

  it("publishes each field on its own where the template says so", () => {
    check(
      "{device}/{field}",
      [
        ["T", 21.4, "°C"],
        ["n", null],
      ],
      ['boiler/T {"value":21.4,"unit":"°C"}', 'boiler/n {"value":null}'],
    );
  });

  it("writes what no topic level may hold so that it can be read back", () => {
    check("x/{field}", [["a/b+c#d%e\u0000", 1]], ['x/a%2Fb%2Bc%23d%25e%00 {"value":1}']);
    check("x/{field}", [["$&", 1]], ['x/$& {"value":1}']);
  });

  it("refuses fields that no topic can hold", () => {
    check(
      "x/{field}",
      [
        ["ok", 1],
        ["", 1],
      ],
      "topic",
    );
    check("x/{field}", [["\ud800", 1]], "topic");
    check("{field}", [["$SYS", 1]], "topic");
    check("x/{field}", [["f".repeat(65_536), 1]], "topic");
  });

  it("refuses a field that would be the device's own status, command or reply", () => {
    for (const field of ["status", "command", "command/reply"]) {
      check(
        "own/{device}/{field}",
        [
          ["n", 1],
          [field, 1],
        ],
        field.includes("/")
          ? ['own/boiler/n {"value":1}', 'own/boiler/command%2Freply {"value":1}']
          : "topic",
      );
    }
    check("own/{device}/command/{field}", [["reply", 1]], "topic");
  });

  it("publishes bytes as they are", () => {
    const [message] = mapper("t/{device}", "raw")({ is: "payload", payload: Uint8Array.of(0, 1) });
    assert.deepEqual(message, {
      topic: "t/boiler",
      payload: Uint8Array.of(0, 1),
      qos: 1,
      retain: true,
      properties: null,
    });
  });

  it("refuses templates that are no topic", () => {
    for (const [topic, decode] of [
      ["plant/+", "json"],
      ["plant/#", "json"],
      ["{nobody}", "json"],
      ["{constructor}", "json"],
      ["$SYS/{device}", "json"],
      ["x/{field}", "raw"],
      ["x/{field}", "text"],
    ] as const) {
      assert.throws(
        () => mapper(topic, decode),
        (error) => error instanceof FieldgateError && error.code === "ERR_CONFIG_INVALID",
        topic,
      );
    }
  });
});

function mapper(topic: string, decode: "raw" | "text" | "json") {
  const own = { statusTopic: "own/{device}/status", commandTopic: "own/{device}/command" };
  const said = { topic, qos: 1, retain: true, decode: { type: decode } } as const;
  const config = { name: "boiler", ...own, ...said };
  const map = mapperFor(config, { gateway: "gw-a", site: "plant-7" });
  return (decoded: Parameters<typeof map>[0]) => map(decoded);
}

/** Maps readings and compares the messages as `topic payload`, or the refusal. */
function check(
  topic: string,
  readings: readonly (readonly [string, Reading["value"], string?])[],
  expected: readonly string[] | string,
): void {
  const mapped = mapper(
    topic,
    "json",
  )({
    is: "readings",
    readings: readings.map(([field, value, unit]) =>
      unit === undefined ? { field, value } : { field, value, unit },
    ),
  });
  const said =
    typeof mapped === "string"
      ? mapped
      : mapped.map((message) => `${message.topic} ${Buffer.from(message.payload).toString()}`);
  assert.deepEqual(said, expected);
}
