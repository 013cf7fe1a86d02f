import {
  access,
  constants,
  copyFile,
  open,
  realpath,
  rename,
  stat,
  unlink,
} from "node:fs/promises";
import { dirname } from "node:path";
import { duration } from "../base/duration.ts";
import { FieldgateError } from "../base/errors.ts";
import { systemClock } from "../base/system-clock.ts";
import type { Difference } from "../config/difference.ts";
import { loadConfig, loadText } from "../config/yaml-load.ts";
import type { TrialStatus } from "../control/config-trial.ts";
import { CONFIG_PATH, type Invocation, textOf } from "./command.ts";
import { askGateway, tellGateway } from "./socket.ts";
import { paint, say } from "./terminal.ts";

/** How long a gateway may take to stop and to start again. */
const RESTART_MS_MAX = 60_000;
const LOOK_MS = 200;

/** `config diff FILE`: 1 when it would change something. */
export async function diff(invocation: Invocation, file: string): Promise<number> {
  await loadConfig(file); // says where its mistakes are
  const told = await tellGateway(invocation, "config/diff", { text: await loadText(file) });
  const { differences } = told as { readonly differences: readonly Difference[] };
  say(invocation.json, told, () => screen(differences));
  return differences.length === 0 ? 0 : 1;
}

/** `config apply FILE --confirm 5m`: resolves when the gateway runs with it, or has gone back. */
export async function apply(invocation: Invocation, file: string): Promise<number> {
  const confirmMs = confirmMsOf(invocation);
  await loadConfig(file);
  const text = await loadText(file);
  const begun = await tellGateway(invocation, "config/apply", { text, confirmMs });
  const { differences } = begun as { readonly differences: readonly Difference[] };
  const { state, remainingMs, last, file: kept } = await settled(invocation);
  const told = {
    differences,
    state,
    remainingMs,
    last,
    file: kept,
    fileError: await unwritable(kept),
  };
  const isTried = state === "trying";
  say(invocation.json, told, () =>
    isTried
      ? `${screen(differences)}The gateway runs with ${file}. Confirm within ${duration(1000 * Math.ceil((remainingMs ?? 0) / 1000))}: fieldgate config confirm
Otherwise it goes back by itself.\n${cannotKeep(told)}`
      : `${paint("red", `The gateway has gone back: ${last?.why ?? "unknown"}`)}\n`,
  );
  return isTried ? 0 : 2;
}

/** `config confirm`: writes the file that the gateway is started with, keeps the one before beside it, and tells the gateway. */
export async function confirm(invocation: Invocation): Promise<number> {
  const { state, text, file } = (await askGateway(invocation, "config/trial")) as TrialTold;
  if (state !== "trying") {
    throw new FieldgateError("ERR_CONFIG_TRIAL", "no configuration is being tried");
  }
  const configPath = await meant(invocation, file);
  const before = `${configPath}.before`;
  await replace(configPath, before, text);
  try {
    await tellGateway(invocation, "config/confirm", {});
  } catch (error) {
    await copyFile(before, configPath); // too late: the gateway has gone back, and the file goes with it
    throw error;
  }
  const told = { confirmed: true, file: configPath, before };
  say(invocation.json, told, () => `${configPath} is written; what was there is ${before}\n`);
  return 0;
}

/** `config revert`: goes back now. */
export async function revert(invocation: Invocation): Promise<number> {
  await tellGateway(invocation, "config/revert", {});
  const { text: _, ...told } = await settled(invocation);
  say(invocation.json, told, () => "The gateway has gone back to what it ran with before.\n");
  return 0;
}

type TrialTold = TrialStatus & {
  readonly text: string;
  /** That the gateway is started with. */
  readonly file: string;
  readonly isRestarting: boolean;
};

/** The file to write: the gateway's own, whichever socket it was found by. A named one must be that. */
async function meant({ configPath }: Invocation, file: string): Promise<string> {
  const real = (path: string) => realpath(path).catch(() => path);
  if (configPath === CONFIG_PATH || (await real(configPath)) === (await real(file))) return file;
  const message = `the gateway is started with ${file}, not with ${configPath}: not confirmed`;
  throw new FieldgateError("ERR_CONFIG_TRIAL", message);
}

/** Why `config confirm` could not replace the file; null when it can. */
async function unwritable(file: string): Promise<string | null> {
  return access(dirname(file), constants.W_OK).then(
    () => null,
    ({ code }: NodeJS.ErrnoException) => code ?? "unknown",
  );
}

function cannotKeep({ file, fileError }: { file: string; fileError: string | null }): string {
  if (fileError === null) return "";
  const todo =
    fileError === "EROFS" ? "mount it writable before (mount -o remount,rw /)" : "ask as root";
  return `${paint("yellow", `  ! config confirm cannot write ${file} (${fileError}): ${todo}`)}\n`;
}

function screen(differences: readonly Difference[]): string {
  if (differences.length === 0) return "nothing differs from what the gateway runs with\n";
  const lines = differences.map(({ path, before, after }) => {
    const was = before === null ? [] : [paint("red", `- ${path}: ${before}`)];
    const is = after === null ? [] : [paint("green", `+ ${path}: ${after}`)];
    return [...was, ...is].join("\n");
  });
  return `${lines.join("\n")}\n`;
}

function confirmMsOf(invocation: Invocation): number {
  const text = textOf(invocation, "confirm");
  const found = /^(\d+)(s|m|h)$/.exec(text ?? "");
  const unit = { s: 1000, m: 60_000, h: 3_600_000 }[found?.[2] as "s" | "m" | "h"];
  if (found === null || unit === undefined) {
    const message = "apply wants --confirm TIME, such as 30s, 5m or 1h: so long it is tried";
    throw new FieldgateError("ERR_USAGE", message);
  }
  return Number(found[1]) * unit;
}

/** Asks until the gateway answers and runs with what it is to run with: it is away while it restarts. */
async function settled(invocation: Invocation): Promise<TrialTold> {
  const deadlineMs = systemClock.monotonicMs() + RESTART_MS_MAX;
  while (systemClock.monotonicMs() < deadlineMs) {
    await systemClock.sleep(LOOK_MS);
    try {
      const told = (await askGateway(invocation, "config/trial")) as TrialTold;
      if (!told.isRestarting) return told;
    } catch (error) {
      const isAway = error instanceof FieldgateError && error.code === "ERR_CONTROL";
      if (!isAway) throw error;
    }
  }
  throw new FieldgateError("ERR_CONTROL", "the gateway has not come back: fieldgate doctor");
}

/** All or nothing, also when the power is cut; mode and owner stay. */
async function replace(path: string, before: string, text: string): Promise<void> {
  const fresh = `${path}.new`;
  try {
    const { uid, gid, mode } = await stat(path);
    await copyFile(path, before);
    const file = await open(fresh, "w", mode);
    try {
      await file.writeFile(text);
      await file.chown(uid, gid).catch(() => {}); // only root may, and only root needs to
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(fresh, path);
  } catch (cause) {
    await unlink(fresh).catch(() => {});
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new FieldgateError("ERR_FILE", `${path} cannot be written: ${why}; not confirmed`, {
      cause,
      details: { path },
    });
  }
}
