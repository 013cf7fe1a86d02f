import { resolve } from "node:path";
import { errorFields, FieldgateError } from "../base/errors.ts";
import { jsonLog, type Log } from "../base/log.ts";
import { LogRepeats } from "../base/log-repeats.ts";
import { systemBootMs, systemClock } from "../base/system-clock.ts";
import { withCredentials } from "../config/credentials.ts";
import { ConfigLayers } from "../config/file-layers.ts";
import { loadText } from "../config/yaml-load.ts";
import { ConfigTrial } from "../control/config-trial.ts";
import { Gateway, type GatewayTools } from "../gateway.ts";
import { hostTimeSources } from "../health/host-time-sources.ts";
import { openNotifySocket } from "../health/koffi-notify.ts";
import { statusLine } from "../health/status-line.ts";
import { type Heart, Supervision, supervisionOptions } from "../health/supervision.ts";
import { endUnread, LogOutput, unhurriedStderr } from "./log-output.ts";

/** A terminal that hangs up ends what runs in it. */
const ENDING: readonly NodeJS.Signals[] = process.stderr.isTTY
  ? ["SIGTERM", "SIGINT", "SIGHUP"]
  : ["SIGTERM", "SIGINT"];
/** Who sends SIGHUP to other brokers wants them to read their files again. */
const NOTHING_TO_READ =
  "SIGHUP changes nothing: users, keys and certificates are read when they change, a configuration by config apply";

/**
 * `fieldgate run`: resolves when a signal has ended it, with everything stopped.
 * @throws what keeps it from starting
 */
export async function runGateway(configPath: string): Promise<void> {
  // What the gateway writes, the store above all, is for nobody else to read, whoever starts it.
  process.umask(0o077);
  const trial = new ConfigTrial(await loadText(configPath), systemClock);
  const stop = new AbortController();
  const ended = new Promise<NodeJS.Signals>((resolve) => {
    for (const signal of ENDING) {
      process.on(signal, () => {
        if (stop.signal.aborted) process.exit(1);
        stop.abort(new Error(`ended by ${signal}`));
        resolve(signal);
      });
    }
  });
  const watched = new Watched();
  const output = new LogOutput(unhurriedStderr(), systemClock);
  const repeats = new LogRepeats(systemClock);
  const { signal } = stop;
  if (!ENDING.includes("SIGHUP")) {
    const write = (line: string) => output.write(line);
    const log = repeats.thinned(jsonLog({ clock: systemClock, level: () => "info", write }));
    process.on("SIGHUP", () => log.info(NOTHING_TO_READ));
  }
  try {
    while (await runOnce(configPath, { trial, ended, watched, output, repeats, signal }));
  } finally {
    trial.stop();
    endUnread();
  }
}

interface Running {
  readonly trial: ConfigTrial;
  readonly ended: Promise<NodeJS.Signals>;
  readonly watched: Watched;
  readonly output: LogOutput;
  readonly repeats: LogRepeats;
  readonly signal: AbortSignal;
}

/** One life of a gateway. Tells whether another one begins: with a configuration that is tried, or the one before it. */
async function runOnce(
  path: string,
  { trial, ended, watched, output, repeats, signal }: Running,
): Promise<boolean> {
  const { text, isTrying } = trial;
  const layers = await ConfigLayers.of(text, path);
  const config = withCredentials(layers.config, process.env["CREDENTIALS_DIRECTORY"]);
  const clock = systemClock;
  output.pendingBytesMax = config.log.pendingBytesMax;
  const write = (line: string) => output.write(line);
  const { repeatsMax, repeatMinutes, repeatKindsMax } = config.log;
  const everyMs = repeatMinutes * 60_000;
  repeats.limits = { most: repeatsMax, everyMs, kindsMax: repeatKindsMax };
  const log = repeats.thinned(jsonLog({ clock, level: () => layers.live.log.level, write }));
  if (layers.fault !== null)
    log.error("what etcd said last is not used", errorFields(layers.fault));
  const timeSources = hostTimeSources(systemBootMs, process.env);
  const tools = {
    layers,
    clock,
    log,
    random: Math.random,
    timeSources,
    logged: () => ({ ...output.status(), leftOut: repeats.leftOut, forgotten: repeats.forgotten }),
    trial: { trial, text, file: resolve(path) },
  };
  const gateway = new Gateway(config, tools);
  try {
    await gateway.start(signal);
    if (isTrying) await refuseWaiting(gateway);
  } catch (error) {
    if (signal.aborted) return false;
    log.error("gateway did not start", errorFields(error));
    if (!isTrying) throw error;
    trial.goBack(`it did not start: ${error instanceof Error ? error.message : error}`);
    return true;
  }
  await watched.by(gateway, { clock, log });
  log.info("ready", { gateway: config.gateway.id, site: config.gateway.site });
  const why = await Promise.race([ended, trial.changed(text)]);
  if (why === undefined) {
    log.warn("restarting with another configuration", { ...trial.status() });
  } else {
    log.info("stopping", { signal: why });
    await watched.stop();
  }
  await gateway.stop();
  log.info("stopped");
  return why === undefined;
}

/**
 * An address that is not there yet may come, and a gateway waits for it; in a configuration that is only tried it is a mistake.
 * @throws FieldgateError ERR_LISTEN, the gateway being stopped
 */
async function refuseWaiting(gateway: Gateway): Promise<void> {
  for (const { waiting } of gateway.status().broker.listeners) {
    if (waiting === null) continue;
    await gateway.stop();
    throw new FieldgateError("ERR_LISTEN", waiting);
  }
}

/** systemd watches one process, whichever gateway lives in it: a restart within it is no stop. */
class Watched {
  #gateway: Gateway | null = null;
  #supervision: Supervision | null = null;
  readonly #listeners = new Set<() => void>();

  /** From now on this gateway's life is the process's. Ready is said once. */
  async by(gateway: Gateway, tools: Pick<GatewayTools, "clock" | "log">): Promise<void> {
    this.#gateway = gateway;
    for (const listener of this.#listeners) gateway.heart.onCommit(listener);
    if (this.#supervision !== null) return;
    const options = supervisionOptions(process.env, process.pid);
    if (options === null) return;
    this.#supervision = this.#supervise(options, tools);
    await this.#supervision.start();
  }

  async stop(): Promise<void> {
    await this.#supervision?.stop();
  }

  #supervise(
    options: NonNullable<ReturnType<typeof supervisionOptions>>,
    { clock, log }: { readonly clock: GatewayTools["clock"]; readonly log: Log },
  ): Supervision {
    return new Supervision(options, {
      clock,
      log: log.part("health"),
      open: openNotifySocket,
      heart: this.#heart(),
      status: () => (this.#gateway === null ? "" : statusLine(this.#gateway.status())),
    });
  }

  #heart(): Heart {
    const gateway = () => this.#gateway as Gateway;
    const listeners = this.#listeners;
    return {
      onCommit(listener) {
        listeners.add(listener);
        gateway().heart.onCommit(listener);
        return () => listeners.delete(listener);
      },
      commit: () => gateway().heart.commit(),
      get retryAtMs() {
        return gateway().heart.retryAtMs;
      },
    };
  }
}
