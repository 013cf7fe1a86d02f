import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Link, type LinkEvent, nextLink } from "../../src/uplink/link.ts";

describe("uplink link", () => {
  it("opens once promoted, and not before", () => {
    check(
      "tick@0 opened@1 failed@2 promoted@5 promoted@6",
      "paused | paused | paused | connecting#1 +open | connecting#1",
    );
  });

  it("backs off exponentially while the cloud refuses", () => {
    check(
      "promoted@0 failed@10 tick@1009 tick@1010 failed@1020 tick@3020",
      "connecting#1 +open | waiting#1 +close | waiting#1 | connecting#2 +open | waiting#2 +close | connecting#3 +open",
    );
  });

  it("keeps backing off when the cloud accepts and throws out again", () => {
    check(
      "promoted@0 opened@1 failed@2 tick@1002 opened@1003 failed@1004 tick@2004 tick@3004",
      "connecting#1 +open | connected#1 | waiting#1 +close | connecting#2 +open | connected#2 | waiting#2 +close | waiting#2 | connecting#3 +open",
    );
  });

  it("forgives earlier failures only after a stable minute", () => {
    check(
      "promoted@0 failed@0 tick@1000 opened@1000 failed@60999 tick@62999 opened@63000 failed@123000",
      "connecting#1 +open | waiting#1 +close | connecting#2 +open | connected#2 | waiting#2 +close | connecting#3 +open | connected#3 | waiting#1 +close",
    );
  });

  it("closes and pauses when demoted, whatever it was doing", () => {
    check("promoted@0 demoted@1", "connecting#1 +open | paused +close");
    check(
      "promoted@0 opened@5 demoted@6 tick@9",
      "connecting#1 +open | connected#1 | paused +close | paused",
    );
    check(
      "promoted@0 failed@5 demoted@6 tick@9000 demoted@9001",
      "connecting#1 +open | waiting#1 +close | paused | paused | paused",
    );
  });

  it("waits when promoted while every broker is left alone", () => {
    check(
      "promoted@0 tick@4999 tick@5000 failed@5001",
      "waiting#0 | waiting#0 | connecting#1 +open | waiting#1 +close",
      5000,
    );
  });

  it("starts from the first attempt when promoted again", () => {
    check(
      "promoted@0 failed@0 tick@1000 demoted@1001 promoted@1002",
      "connecting#1 +open | waiting#1 +close | connecting#2 +open | paused +close | connecting#1 +open",
    );
  });
});

/** Plays a script of `event@ms` words and compares the trace of states and actions. */
function check(script: string, trace: string, heldMs = 0): void {
  const timing = {
    backoffMs: (attempt: number) => 1000 * 2 ** (attempt - 1),
    stableMs: 60_000,
    heldMs: () => heldMs,
  };
  let link: Link = { at: "paused" };
  const seen = script.split(" ").map((word) => {
    const [event, ms] = word.split("@");
    const [next, actions] = nextLink(link, event as LinkEvent, Number(ms), timing);
    link = next;
    const attempt = "attempt" in next ? `#${next.attempt}` : "";
    return next.at + attempt + actions.map((action) => ` +${action}`).join("");
  });
  assert.equal(seen.join(" | "), trace);
}
