import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { differences } from "../../src/config/difference.ts";
import { configOf } from "../support/config.ts";

describe("the difference of two configurations", () => {
  it("names each key that differs, with what is added and what goes", () => {
    check({ log: { level: "info" } }, { log: { level: "debug" } }, [
      { path: "log.level", before: '"info"', after: '"debug"' },
    ]);
    check({}, { health: { port: 9100 } }, [{ path: "health.port", before: null, after: "9100" }]);
    check({ health: { port: 9100 } }, {}, [{ path: "health.port", before: "9100", after: null }]);
    check({ store: { path: "/a" } }, { store: { path: "/a", durability: "local" } }, []);
  });

  it("tells that a password has changed, and shows neither", () => {
    const uplink = (password: string) => ({
      uplink: { endpoints: [`mqtts://gw:${password}@cloud`] },
    });
    const found = differences(configOf(uplink("old-one")), configOf(uplink("new-one")));
    assert.deepEqual(found, [
      {
        path: "uplink.endpoints[0]",
        before: '"mqtts://gw:***@cloud"',
        after: '"mqtts://gw:***@cloud" (another one)',
      },
    ]);
  });

  function check(before: object, after: object, expected: object[]): void {
    assert.deepEqual(differences(configOf(before), configOf(after)), expected);
  }
});
