import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Link, type LinkEvent, nextLink } from "../../src/devices/link.ts";
import type { PortTrouble } from "../../src/devices/port.ts";

describe("device link", () => {
  it("opens once started, and not before", () => {
    check("tick@0 start@5 start@6 opened@7", "closed | opening#1 +open | opening#1 | open#1");
  });

  it("waits longer after each failure, and keeps saying why while it tries again", () => {
    check(
      "start@0 failed:busy@10 tick@1009 tick@1010 failed:no-such-port@1020 tick@3020 opened@3021",
      "opening#1 +open | waiting#1:busy | waiting#1:busy | opening#2:busy +open | waiting#2:no-such-port | opening#3:no-such-port +open | open#3",
    );
  });

  it("gives up a port that does not open in time", () => {
    check(
      "start@0 tick@4999 tick@5000 opened@5001",
      "opening#1 +open | opening#1 | waiting#1:timeout +close | waiting#1:timeout",
    );
  });

  it("forgives earlier failures only after it was stable", () => {
    check(
      "start@0 failed:busy@0 tick@1000 opened@1000 lost:unplugged@2000 tick@4000 opened@4000 lost:unplugged@14000",
      "opening#1 +open | waiting#1:busy | opening#2:busy +open | open#2 | waiting#2:unplugged +close | opening#3:unplugged +open | open#3 | waiting#1:unplugged +close",
    );
  });

  it("closes when stopped, whatever it was doing", () => {
    check(
      "stop@0 start@0 stop@1 opened@2 tick@9",
      "closed | opening#1 +open | closed +close | closed | closed",
    );
    check(
      "start@0 opened@1 stop@2 lost:unplugged@3",
      "opening#1 +open | open#1 | closed +close | closed",
    );
    check(
      "start@0 failed:busy@1 stop@2 tick@9999",
      "opening#1 +open | waiting#1:busy | closed +close | closed",
    );
  });
});

/** Plays a script of `event[:why]@ms` words and compares the trace of states and actions. */
function check(script: string, trace: string): void {
  const timing = {
    backoffMs: (attempt: number) => 1000 * 2 ** (attempt - 1),
    openTimeoutMs: 5000,
    stableMs: 10_000,
  };
  let link: Link = { at: "closed" };
  const seen = script.split(" ").map((word) => {
    const [, is, why, ms] = /^(\w+)(?::([\w-]+))?@(\d+)$/.exec(word) ?? [];
    const event = (why === undefined ? { is } : { is, why: why as PortTrouble }) as LinkEvent;
    const [next, actions] = nextLink(link, event, Number(ms), timing);
    link = next;
    const attempt = "attempt" in next ? `#${next.attempt}` : "";
    const reason = "why" in next && next.why !== null ? `:${next.why}` : "";
    return next.at + attempt + reason + actions.map((action) => ` +${action}`).join("");
  });
  assert.equal(seen.join(" | "), trace);
}
