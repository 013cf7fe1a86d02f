import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type Election,
  type ElectionEvent,
  type ElectionTerms,
  isOffice,
  newElection,
  nextElection,
  type SiteView,
} from "../../src/site/election.ts";

/** Lease 1 is ours, 2 and 3 are others'. TTL 3 s: fenced 2.7 s after the last renewal was sent. */
describe("election", () => {
  it("stands once it is admitted, and stands by while another one is primary", () => {
    check(
      "tick@0 admitted@1 leased1@2 view:7/2+1@3",
      "out | standby +stand | standby | standby +keep7",
    );
  });

  it("tries when nobody stands, after its skew, and is primary once the epoch is on its disk", () => {
    check(
      "admitted@0 leased1@0 view:7/2+1@10 kept7@11 view:7/2-2+1@1000 tick@1099 tick@1100 view:8/1+1@1110 tried@1111 kept8@1120",
      "standby +stand | standby | standby +keep7 | standby | standby?1100 | standby?1100 | trying +take8 +keep8 | taking8 +keep8 | taking8 | primary8",
    );
  });

  it("waits out a lease's time when etcd has no epoch yet, or a lower one than the disk", () => {
    check(
      "admitted@0 leased1@0 view:+1@10 tick@110 tick@3009 tick@3010 tick@3110",
      "standby +stand | standby | standby~3010 | standby~3010 | standby~3010 | standby?3110 | trying +take1 +keep1",
    );
    check(
      "admitted@0 leased1@0 view:5/2-2+1@10 tick@3010 tick@3110",
      "standby +stand | standby | standby~3010 | standby?3110 | trying +take8 +keep8",
      "",
      7,
    );
  });

  it("leaves the place to who was faster", () => {
    check("view:8/2+1@1110 tried@1111", "standby +keep8 | standby", TRYING);
  });

  it("takes the place of one whose process has ended before etcd has heard of it, and no other one's", () => {
    check(
      "admitted@0 leased1@0 view:7/2+1@10 kept7@11 confirmed1:1000@1000 ended3@1000 ended2@1001 tick@1101 view:8/1+1@1110 kept8@1111",
      "standby +stand | standby | standby +keep7 | standby | standby | standby | standby?1101 | trying +take8 +keep8 | taking8 +keep8 | primary8",
    );
  });

  it("acts at once when its epoch was on the disk before etcd had answered", () => {
    check("kept8@1101 view:8/1+1@1110", "trying | primary8 +keep8", TRYING);
  });

  it("tries again when its try came to nothing", () => {
    check(
      "tried@1150 tick@1349 tick@1350",
      "standby?1350 | standby?1350 | trying +take8 +keep8",
      TRYING,
    );
  });

  it("takes an office that a lost reply has given it", () => {
    check("tried@1150 view:8/1+1@1200", "standby?1350 | taking8 +keep8", TRYING);
  });

  it("is fenced before its lease can have ended, and resumes when the lease is confirmed", () => {
    check(
      "tick@3699 tick@3700 confirmed1:2500@3800 tick@5199 tick@5200",
      "primary8 | fenced8 | primary8 | primary8 | fenced8",
      PRIMARY,
    );
  });

  it("ignores a confirmation that is older than the last", () => {
    check(
      "confirmed1:2000@2010 confirmed1:1500@2020 tick@4600 tick@4700",
      "primary8 | primary8 | primary8 | fenced8",
      PRIMARY,
    );
  });

  it("enters an office fenced when its lease may have ended meanwhile", () => {
    check(
      "view:8/1+1@1110 kept8@9000 confirmed1:9001@9010",
      "taking8 +keep8 | fenced8 | primary8",
      TRYING,
    );
  });

  it("stands by at once when the place is another's, and when its lease is lost", () => {
    check("view:9/2+1@2000", "standby +keep9", PRIMARY);
    check("lost1@2000", "standby +stand", PRIMARY);
    check("view:8/1@2000", "standby +release1 +stand", PRIMARY);
    check("tick@3700 view:9/2+1@4000", "fenced8 | standby +keep9", PRIMARY);
  });

  it("does not act under an epoch again that it has left", () => {
    check(
      "passing@2000 passed@2100 leased4@2110 view:8/1-1+4@2120 tick@2220 view:9/4+4@2230 kept9@2240",
      "passing8 | standby +release1 +stand | standby | standby?2220 | trying +take9 +keep9 | taking9 +keep9 | primary9",
      PRIMARY,
    );
  });

  it("does not act from the moment it hands over, whatever is renewed meanwhile", () => {
    check(
      "view:9/2after8/1+1@1990 passing@2000 confirmed1:2001@2010 tick@2020 passed@2031 leased4@2040 view:9/2+4@2050",
      "primary8 +keep9 | passing8 | passing8 | passing8 | standby +release1 +stand | standby | standby",
      PRIMARY,
    );
    check("view:9/2+1@2030 passing@2031", "standby +keep9 | standby", PRIMARY);
  });

  it("acts on under its own epoch when it has named the next one, until it is fenced, lost or outdated", () => {
    check(
      "view:9/2after8/1+1@1990 tick@3699 tick@3700 confirmed1:2500@3800 passing@3900 passed@3901",
      "primary8 +keep9 | primary8 | fenced8 | primary8 | passing8 | standby +release1 +stand",
      PRIMARY,
    );
    check(
      "view:9/2after8/1+1@1990 tick@3700 passing@3800 passed@3801",
      "primary8 +keep9 | fenced8 | passing8 | standby +release1 +stand",
      PRIMARY,
    );
    check(
      "view:9/2after8/1+1@1990 outdated9@2000",
      "primary8 +keep9 | standby +release1 +stand",
      PRIMARY,
    );
    check("view:9/2after8/1+1-2@1990 tick@2500", "primary8 +keep9 | primary8", PRIMARY);
    check("view:9/2after8/1@1990", "standby +release1 +stand +keep9", PRIMARY);
  });

  it("does not enter the office that it is named for while the one before stands, and keeps the epoch meanwhile", () => {
    const named =
      "admitted@0 leased1@0 view:7/2+1@10 kept7@11 confirmed1:1900@1910 view:8/1after7/2+1+2@2000";
    check("kept8@2005 tick@2900 view:8/1after7/2+1@2910", "standby | standby | primary8", named);
    check("kept8@2005 ended3@2010 ended2@2011", "standby | standby | primary8", named);
    check("ended2@2010 kept8@2015", "taking8 | primary8", named);
    check(
      "admitted@0 leased1@0 view:7/2+1@10 ended2@11 kept7@12 view:8/1after7/2+1+2@20 kept8@30",
      "standby +stand | standby | standby +keep7 | standby?111 | standby?111 | taking8 +keep8 | primary8",
    );
  });

  it("takes no place that was handed over before both have ended", () => {
    check(
      "admitted@0 leased1@0 view:8/2after7/3+1+2+3@10 kept8@11 view:8/2after7/3+1-2+3@1000 view:8/2after7/3+1@1010 view:8/2after7/3+1-2@1020 tick@1120",
      "standby +stand | standby | standby +keep8 | standby | standby | standby | standby?1120 | trying +take9 +keep9",
    );
  });

  it("does not hand over what it does not have", () => {
    check(
      "admitted@0 leased1@0 passing@1 passed@2",
      "standby +stand | standby | standby | standby",
    );
  });

  it("takes over at once when the place is handed to it", () => {
    check(
      `admitted@0 leased1@0 view:7/2+1@10 kept7@11 confirmed1:1900@1910 view:8/1+1@2000 kept8@2005`,
      "standby +stand | standby | standby +keep7 | standby | standby | taking8 +keep8 | primary8",
    );
  });

  it("goes on above an epoch that a receiver has seen, after a lease's time", () => {
    check(
      "outdated20@2000 confirmed1:4000@4010 tick@4999 tick@5000 view:21/1+1@5010 kept21@5020",
      "standby~5000 +keep20 | standby~5000 | standby~5000 | trying +take21 +keep21 | taking21 +keep21 | primary21",
      PRIMARY,
    );
    check("outdated8@2000 tick@5000", "standby~5000 | trying +take9 +keep9", PRIMARY);
    check("outdated7@2000", "primary8", PRIMARY);
  });

  it("waits out a lease's time when etcd was wiped, and again when it had no lease meanwhile", () => {
    check(
      "view:g1@2000 leased4@2010 view:+4g1@2020 lost4@4000 leased5@4900 view:+5g1@4910 tick@7900 tick@8400",
      "standby +release1 +stand | standby~5010 | standby~5010 | standby +stand | standby~7900 | standby~7900 | standby?8000 | trying +take9 +keep9",
      PRIMARY,
    );
    check(
      "tick@3700 view:g1@4000 leased4@4010",
      "fenced8 | standby +release1 +stand | standby~7010",
      PRIMARY,
    );
  });

  it("does not believe a restored etcd that names it for an epoch long gone", () => {
    check(
      "view:9/2+1@2000 kept9@2001 view:8/1+1g1@2500 tick@5499 tick@5500 view:10/1+1g1@5510",
      "standby +keep9 | standby | standby~5500 | standby~5500 | trying +take10 +keep10 | taking10 +keep10",
      PRIMARY,
    );
  });

  it("gives the place up when the epoch cannot be kept", () => {
    check("view:8/1+1@1110 unkept@1120", "taking8 +keep8 | standby +release1 +stand", TRYING);
  });

  it("ranks last after each flap, longer each time, and tries nevertheless", () => {
    check(
      "lost1@2000 leased4@2010 view:8/1-1+4@2020 tick@2519 tick@2520 view:9/4+4@2530 kept9@2540 lost4@2600 leased5@2610 view:9/4-4+5@2620 tick@3120",
      "standby +stand | standby | standby?2520 | standby?2520 | trying +take9 +keep9 | taking9 +keep9 | primary9 | standby +stand | standby | standby?3120 | trying +take10 +keep10",
      PRIMARY,
    );
  });

  it("forgives flaps after a stable minute", () => {
    const end = run(`${PRIMARY} lost1@2000`).state;
    assert.equal(end.flaps, 1);
    assert.equal(end.heldUntilMs, 2000 + 2000);
    assert.equal(run(`${PRIMARY} confirmed1:61999@62000 lost1@62001`).state.flaps, 1);
    const twice = `${PRIMARY} lost1@2000 leased4@2010 view:8/1-1+4@2020 tick@2520 view:9/4+4@2530 kept9@2540`;
    assert.equal(run(`${twice} lost4@2600`).state.flaps, 2);
    assert.equal(run(`${twice} confirmed4:70000@70001 lost4@70002`).state.flaps, 1);
  });

  it("gives everything back when it is barred, and takes nothing", () => {
    check(
      "barred@2000 view:8/1-1@2010 tick@9000 admitted@9001",
      "out +release1 | out | out | standby +stand",
      PRIMARY,
    );
  });
});

