import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { partitionOf, shareStrategy } from "../../src/broker/share-strategy.ts";

interface TestMember {
  readonly clientId: string;
  isHere: boolean;
  room: boolean;
  hasRoom(): boolean;
}

describe("a hash strategy", () => {
  it("spreads keys and partitions evenly enough, and moves only what it must when a member leaves", () => {
    const strategy = shareStrategy("hash-topic");
    const members = ["a", "b", "c", "d"].map(memberOf);
    const before = homes(strategy, members);
    const shares = members.map(({ clientId }) => before.filter((home) => home === clientId).length);
    assert.ok(Math.min(...shares) >= 3, `${shares} of ${strategy.partitions}`);
    (members[1] as TestMember).isHere = false;
    const after = homes(strategy, members);
    for (const [partition, home] of before.entries()) {
      if (home !== "b") assert.equal(after[partition], home);
      else assert.notEqual(after[partition], "b");
    }
    const used = new Set(Array.from({ length: 200 }, (_, i) => partitionOf(`plant/${i}/t`, 32)));
    assert.ok(used.size >= 30, `${used.size} of 32 partitions for 200 topics`);
  });

  it("waits for the member of a partition when it has no room", () => {
    const strategy = shareStrategy("hash-client");
    const members = ["a", "b"].map(memberOf);
    const home = strategy.choose(members, 5, 1);
    assert.ok(home);
    home.room = false;
    assert.equal(strategy.choose(members, 5, 1), null);
    home.isHere = false;
    assert.notEqual(strategy.choose(members, 5, 1), null);
  });

  it("takes its key from the topic or from the publisher", () => {
    assert.equal(shareStrategy("hash-topic").keyOf("t", "client"), "t");
    assert.equal(shareStrategy("hash-client").keyOf("t", "client"), "client");
  });
});

it("round robin and sticky say nobody when nobody is here or has room", () => {
  for (const name of ["round-robin", "sticky"] as const) {
    const strategy = shareStrategy(name);
    const members = ["a", "b"].map(memberOf);
    assert.equal(strategy.choose([], 0, 1), null);
    for (const member of members) member.room = false;
    assert.equal(strategy.choose(members, 0, 1), null);
    for (const member of members) Object.assign(member, { room: true, isHere: false });
    assert.equal(strategy.choose(members, 0, 1), null);
  }
});

function memberOf(clientId: string): TestMember {
  return {
    clientId,
    isHere: true,
    room: true,
    hasRoom() {
      return this.room;
    },
  };
}

function homes(strategy: ReturnType<typeof shareStrategy>, members: readonly TestMember[]) {
  return Array.from(
    { length: strategy.partitions },
    (_, partition) => strategy.choose(members, partition, 1)?.clientId,
  );
}
