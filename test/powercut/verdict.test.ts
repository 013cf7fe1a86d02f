import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Books, booksAt, NEVER, Register } from "./books.ts";
import { emptyBooks, JOINER, JOINER_STAYS } from "./load.ts";
import { ALL, identify, payloadOf, topicOf } from "./message.ts";
import type { Recovered } from "./recovery.ts";
import { judge, type Verdict } from "./verdict.ts";

describe("the verdict on a broker after a crash", () => {
  it("is good for one that has all", () => check({}, () => {}));

  it("finds an acknowledged message that did not come", () =>
    check({ lostMessages: ["offline: one-a/1"] }, ({ after }) => {
      remove(after, "offline", "one-a/1");
    }));

  it("asks for nothing that was not acknowledged", () =>
    check({}, ({ after }) => {
      after.publishers[0]?.messages.push({ sentAt: 50, keptAt: NEVER, doneAt: NEVER });
    }));

  it("finds a message that the cloud did not get", () =>
    check({ lostMessages: ["cloud: two-a/0"] }, ({ after }) => {
      after.cloud.splice(
        after.cloud.findIndex(({ key }) => key === "two-a/0"),
        1,
      );
    }));

  it("finds a hole before what came, and tells it from a missing end", () => {
    check({ lostMessages: ["offline: one-a/0"], holes: ["offline: one-a/0 before 1"] }, (world) => {
      remove(world.after, "offline", "one-a/0");
    });
    check({ lostMessages: ["offline: one-a/1"] }, (world) => {
      remove(world.after, "offline", "one-a/1");
    });
  });

  it("finds QoS 2 that came twice, and counts QoS 1 that did", () => {
    check({ twice: ["offline: two-a/0 2 times"], repeated: 1 }, (world) =>
      arrive(world.after, "offline", "two-a", 0),
    );
    check({ repeated: 1 }, (world) => arrive(world.after, "offline", "one-a", 0));
  });

  it("finds what comes out of order within a topic, and looks at first arrivals only", () => {
    check({ disordered: ["offline: one-a/0 after 3"] }, ({ before, after }) => {
      for (const books of [before, after]) {
        for (let n = 2; n <= 3; n++) books.publishers[0]?.messages.push(kept(10));
      }
      for (const { id } of after.subscribers.filter(({ id }) => id !== JOINER)) {
        arrive(after, id, "one-a", 2);
        arrive(after, id, "one-a", 3);
      }
      for (const n of [2, 3]) cloudArrives(after, "one-a", n);
      remove(after, "offline", "one-a/0"); // 0 and 3 have one topic
      arrive(after, "offline", "one-a", 0);
    });
  });

  it("finds bytes that nobody has sent", () =>
    check({ wrong: ["offline: one-a/0"], repeated: 1 }, ({ after }) => {
      const { arrivals } = subscriber(after, "offline");
      arrivals.push({
        ...identify(`${payloadOf("one-a", 0)}!`),
        topic: topicOf("one-a", 0),
        at: 99,
      });
    }));

  it("finds a will that was due, and not one that was called off", () => {
    check(
      {
        lostWills: [
          "online: will-0/0",
          "part-time: will-0/0",
          "offline: will-0/0",
          "cloud: will-0/0",
        ],
      },
      ({ before }) => {
        before.wills[0]?.connections.push({ connackAt: 5, goodbyeAt: NEVER });
        before.wills[1]?.connections.push({ connackAt: 5, goodbyeAt: 6 });
      },
    );
  });

  it("takes for retained what was acknowledged last or sent after it, and nothing older", () => {
    for (const [value, isFine] of [
      ["old", false],
      ["kept", true],
      ["sent", true],
      [null, false],
    ] as const) {
      check(isFine ? {} : { lostRetained: ["ret/0"] }, ({ before, found }) => {
        const register = before.retained.get("ret/0") as Register<string | null>;
        register.change("old", 1).doneAt = 2;
        register.change("kept", 3).doneAt = 4;
        register.change("sent", 5);
        if (value !== null) found.retained.set("ret/0", value);
      });
    }
  });

  it("finds a subscription that is gone, one that came back, and a session that is not present", () =>
    check(
      { lostSubscriptions: ["sub/1/#", "sub/2/#"], lostSessions: ["offline"] },
      ({ before, found }) => {
        const { filters } = subscriber(before, JOINER);
        filters.set("sub/1/#", registerOf([true]));
        filters.set("sub/2/#", registerOf([true, false]));
        found.subscribed.add("sub/2/#");
        found.sessionPresent.set("offline", false);
      },
    ));

  it("finds one identity for two messages", () =>
    check({ identitiesReused: ["j/one-a/0: one-a/0 and one-b/0"] }, ({ before, after }) => {
      for (const books of [before, after]) books.publishers[1]?.messages.push(kept(10));
      for (const { id } of after.subscribers.filter(({ id }) => id !== JOINER)) {
        arrive(after, id, "one-b", 0);
      }
      cloudArrives(after, "one-b", 0, "j/one-a/0");
    }));
});