const TRYING =
  "admitted@0 leased1@0 view:7/2+1@10 kept7@11 confirmed1:1000@1000 view:7/2-2+1@1000 tick@1100";
const PRIMARY = `${TRYING} view:8/1+1@1110 kept8@1120`;
const TERMS: ElectionTerms = {
  ttlMs: 3000,
  skewMs: (_view, isHeld) => (isHeld ? 500 : 100),
  retryMs: 200,
  holdMs: (flaps) => 2000 * flaps,
  stableMs: 60_000,
};

/**
 * Plays a script of `event@ms` words after those of a beginning, and compares states and actions.
 * `view:7/2-2+1g1`: epoch 7 is lease 2's, which stands no more; 1 stands; etcd went back once. `8/2after7/3`: 3 has handed over to 2; it
 * stands only where `+3` says so. `?ms`: tries then, `~ms`: in doubt until then.
 */
function check(script: string, trace: string, begin = "", disk = 0): void {
  const { seen } = run(`${begin} ${script}`.trim(), disk);
  assert.equal(seen.slice(-script.split(" ").length).join(" | "), trace);
}

function run(script: string, disk = 0) {
  let state = newElection(disk);
  const seen = script.split(" ").map((word) => {
    const [name = "", ms] = word.split("@");
    const [next, actions] = nextElection(state, eventOf(name, Number(ms)), Number(ms), TERMS);
    state = next;
    const what = actions.map((action) => {
      if (action.do === "release") return ` +release${action.lease}`;
      return ` +${action.do}${"epoch" in action ? action.epoch : ""}`;
    });
    return phaseOf(next) + what.join("");
  });
  return { state, seen };
}

