import assert from "node:assert/strict";
import { it } from "node:test";
import { shareOf, subscriptionError } from "../../src/mqtt/share.ts";

it("a shared subscription has a group and a filter, which may have slashes of its own", () => {
  assert.deepEqual(shareOf("$share/g/a/+/#"), { group: "g", filter: "a/+/#" });
  assert.deepEqual(shareOf("$share/g//a"), { group: "g", filter: "/a" });
  for (const plain of ["a", "$share", "$shared/g/a", "$SHARE/g/a", "/$share/g/a"]) {
    assert.equal(shareOf(plain), null, plain);
    assert.equal(subscriptionError(plain), null, plain);
  }
});

it("is refused without a group or filter, and with a group that has wildcards [MQTT5-4.8.2-1, MQTT5-4.8.2-2]", () => {
  check("$share/g/a", null);
  check("$share/g/#", null);
  check("$share/", "group is empty");
  check("$share//a", "group is empty");
  check("$share/+/a", "group contains + or # or /");
  check("$share/g#/a", "group contains + or # or /");
  check("$share/g\0/a", "group contains U+0000");
  check("$share/g", "is empty");
  check("$share/g/", "is empty");
  check("$share/g/a#", "# stands alone in its level");
});

function check(filter: string, expected: string | null): void {
  assert.equal(subscriptionError(filter), expected, filter);
}