describe("books", () => {
  it("as they stood say what was known then, and nothing later", () => {
    const books = emptyBooks();
    books.publishers[0]?.messages.push({ sentAt: 1, keptAt: 5, doneAt: 5 });
    books.publishers[0]?.messages.push({ sentAt: 6, keptAt: 9, doneAt: 9 });
    books.wills[0]?.connections.push({ connackAt: 2, goodbyeAt: 8 });
    const then = booksAt(books, 4);
    assert.deepEqual(then.publishers[0]?.messages, [{ sentAt: 1, keptAt: NEVER, doneAt: NEVER }]);
    assert.deepEqual(then.wills[0]?.connections, [{ connackAt: 2, goodbyeAt: NEVER }]);
    const anew = booksAt(books, 5, 0).publishers[0]?.messages;
    assert.deepEqual(anew, [{ sentAt: 0, keptAt: 0, doneAt: 0 }]);
  });
});

interface World {
  readonly before: Books;
  readonly after: Books;
  readonly found: Recovered & {
    sessionPresent: Map<string, boolean>;
    retained: Map<string, string>;
    subscribed: Set<string>;
  };
}

/** A world in which all went well is changed, and the verdict then says exactly this. */
function check(expected: Partial<Verdict>, change: (world: World) => void): void {
  const world = goodWorld();
  change(world);
  const good: Verdict = {
    lostMessages: [],
    lostWills: [],
    lostRetained: [],
    lostSubscriptions: [],
    lostSessions: [],
    twice: [],
    disordered: [],
    wrong: [],
    identitiesReused: [],
    holes: [],
    deaf: [],
    stuck: [],
    repeated: 0,
    acknowledged: 7,
  };
  assert.deepEqual(judge(world.before, world.after, world.found, 7), { ...good, ...expected });
}

/** Two messages of QoS 1 and one of QoS 2, which have come to all who are subscribed, and to the cloud. */
function goodWorld(): World {
  const books = emptyBooks();
  books.publishers[0]?.messages.push(kept(10), kept(11));
  books.publishers[2]?.messages.push(kept(12));
  for (const { id, filters, holds } of books.subscribers) {
    filters.set(id === JOINER ? JOINER_STAYS : ALL, registerOf([true]));
    if (id === "offline") holds.push({ packetId: 1, at: 1, releasedAt: 2 });
    if (id === JOINER) continue;
    arrive(books, id, "one-a", 0);
    arrive(books, id, "one-a", 1);
    arrive(books, id, "two-a", 0);
  }
  for (const [id, n] of [
    ["one-a", 0],
    ["one-a", 1],
    ["two-a", 0],
  ] as const)
    cloudArrives(books, id, n);
  const sessions = [...books.subscribers, ...books.publishers].map(({ id }) => [id, true] as const);
  const found = {
    sessionPresent: new Map(sessions),
    retained: new Map(),
    subscribed: new Set([JOINER_STAYS]),
    deaf: [],
    stuck: [],
  };
  return { before: booksAt(books, 100), after: booksAt(books, 100), found };
}

function kept(at: number) {
  return { sentAt: at, keptAt: at + 1, doneAt: at + 1 };
}

function registerOf(values: readonly boolean[]): Register<boolean> {
  const register = new Register(false);
  for (const value of values) register.change(value, 1).doneAt = 2;
  return register;
}

function subscriber(books: Books, id: string): Books["subscribers"][number] {
  const found = books.subscribers.find((each) => each.id === id);
  assert.ok(found);
  return found;
}

function arrive(books: Books, to: string, id: string, n: number): void {
  const arrival = { ...identify(payloadOf(id, n)), topic: topicOf(id, n), at: 99 };
  subscriber(books, to).arrivals.push(arrival);
}

function cloudArrives(books: Books, id: string, n: number, identity = `j/${id}/${n}`): void {
  books.cloud.push({ ...identify(payloadOf(id, n)), topic: topicOf(id, n), identity, at: 99 });
}

function remove(books: Books, from: string, key: string): void {
  const { arrivals } = subscriber(books, from);
  arrivals.splice(
    arrivals.findIndex((arrival) => arrival.key === key),
    1,
  );
}
