import assert from "node:assert/strict";
import { it } from "node:test";
import type { SessionQueue } from "../../src/broker/ports.ts";
import { Router, type Subscriber } from "../../src/broker/router.ts";

const SUBSCRIBERS = 12_000;
const ROUNDS = 5;
/** A square of the number of subscribers took a hundred times as long as it takes them to subscribe. */
const TIMES_MAX = 10;

it("who gets a message costs no more than some times what subscribing has cost, and not the square of it", () => {
  const rounds = Array.from({ length: ROUNDS }, round);
  const subscribedMs = Math.min(...rounds.map((ms) => ms.subscribed));
  const askedMs = Math.min(...rounds.map((ms) => ms.asked));
  const said = `${subscribedMs.toFixed(1)} ms to subscribe, ${askedMs.toFixed(1)} ms to ask`;
  assert.ok(askedMs < TIMES_MAX * subscribedMs, said);
});

/** A message to a topic that many persistent sessions have subscribed to, each of which asks for its own grant. */
function round() {
  const router = new Router<Subscriber>(() => 0, LIMITS);
  const subscribers = Array.from({ length: SUBSCRIBERS }, (_, i) => subscriber(i % 2 === 0));
  const beganMs = performance.now();
  for (const one of subscribers) router.subscribe(one, { filter: "all/+", qos: 1 });
  const subscribed = performance.now() - beganMs;
  const { queued, direct } = router.route("all/x");
  const granted = subscribers.filter((one) => router.queuedAt(one, "all/x") === 1);
  const asked = performance.now() - beganMs - subscribed;
  assert.equal(queued.length, SUBSCRIBERS / 2);
  assert.equal(direct.length, SUBSCRIBERS / 2);
  assert.equal(granted.length, queued.length);
  return { subscribed, asked };
}

const LIMITS = { topicLevelsMax: 32, topicBytesMax: 1024, ratesOf: () => null };

function subscriber(isPersistent: boolean): Subscriber {
  return { queue: isPersistent ? ({} as SessionQueue) : null, mayReceive: () => true };
}
