import { assertNever } from "../base/errors.ts";
import { incumbent, reigns } from "./holder.ts";
import type { Holder } from "./records.ts";
import { fenceAtMs, type Lease } from "./role.ts";

/**
 * The election, as a pure state machine: no timers, no etcd. Every gateway of the site keeps a lease of its own, and
 * stands under it; the primary is the one whose lease the key `epoch` names.
 *
 *                                      tried, and someone stands
 *                        ┌────────────────────────────────────────────┐
 *                        ▼                                            │
 *   out ──admitted──▶ standby ──nobody stands, after its rank's skew──▶ trying
 *    ▲                   │                                            │
 *    │ barred,           └──────the key names our lease───────────────┤
 *    │ from any          ▲                                            ▼
 *                        │                                         taking
 *         the key does not name our lease,                            │ epoch is on our disk
 *         or it does under another epoch,                             ▼
 *         or a higher epoch was seen              passing ◀──── primary ──fenceAt──▶ fenced
 *                        │                           │             ▲                   │
 *                        └──── any of these ◀────────┘             └─lease confirmed───┘
 *
 * Hand-over: the primary names the next one in the key `epoch`, beside itself, and acts on. The one that is named has the epoch
 * on its disk by and by, and enters the office when the lease of the one before has ended: that gives its lease back, and says so.
 *
 * - `taking`, `primary`, `fenced` and `passing` are offices: left for good as soon as one of the reasons holds.
 *   An epoch once left is never acted under again.
 * - Only `primary` acts, and asks the clock each time (role.ts).
 * - When nobody stands, the last primary's lease has ended, and it was fenced before. There is doubt when etcd knows less
 *   than we do (it was wiped or restored, or never had an epoch): then someone may act under what it forgot, and nobody
 *   tries before it has stood for a whole lease's time. A lease that still stands proves that etcd was not wiped meanwhile.
 * - A lease whose process is known to have ended, or whose gateway has said that it acts under it no more (`ended`), counts as
 *   one that does not stand, before etcd has heard of it.
 * - Who has named another one and left its office gives its lease back, whatever it left it for.
 * - The epoch that is tried for goes to the disk while etcd is asked: when the answer comes, it is there already.
 * - A primary that is lost often ranks behind all others for a while (`heldUntilMs`): but with no one else it tries.
 */
export type Phase =
  | { readonly at: "out" }
  | { readonly at: "standby"; readonly waits: Wait | null }
  | { readonly at: "trying" }
  | Office;

/** Nobody stands. It waits until nobody can act any more under what etcd forgot; then until its rank's skew is over. */
export interface Wait {
  readonly for: "certainty" | "its turn";
  readonly untilMs: number;
}

export interface Office {
  readonly at: "taking" | "primary" | "fenced" | "passing";
  readonly epoch: number;
  readonly sinceMs: number;
}

/** What etcd's keys say, as far as we know. It never gets older within one generation. */
export interface SiteView {
  /** Grows when etcd was seen to go back. */
  readonly generation: number;
  readonly holder: Holder | null;
  /** Of the key `epoch`; 0 when there is none. */
  readonly holderRevision: number;
  /** Gateways by lease. */
  readonly standing: ReadonlyMap<string, string>;
}

export interface Election {
  readonly phase: Phase;
  readonly lease: Lease | null;
  readonly view: SiteView | null;
  /** The highest epoch seen: on disk, in etcd, by the cloud. */
  readonly knownEpoch: number;
  /** The highest one on our disk. */
  readonly keptEpoch: number;
  /** Epochs up to this one were left. */
  readonly spentEpoch: number;
  /** etcd knows less than we do. */
  readonly doubtful: boolean;
  /** When the last doubt arose. Nobody tries before a lease's time has passed since. */
  readonly doubtSinceMs: number | null;
  /** A lease whose process has ended, whatever etcd says of it. */
  readonly endedLease: string | null;
  /** How often an office was lost by a fault, without a stable one in between. */
  readonly flaps: number;
  readonly heldUntilMs: number;
}

export type ElectionEvent =
  | { readonly is: "admitted" | "barred" | "tick" | "tried" | "unkept" | "passing" | "passed" }
  | { readonly is: "leased"; readonly lease: Lease }
  /** Renewed, and the view that shows it standing was read after that. */
  | { readonly is: "confirmed"; readonly lease: Lease }
  /** Our lease has ended; another one's process has. */
  | { readonly is: "lost" | "ended"; readonly lease: string }
  | { readonly is: "viewed"; readonly view: SiteView }
  | { readonly is: "kept"; readonly epoch: number }
  /** A receiver has seen that epoch from another one. */
  | { readonly is: "outdated"; readonly epoch: number };

export type ElectionAction =
  | { readonly do: "stand" }
  | { readonly do: "release"; readonly lease: string }
  | { readonly do: "keep"; readonly epoch: number }
  | {
      readonly do: "take";
      readonly epoch: number;
      readonly lease: string;
      readonly view: SiteView;
      /** In whose place no question need be asked: its process has ended. */
      readonly ended: string | null;
    };

