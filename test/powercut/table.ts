import type { Outcome } from "./check-cut.ts";
import { REMAINS } from "./crash-state.ts";
import { faults, type Verdict } from "./verdict.ts";

/** What is wrong with an outcome; nothing for a cut that was survived. */
export function wrongWith({ failure, imbalance, verdict, reports }: Outcome): string[] {
  // Before the first acknowledgement a store may be half made, and is then set aside.
  const isFalseAlarm = reports.length > 0 && (verdict?.acknowledged ?? 0) > 0;
  return [
    ...(isFalseAlarm ? [`reported though the disk kept its word: ${reports.join("; ")}`] : []),
    ...(failure === null ? [] : [`did not serve: ${failure}`]),
    ...(imbalance === null ? [] : [`books: ${imbalance}`]),
    ...(verdict === null ? [] : faults(verdict)),
  ];
}

/**
 * With a disk that lies, what it lost may be lost. Still the broker starts and serves, delivers no wrong bytes, and reports
 * when something is missing in the midst of what it has.
 */
export function wrongWithLiar(outcome: Outcome): string[] {
  const { failure, fileSystem, verdict, reports } = outcome;
  if (fileSystem === "beyond repair") return [];
  if (verdict === null) return [`did not serve: ${failure}`];
  const { wrong, stuck } = verdict;
  const holes = reports.length > 0 ? [] : verdict.holes;
  return faults({ ...NOTHING, wrong, holes, stuck });
}

/** One cut in one line. */
export function line(outcome: Outcome, wrong: readonly string[]): string {
  const { cut, verdict, startMs, reports, fileSystem } = outcome;
  const allowed = wrong.length > 0 ? [] : wrongWith(outcome);
  const known =
    verdict === null ? "" : `${verdict.acknowledged} acknowledged, ${verdict.repeated} repeated, `;
  const said = reports.length > 0 ? ` [${reports.join("; ")}]` : "";
  const result = [
    ...(fileSystem === "sound" ? [] : [`file system ${fileSystem}`]),
    wrong.length > 0 ? `WRONG: ${wrong.join("; ")}` : "ok",
    ...allowed,
  ].join("; ");
  return `cut at ${cut.position} (${cut.remains}, seed ${cut.seed}): ${known}ready in ${startMs.toFixed(0)} ms: ${result}${said}`;
}

const COLUMNS: readonly (readonly [string, (outcomes: readonly Outcome[]) => number])[] = [
  ["cuts", (outcomes) => outcomes.length],
  ["acknowledgements", sum("acknowledged")],
  ["cuts with a loss", (outcomes) => outcomes.filter(isLossy).length],
  ["cuts that lost messages", (outcomes) => outcomes.filter((o) => lostBy(o) > 0).length],
  ["messages lost", (outcomes) => outcomes.reduce((total, o) => total + lostBy(o), 0)],
  ["worst", (outcomes) => Math.max(0, ...outcomes.map(lostBy))],
  ["retained lost", sum("lostRetained")],
  ["wills lost", sum("lostWills")],
  ["subscriptions lost", sum("lostSubscriptions")],
  ["sessions lost", sum("lostSessions")],
  ["did not start", (outcomes) => outcomes.filter(({ failure }) => failure !== null).length],
  ["QoS 2 twice", sum("twice")],
  ["out of order", sum("disordered")],
  ["wrong bytes", sum("wrong")],
  ["identity reused", sum("identitiesReused")],
  ["missing in the midst", sum("holes")],
  [
    "file system repaired",
    (outcomes) => outcomes.filter(({ fileSystem }) => fileSystem === "repaired").length,
  ],
  ["books off", (outcomes) => outcomes.filter(({ imbalance }) => imbalance !== null).length],
  ["QoS 1 repeated", sum("repeated")],
  ["with reports", (outcomes) => outcomes.filter(({ reports }) => reports.length > 0).length],
  ["slowest start, ms", (outcomes) => Math.round(Math.max(0, ...outcomes.map((o) => o.startMs)))],
];

/** The outcomes counted, a row for each kind of remains and one for all, in Markdown. */
export function table(outcomes: readonly Outcome[]): string {
  const kinds = REMAINS.map((kind) => outcomes.filter(({ cut }) => cut.remains === kind));
  const rows = COLUMNS.map(([name, count]) => [name, ...[...kinds, outcomes].map(count)]);
  const head = ["", ...REMAINS, "all"];
  return [head, head.map(() => "---"), ...rows]
    .map((cells) => `| ${cells.join(" | ")} |`)
    .join("\n");
}

const NOTHING: Verdict = {
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
  acknowledged: 0,
};

const LOSSES = [
  "lostMessages",
  "lostWills",
  "lostRetained",
  "lostSubscriptions",
  "lostSessions",
] as const;

/** How many messages did not come to one or another who should have them. */
function lostBy({ verdict }: Outcome): number {
  return new Set(verdict?.lostMessages.map((lost) => lost.split(": ")[1])).size;
}

function isLossy({ verdict }: Outcome): boolean {
  return verdict !== null && LOSSES.some((what) => verdict[what].length > 0);
}

function sum(what: keyof Verdict): (outcomes: readonly Outcome[]) => number {
  return (outcomes) =>
    outcomes.reduce((total, { verdict }) => {
      const found = verdict?.[what] ?? 0;
      return total + (typeof found === "number" ? found : found.length);
    }, 0);
}
