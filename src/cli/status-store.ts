import { isoTime } from "../base/wall-time.ts";
import type { GatewayStatus } from "../gateway-status.ts";
import { count, row, size } from "./words.ts";

type Journal = GatewayStatus["journal"];

/** A card in good health is ten times faster. */
const COMMIT_MS_SLOW = 200;

/** What is wrong with the store. */
export function storeReasons(journal: Journal): {
  readonly critical: readonly string[];
  readonly warning: readonly string[];
} {
  const { state, error, room, figures } = journal;
  const critical = state === "open" ? [] : [`store ${state}: ${error ?? "not open"}`];
  const warning: string[] = [];
  const short = shortOfRoom(journal);
  if (short !== null) (room === "tight" ? warning : critical).push(short);
  warning.push(...storeDamage(journal));
  const { commitMsMedian } = figures;
  if (commitMsMedian !== null && commitMsMedian > COMMIT_MS_SLOW) {
    warning.push(`store slow: a commit takes ${commitMsMedian.toFixed(0)} ms`);
  }
  return { critical, warning };
}

/** What was lost or set aside, each a line of its own; none for a sound store. */
function storeDamage({ figures, quarantine }: Journal): string[] {
  const damage = damageOf(figures);
  return [
    ...(quarantine === null ? [] : [`a damaged store was set aside: ${quarantine}`]),
    ...(damage === "none" ? [] : [`damage to the store: ${damage}`]),
  ];
}

function shortOfRoom({ room, storeBytes, bytesMax, freeBytes }: Journal) {
  if (room === "free") return null;
  if (room === "disk-full") return `disk full: ${size(freeBytes)} free; publishers wait`;
  const used = `${size(storeBytes)} of ${size(bytesMax)}`;
  return room === "tight" ? `store nearly full: ${used}` : `store full: ${used}; publishers wait`;
}

/** What the journal counts since the start: its work, what it refused at its bounds, what it found damaged. */
export function journalRows({ figures }: Journal): string[] {
  const { commits, syncs, commitMsMedian, commitMsP99, entries } = figures;
  const times =
    commitMsMedian === null || commitMsP99 === null
      ? ""
      : `, ${commitMsMedian.toFixed(1)} ms median, ${commitMsP99.toFixed(1)} ms p99`;
  const failed = figures.writeErrors === 0 ? "" : `, ${count(figures.writeErrors)} writes failed`;
  const work = `${count(entries)} messages in ${count(commits)} commits, ${count(syncs)} syncs`;
  const refused = `${count(figures.refusedFull)} store full, ${count(figures.refusedPending)} disk behind`;
  return [
    row("  commits", `${work}${times}${failed}`),
    row("  refused", refused),
    row("  damage", `${damageOf(figures)}${unfinished(figures)}`),
  ];
}

/** What the messages cost the card, and how long it lasts. */
export function flashLine(flash: GatewayStatus["flash"]): string {
  if (flash === null || (flash.deviceBytes === null && flash.programBytes === null)) {
    return "not told by this machine";
  }
  const since = isoTime(flash.sinceMs).slice(0, 10);
  const { bytesPerMessage, writeAmplification, bytesPerDay, yearsLeft } = flash;
  const parts = [
    `${size(flash.deviceBytes ?? flash.programBytes ?? 0)} written since ${since}`,
    bytesPerMessage === null ? "" : `${count(Math.round(bytesPerMessage))} bytes a message`,
    writeAmplification === null ? "" : `amplification ${writeAmplification.toFixed(1)}`,
    bytesPerDay === null ? "" : `${size(bytesPerDay)} a day`,
    yearsLeft === null
      ? ""
      : `${years(yearsLeft)} left of ${Number(((flash.enduranceBytes ?? 0) / 1e12).toPrecision(3))} TB`,
  ];
  return parts.filter((part) => part !== "").join(", ");
}

/** What a power cut leaves of the last write is no damage, and cannot be told from damage to it. */
function unfinished({ logBytesDropped }: Journal["figures"]): string {
  if (logBytesDropped === 0) return "";
  return `; begun without the last ${count(logBytesDropped)} bytes written`;
}

function damageOf(figures: Journal["figures"]): string {
  const parts = [
    [figures.damagedBlocks, "damaged blocks"],
    [figures.missingEntries, "missing entries"],
    [figures.damagedRows, "damaged rows"],
    [figures.missingReferences, "missing references"],
    [figures.unreadable, "unreadable reads"],
    [figures.filesLost, "lost files"],
  ] as const;
  const found = parts.filter(([number]) => number > 0);
  return found.length === 0
    ? "none"
    : found.map(([number, what]) => `${count(number)} ${what}`).join(", ");
}

function years(value: number): string {
  return value >= 100 ? "over 100 years" : `${value.toFixed(1)} years`;
}