export interface ElectionTerms {
  /** Of every gateway of the site. */
  readonly ttlMs: number;
  /** How long to leave the primary's place to better ones; `held` ranks last. */
  readonly skewMs: (view: SiteView, held: boolean) => number;
  /** Between two tries. */
  readonly retryMs: number;
  readonly holdMs: (flaps: number) => number;
  /** A primary that lived this long forgives earlier flaps. */
  readonly stableMs: number;
}

/** @param keptEpoch the highest epoch on our disk */
export function newElection(keptEpoch: number): Election {
  return {
    phase: { at: "out" },
    lease: null,
    view: null,
    knownEpoch: keptEpoch,
    keptEpoch,
    spentEpoch: keptEpoch,
    doubtful: false,
    doubtSinceMs: null,
    endedLease: null,
    flaps: 0,
    heldUntilMs: Number.NEGATIVE_INFINITY,
  };
}

/** The only way an election changes. An event that means nothing in a state leaves it as it is. */
export function nextElection(
  before: Election,
  event: ElectionEvent,
  nowMs: number,
  terms: ElectionTerms,
): readonly [Election, readonly ElectionAction[]] {
  const after = settled(told(before, event, nowMs, terms), nowMs, terms);
  return [after, actionsBetween(before, after, event)];
}

/** When the next tick means something. Monotonic milliseconds, or null: never. */
export function dueMs({ phase, lease }: Election): number | null {
  if (phase.at === "standby") return phase.waits?.untilMs ?? null;
  return phase.at === "primary" && lease !== null ? fenceAtMs(lease) : null;
}

export function isOffice(phase: Phase): phase is Office {
  return phase.at !== "out" && phase.at !== "standby" && phase.at !== "trying";
}

/** What the event by itself changes. */
function told(
  state: Election,
  event: ElectionEvent,
  nowMs: number,
  terms: ElectionTerms,
): Election {
  const { phase, lease } = state;
  switch (event.is) {
    case "tick":
      return state;
    case "admitted":
      return phase.at === "out" ? standby(state, null) : state;
    case "barred":
      return { ...freed(state), phase: { at: "out" }, lease: null };
    case "leased":
      return lease === null && phase.at !== "out" ? leased(state, event.lease, nowMs) : state;
    case "confirmed":
      return isNewer(event.lease, lease) ? { ...state, lease: event.lease } : state;
    case "lost":
      return lease?.id === event.lease ? { ...state, lease: null } : state;
    case "ended":
      return { ...state, endedLease: event.lease };
    case "viewed":
      return viewed(state, event.view, nowMs);
    case "tried":
      if (phase.at !== "trying") return state;
      return standby(state, { for: "its turn", untilMs: nowMs + terms.retryMs });
    case "kept":
      return { ...state, keptEpoch: Math.max(state.keptEpoch, event.epoch) };
    case "unkept":
      return phase.at === "taking" ? { ...lost(state, phase, nowMs, terms), lease: null } : state;
    case "outdated":
      return outdated(state, event.epoch, nowMs, terms);
    case "passing":
      if (phase.at !== "primary" && phase.at !== "fenced") return state;
      return { ...state, phase: { ...phase, at: "passing" } };
    case "passed":
      return phase.at === "passing" ? { ...freed(state), lease: null } : state;
    default:
      return assertNever(event);
  }
}

/** Who was without a lease cannot tell whether etcd forgot something meanwhile: a doubt is as young as the lease. */
function leased(state: Election, lease: Lease, nowMs: number): Election {
  return { ...state, lease, doubtSinceMs: state.doubtful ? nowMs : state.doubtSinceMs };
}

function isNewer(renewed: Lease, lease: Lease | null): boolean {
  return renewed.id === lease?.id && renewed.sentMs >= lease.sentMs;
}

function viewed(state: Election, view: SiteView, nowMs: number): Election {
  const knownEpoch = Math.max(state.knownEpoch, view.holder?.epoch ?? 0);
  const doubtful = view.holder === null || view.holder.epoch < knownEpoch;
  const wentBack = state.view !== null && view.generation !== state.view.generation;
  const arises = wentBack || (doubtful && !state.doubtful);
  const stands = state.lease !== null && view.standing.has(state.lease.id);
  return {
    ...state,
    view,
    knownEpoch,
    doubtful,
    doubtSinceMs: arises ? nowMs : state.doubtSinceMs,
    lease: stands ? state.lease : null,
  };
}

/** Someone acts, or acted, under an epoch that etcd has given to us, or does not know. */
function outdated(state: Election, epoch: number, nowMs: number, terms: ElectionTerms): Election {
  const { phase, knownEpoch, spentEpoch } = state;
  const isOurs = isOffice(phase) && phase.epoch <= epoch;
  if (!isOurs && epoch <= knownEpoch) return state;
  return {
    ...(isOurs ? lost(state, phase, nowMs, terms) : state),
    knownEpoch: Math.max(knownEpoch, epoch),
    spentEpoch: Math.max(spentEpoch, epoch),
    doubtful: true,
    doubtSinceMs: nowMs,
  };
}

