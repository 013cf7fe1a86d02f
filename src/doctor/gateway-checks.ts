import { duration } from "../base/duration.ts";
import type { Check, Finding } from "./finding.ts";

/** Another gateway that copies our journal. */
export interface PeerAnswer {
  readonly id: string;
  readonly address: string;
  readonly state: string;
  readonly inSync: boolean;
  readonly lagMs: number;
  readonly lastError: Readonly<Record<string, unknown>> | null;
}

/** What the running gateway says of itself, or that nobody answered and why. */
export type GatewayAnswer =
  | {
      readonly exit: 0 | 1 | 2;
      readonly reasons: readonly string[];
      readonly uptimeMs: number;
      readonly pid: number;
      /** Times that the wall clock was set by more than a second, and by how much last. */
      readonly steps: number;
      readonly lastStepMs: number | null;
      readonly sessions: {
        readonly sessions: number;
        readonly away: number;
        readonly sessionsMax: number;
        readonly nearlyFull: boolean;
      };
      /** Null when it copies nothing. */
      readonly peers: readonly PeerAnswer[] | null;
    }
  | {
      readonly error: string;
      /** Whoever asks may not: of the gateway nothing is known. */
      readonly isForbidden?: boolean;
    };

/** Whether the gateway runs, what it complains of, and what only it can have seen: a clock that was set, its peers. */
export function gatewayChecks(answer: GatewayAnswer, hasPeers: boolean): readonly Check[] {
  const peers = hasPeers ? [{ id: "peers", run: async () => peerFindings(answer) }] : [];
  return [
    { id: "gateway", run: async () => [finding(answer)] },
    { id: "clock.jump", run: async () => [jumpFinding(answer)] },
    { id: "sessions", run: async () => [sessionsFinding(answer)] },
    ...peers,
  ];
}

function finding(answer: GatewayAnswer): Finding {
  const id = "gateway";
  if ("error" in answer && answer.isForbidden) {
    const what = "whether it runs cannot be told";
    return { id, verdict: "unknown", what, why: answer.error, todo: "sudo fieldgate doctor" };
  }
  if ("error" in answer) {
    return {
      id,
      verdict: "critical",
      what: "no gateway answers",
      why: answer.error,
      todo: "systemctl status fieldgate; journalctl -u fieldgate -n 50",
    };
  }
  const what = `running for ${answer.uptimeMs < 60_000 ? "less than a minute" : duration(answer.uptimeMs)}`;
  if (answer.exit === 0) return { id, verdict: "fine", what };
  return {
    id,
    verdict: answer.exit === 2 ? "critical" : "warning",
    what: `${what}, and complains`,
    why: answer.reasons.join("\n"),
    todo: "fieldgate status",
  };
}

/** One step is how a machine without a battery-backed clock gets its time: it is no fault. */
const STEPS_USUAL = 1;

function jumpFinding(answer: GatewayAnswer): Finding {
  const id = "clock.jump";
  if ("error" in answer) {
    const why = "only a running gateway sees it";
    return { id, verdict: "unknown", what: "whether the clock has jumped cannot be told", why };
  }
  const { steps, lastStepMs } = answer;
  if (lastStepMs === null)
    return { id, verdict: "fine", what: "was not set since the gateway started" };
  const what = `set ${steps} times since the gateway started, last ${lastStepMs < 0 ? "back" : "forward"} by ${duration(Math.abs(lastStepMs))}`;
  if (steps <= STEPS_USUAL) return { id, verdict: "fine", what };
  return {
    id,
    verdict: "warning",
    what,
    why: "two that set the clock in turns, or a clock that fails: stamps of messages jump with it",
    todo: "timedatectl timesync-status; is more than one of systemd-timesyncd, chrony, ntpd running?",
  };
}

function sessionsFinding(answer: GatewayAnswer): Finding {
  const id = "sessions";
  if ("error" in answer) {
    const why = "only a running gateway knows how many there are";
    return { id, verdict: "unknown", what: "whether there is room for more cannot be told", why };
  }
  const { sessions, away, sessionsMax, nearlyFull } = answer.sessions;
  const what = `${sessions} of ${sessionsMax} persistent sessions, ${away} of clients that are away`;
  if (!nearlyFull) return { id, verdict: "fine", what };
  return {
    id,
    verdict: "warning",
    what,
    why: "at mqtt.sessionsMax a client that wants a session of its own is refused (CONNACK 3)",
    todo: "fieldgate clients shows who is away for how long; fieldgate clients forget ID ends such a session, mqtt.sessionExpiryHours all that stay away",
  };
}

function peerFindings(answer: GatewayAnswer): readonly Finding[] {
  const id = "peers";
  if ("error" in answer) {
    const why = "only a running gateway is connected to them";
    return [{ id, verdict: "unknown", what: "whether peers are in sync cannot be told", why }];
  }
  const { peers } = answer;
  if (peers === null || peers.length === 0) {
    const why = "no other gateway of the site has shown itself in etcd";
    const todo = "is the other gateway running, has it the same gateway.site? fieldgate site";
    return [{ id, verdict: "warning", what: "no peer is known", why, todo }];
  }
  return peers.map(({ id: peer, address, state, inSync, lagMs, lastError }): Finding => {
    const name = `peers.${peer}`;
    if (inSync) return { id: name, verdict: "fine", what: `${peer} at ${address} is in sync` };
    const error = lastError?.["error"];
    return {
      id: name,
      verdict: "warning",
      what: `${peer} at ${address} is not in sync: ${state === "connected" ? `${lagMs} ms behind` : state}`,
      why:
        typeof error === "string" ? error : "what is acknowledged here may not be on its disk yet",
      todo: "run fieldgate doctor there; do cluster.peer certificates and clocks of both agree?",
    };
  });
}
