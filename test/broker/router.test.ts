import assert from "node:assert/strict";
import { it } from "node:test";
import type { SessionQueue } from "../../src/broker/ports.ts";
import { Router, type Subscriber } from "../../src/broker/router.ts";

const FEW = 1500;
const TIMES = 8;

it("who gets a message costs as much more as there are more subscribers, and not the square of it", () => {
  const few = Math.min(...[1, 2, 3].map(() => askedMs(FEW)));
  const many = Math.min(...[1, 2, 3].map(() => askedMs(TIMES * FEW)));
  const said = `${few.toFixed(1)} ms for ${FEW}, ${many.toFixed(1)} ms for ${TIMES * FEW}`;
  assert.ok(many < few * TIMES * 3, said);
});

/** A message to a topic that so many persistent sessions have subscribed to, each of which asks for its own grant. */
function askedMs(count: number): number {
  const router = new Router<Subscriber>(() => 0, LIMITS);
  const subscribers = Array.from({ length: count }, (_, i) => subscriber(i % 2 === 0));
  for (const one of subscribers) router.subscribe(one, { filter: "all/+", qos: 1 });
  const beganMs = performance.now();
  const { queued, direct } = router.route("all/x");
  const granted = subscribers.filter((one) => router.queuedAt(one, "all/x") === 1);
  const tookMs = performance.now() - beganMs;
  assert.equal(queued.length, Math.ceil(count / 2));
  assert.equal(direct.length, Math.floor(count / 2));
  assert.equal(granted.length, queued.length);
  return tookMs;
}

const LIMITS = { topicLevelsMax: 32, topicBytesMax: 1024, ratesOf: () => null };

function subscriber(isPersistent: boolean): Subscriber {
  return { queue: isPersistent ? ({} as SessionQueue) : null, mayReceive: () => true };
}