/** What follows from all that is known now. */
function settled(state: Election, nowMs: number, terms: ElectionTerms): Election {
  const { phase } = state;
  if (phase.at === "out") return state;
  if (!isOffice(phase)) return seeking(state, phase, nowMs, terms);
  if (isOurs(state, phase)) return inOffice(state, phase, nowMs);
  const out = phase.at === "passing" ? freed(state) : lost(state, phase, nowMs, terms);
  return settled(out, nowMs, terms);
}

function isOurs({ lease, view, knownEpoch }: Election, { epoch }: Office): boolean {
  const { holder = null } = view ?? {};
  if (lease === null || holder?.epoch !== knownEpoch) return false;
  return reigns(holder).some((reign) => reign.lease === lease.id && reign.epoch === epoch);
}

function inOffice(state: Election, office: Office, nowMs: number): Election {
  const { lease, keptEpoch } = state;
  if (office.at === "passing" || lease === null) return state;
  if (office.at === "taking" && keptEpoch < office.epoch) return state;
  const at = nowMs < fenceAtMs(lease) ? "primary" : "fenced";
  return at === office.at ? state : { ...state, phase: { ...office, at } };
}

/** Without an office: is there one for us, or one to try for? */
function seeking(
  state: Election,
  phase: Exclude<Phase, Office>,
  nowMs: number,
  terms: ElectionTerms,
): Election {
  const { lease, knownEpoch, spentEpoch } = state;
  const view = viewWithout(state.view, state.endedLease);
  if (lease === null || view === null) return standby(state, null);
  const { holder } = view;
  if (holder?.after?.lease === lease.id) return standby({ ...state, lease: null }, null);
  const place = incumbent(view);
  if (place !== null && place.lease !== lease.id) return standby(state, null);
  const isMine = holder?.lease === lease.id;
  if (isMine && holder.epoch === knownEpoch && holder.epoch > spentEpoch) {
    const office: Office = { at: "taking", epoch: holder.epoch, sinceMs: nowMs };
    return inOffice({ ...state, phase: office }, office, nowMs);
  }
  if (phase.at !== "standby") return state;
  const certainMs = certainAtMs(state, lease, terms);
  if (nowMs < certainMs) return standby(state, { for: "certainty", untilMs: certainMs });
  const skewMs = () => (isMine ? 0 : terms.skewMs(view, nowMs < state.heldUntilMs));
  const isRanked = phase.waits?.for === "its turn";
  const untilMs = isRanked ? phase.waits.untilMs : nowMs + skewMs();
  if (nowMs >= untilMs) return { ...state, phase: { at: "trying" } };
  return standby(state, { for: "its turn", untilMs });
}

/** As if etcd had ended that lease already. */
function viewWithout(view: SiteView | null, lease: string | null): SiteView | null {
  if (view === null || lease === null || !view.standing.has(lease)) return view;
  return { ...view, standing: new Map([...view.standing].filter(([id]) => id !== lease)) };
}

/** From then on nobody acts any more under what etcd forgot. */
function certainAtMs({ doubtSinceMs }: Election, lease: Lease, terms: ElectionTerms): number {
  if (doubtSinceMs === null) return Number.NEGATIVE_INFINITY;
  return doubtSinceMs + Math.max(terms.ttlMs, lease.ttlMs);
}

function standby(state: Election, waits: Wait | null): Election {
  return { ...state, phase: { at: "standby", waits } };
}

/** Leaves an office, if it has one, as it was meant to. */
function freed(state: Election): Election {
  const { phase } = state;
  if (!isOffice(phase)) return state;
  const spentEpoch = Math.max(state.spentEpoch, phase.epoch);
  return standby({ ...state, spentEpoch }, null);
}

/** Leaves an office that a fault has taken. */
function lost(state: Election, office: Office, nowMs: number, terms: ElectionTerms): Election {
  const isForgiven = nowMs - office.sinceMs >= terms.stableMs;
  const flaps = isForgiven ? 1 : state.flaps + 1;
  return { ...freed(state), flaps, heldUntilMs: nowMs + terms.holdMs(flaps) };
}

/** What to do follows from what has changed, whatever the event was. */
function actionsBetween(
  before: Election,
  after: Election,
  event: ElectionEvent,
): readonly ElectionAction[] {
  const actions: ElectionAction[] = [];
  const { lease, phase, knownEpoch, view, endedLease: ended } = after;
  if (before.lease !== null && before.lease.id !== lease?.id && event.is !== "lost") {
    actions.push({ do: "release", lease: before.lease.id });
  }
  if (
    phase.at !== "out" &&
    lease === null &&
    (before.lease !== null || before.phase.at === "out")
  ) {
    actions.push({ do: "stand" });
  }
  if (knownEpoch > before.knownEpoch) actions.push({ do: "keep", epoch: knownEpoch });
  if (phase.at === "trying" && before.phase.at !== "trying" && lease !== null && view !== null) {
    const epoch = knownEpoch + 1;
    actions.push({ do: "take", epoch, lease: lease.id, view, ended }, { do: "keep", epoch });
  }
  return actions;
}