function phaseOf({ phase }: Election): string {
  if (isOffice(phase)) return `${phase.at}${phase.epoch}`;
  if (phase.at !== "standby" || phase.waits === null) return phase.at;
  return `standby${phase.waits.for === "certainty" ? "~" : "?"}${phase.waits.untilMs}`;
}

function eventOf(word: string, nowMs: number): ElectionEvent {
  if (word.startsWith("view:")) return { is: "viewed", view: viewOf(word.slice(5)) };
  const [, is = "", number = "0", sent = nowMs] = /^([a-z]+)(\d*)(?::(\d+))?$/.exec(word) ?? [];
  const sentMs = Number(sent);
  const lease = { id: number, ttlMs: 3000, sentMs, sentWallMs: sentMs };
  if (is === "leased" || is === "confirmed") return { is, lease };
  if (is === "lost" || is === "ended") return { is, lease: number };
  if (is === "kept" || is === "outdated") return { is, epoch: Number(number) };
  return { is } as ElectionEvent;
}

function viewOf(text: string): SiteView {
  const [, epoch, lease] = /^(\d+)\/(\d+)/.exec(text) ?? [];
  const before = /after(\d+)\/(\d+)/.exec(text);
  const generation = Number(/g(\d+)/.exec(text)?.[1] ?? 0);
  const standing = new Map<string, string>();
  if (lease !== undefined) standing.set(lease, `gw-${lease}`);
  for (const [, one = ""] of text.matchAll(/\+(\d+)/g)) standing.set(one, `gw-${one}`);
  for (const [, one = ""] of text.matchAll(/-(\d+)/g)) standing.delete(one);
  if (lease === "1" && !text.includes("+1")) standing.delete("1");
  const holder =
    epoch === undefined || lease === undefined
      ? null
      : { ...reign(epoch, lease), ...(before && { after: reign(before[1], before[2]) }) };
  return { generation, holder, holderRevision: Number(epoch ?? 0), standing };
}

function reign(epoch = "", lease = "") {
  return { epoch: Number(epoch), gateway: `gw-${lease}`, lease };
}
