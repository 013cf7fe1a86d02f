import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";
import { memoryJournal } from "../../src/journal/memory-journal.ts";
import { CopiedSessions } from "../../src/replica/copied-sessions.ts";
import { newCounters } from "../../src/replica/counters.ts";
import { Feed, PEER_LANE } from "../../src/replica/feed.ts";
import {
  Interests,
  interestFrame,
  liveBytes,
  liveFrame,
  readInterest,
  readLive,
} from "../../src/replica/live.ts";
import { Turns } from "../../src/replica/turns.ts";
import { message, NOW } from "../support/journal-samples.ts";
import { until } from "../support/until.ts";

const tools = { clock: systemClock, random: Math.random, log: silentLog };
const NEVER = new AbortController().signal;

describe("a feed", () => {
  it("brings what a gateway took in to the subscribers here, in order, and nothing that came to it from a peer", () =>
    withFeed(async ({ replica, brought, feed }) => {
      for (let n = 1; n <= 50; n++) {
        replica.append(message("t", String(n)), n % 5 === 0 ? PEER_LANE : n % 3, NOW, []);
        if (n % 7 === 0) await replica.committed();
      }
      await feed().start();
      replica.append(message("t", "51"), 0, NOW, []);
      await until("all are brought", () => brought.length === 41);
      const wanted = Array.from({ length: 51 }, (_, n) => n + 1).filter((n) => n % 5 !== 0);
      assert.deepEqual(brought, wanted.map(String));
    }));

  it("goes on where it was after a stop, and after a crash behind what had become durable with it", () =>
    withFeed(async ({ replica, own, brought, feed }) => {
      const first = feed();
      await first.start();
      for (let n = 1; n <= 10; n++) replica.append(message("t", String(n)), 1, NOW, []);
      await until("brought", () => brought.length === 10);
      await own.committed();
      // As after a crash: nothing was said at the end.
      const second = feed();
      await second.start();
      replica.append(message("t", "11"), 1, NOW, []);
      await until("the next one", () => brought.length >= 11);
      await Promise.all([first.stop(), second.stop()]);
      assert.deepEqual(
        brought.slice(0, 10),
        Array.from({ length: 10 }, (_, n) => `${n + 1}`),
      );
      assert.equal(brought.filter((text) => text !== "11").length, 10, "none of them twice");
    }));

  it("waits while what it brings is refused, and loses and reorders nothing", () =>
    withFeed(async (world) => {
      const { replica, brought, feed } = world;
      world.refusal = "the store is full";
      await feed().start();
      for (let n = 1; n <= 20; n++) replica.append(message("t", String(n)), 1, NOW, []);
      await until("tried", () => world.refused > 1);
      assert.deepEqual(brought, []);
      world.refusal = null;
      await until("brought", () => brought.length === 20);
      assert.deepEqual(
        brought,
        Array.from({ length: 20 }, (_, n) => `${n + 1}`),
      );
    }));
});

describe("messages that are not kept", () => {
  it("go through frames as they were", () => {
    const messages = [message("a/b", "one"), message("ü", ""), message("c", "x".repeat(70_000))];
    const read = readLive(liveFrame(messages.map(liveBytes)));
    assert.deepEqual(
      read.map(({ topic, payload, qos }) => [topic, Buffer.from(payload).toString(), qos]),
      messages.map(({ topic, payload }) => [topic, Buffer.from(payload).toString(), 0]),
    );
  });

  it("are refused when they are cut short, of a wrong length, or of a topic that is none", () => {
    const whole = liveFrame([liveBytes(message("topic", "payload"))]);
    for (let length = 2; length < whole.length; length++) {
      assert.throws(() => readLive(whole.subarray(0, length)), { code: "ERR_PEER_PROTOCOL" });
    }
    for (const topic of ["", "a/#", "a\u0000"]) {
      const frame = liveFrame([liveBytes(message(topic, "x"))]);
      assert.throws(() => readLive(frame), { code: "ERR_PEER_PROTOCOL" });
    }
  });

  it("go only to peers that have said that somebody wants them", () => {
    let changes = 0;
    const interests = new Interests(() => changes++);
    interests.set("gw-b", readInterest(interestFrame(["a/#", "x/+"])));
    interests.set("gw-c", ["a/b"]);
    assert.deepEqual(interests.of("a/b").toSorted(), ["gw-b", "gw-c"]);
    assert.deepEqual(interests.of("x/y/z"), []);
    interests.set("gw-b", []);
    assert.deepEqual(interests.of("a/b"), ["gw-c"]);
    assert.equal(changes, 3);
    for (const filters of [["a/#/b"], [1], "a"]) {
      const frame = interestFrame(filters as string[]);
      assert.throws(() => readInterest(frame), { code: "ERR_PEER_PROTOCOL" });
    }
  });
});

async function withFeed(use: (world: World) => Promise<void>): Promise<void> {
  const replica = memoryJournal({ id: "a".repeat(32) }, tools);
  const own = memoryJournal({ id: "b".repeat(32) }, tools);
  await replica.start(NEVER);
  await own.start(NEVER);
  const feeds: Feed[] = [];
  const world: World = {
    replica,
    own,
    brought: [],
    refusal: null,
    refused: 0,
    feed: () => {
      const sessions = new CopiedSessions((space) => replica.rows(space), systemClock);
      const feed = new Feed(replica, "gw-a", sessions, {
        turns: new Turns(),
        heard: () => {},
        loggedRows: (space) => own.rows(space),
        clock: systemClock,
        log: silentLog,
        counters: newCounters(),
        rows: (space) => own.rows(space),
        lastSeq: () => own.lastSeq,
        take: (taken, _gateway, wallMs) => {
          if (world.refusal !== null) {
            world.refused++;
            return world.refusal;
          }
          world.brought.push(Buffer.from(taken.payload).toString());
          own.append(taken, PEER_LANE, wallMs, []);
          return null;
        },
      });
      feeds.push(feed);
      return feed;
    },
  };
  try {
    await use(world);
  } finally {
    for (const feed of feeds) await feed.stop();
    await replica.stop();
    await own.stop();
  }
}

interface World {
  readonly replica: ReturnType<typeof memoryJournal>;
  readonly own: ReturnType<typeof memoryJournal>;
  readonly brought: string[];
  refusal: string | null;
  refused: number;
  readonly feed: () => Feed;
}
