import assert from "node:assert/strict";
import { it } from "node:test";
import { type Election, newElection } from "../../src/site/election.ts";
import { Succession } from "../../src/site/succession.ts";
import { SimClock } from "../support/sim-clock.ts";

const LEASE = { id: "11", ttlMs: 3000, sentMs: 0, sentWallMs: 0 };

it("the next one is told before anybody here hears that the office is left, and what follows waits until that is on its way", async () => {
  const trace: string[] = [];
  const clock = new SimClock();
  let election: Election = {
    ...newElection(4),
    phase: { at: "primary", epoch: 4, sinceMs: 0 },
    lease: LEASE,
    view: {
      generation: 0,
      holder: { epoch: 4, gateway: "gw-a", lease: LEASE.id },
      holderRevision: 7,
      standing: new Map([
        [LEASE.id, "gw-a"],
        ["12", "gw-b"],
      ]),
    },
  };
  const succession: Succession = new Succession({
    clock,
    timing: { readyMsMax: 250, settleMsMax: 300 },
    tell: (gateway, { is, epoch, lease }) => {
      trace.push(`${is} ${epoch} ${lease} to ${gateway}, ${election.phase.at}`);
      if (is === "named") succession.told(gateway, { is: "ready", epoch, lease: "12" });
      return true;
    },
    settle: async () => void trace.push("settled"),
    gateway: "gw-a",
    candidate: (id) => ({ id, priority: 1, replicated: 0 }),
    ballot: { name: async () => true },
    refresh: async () => undefined,
    refreshSoon: () => undefined,
    election: () => election,
    step: ({ is }) => {
      const at = is === "passing" ? "passing" : "standby";
      election = {
        ...election,
        phase: at === "passing" ? { at, epoch: 4, sinceMs: 0 } : { at, waits: null },
      };
      succession.changed(election);
      trace.push(`followers hear ${at}`);
      setImmediate(() => trace.push("a turn later"));
    },
    handedOver: ({ to, epoch }) => trace.push(`handed over ${epoch} to ${to}`),
  });
  assert.deepEqual(await succession.handOver(), { to: "gw-b", epoch: 5 });
  assert.deepEqual(trace, [
    "named 5 11 to gw-b, primary",
    "settled",
    "over 5 11 to gw-b, passing",
    "followers hear passing",
    "a turn later",
    "handed over 5 to gw-b",
    "followers hear standby",
  ]);
});
