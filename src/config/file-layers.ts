import { mkdir, open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { FieldgateError } from "../base/errors.ts";
import type { Overlay } from "./overlay.ts";
import type { Config } from "./schema.ts";
import { loadText, parseConfig, parseOverlaid } from "./yaml-load.ts";

const LAST_GOOD = "site-config.json";

/** What happened when an overlay was laid over the file. */
export interface Layered {
  /** As it now would be at a start. */
  readonly next: Config;
  /** What takes effect at once, and has. */
  readonly applied: readonly string[];
  /** What takes effect at the next start. */
  readonly waiting: readonly string[];
}

/**
 * The configuration of a gateway: its file, and over it what the site's etcd says. What was valid last is kept beside the store, so
 * that a gateway starts with it when etcd does not answer.
 */
export class ConfigLayers {
  /** In force since the start. */
  readonly config: Config;
  /** What lay over the file at the start; what is laid over it later lies here too. */
  overlay: Overlay;
  /** Why the last known good was not used. */
  readonly fault: FieldgateError | null;
  readonly #text: string;
  #live: Config;

  private constructor(
    text: string,
    config: Config,
    overlay: Overlay,
    fault: FieldgateError | null,
  ) {
    this.#text = text;
    this.config = config;
    this.#live = config;
    this.overlay = overlay;
    this.fault = fault;
  }

  /** @throws FieldgateError as loadConfig: for the file. A last known good that is not good any more is left alone, and told. */
  static async load(path: string): Promise<ConfigLayers> {
    return ConfigLayers.of(await loadText(path), path);
  }

  /** As `load`, with another text than that of the file. */
  static async of(text: string, path: string): Promise<ConfigLayers> {
    const file = parseConfig(text, path);
    if (file.cluster === undefined) return new ConfigLayers(text, file, {}, null);
    try {
      const overlay = await readLastGood(file.store.path);
      return new ConfigLayers(text, parseOverlaid(text, overlay), overlay, null);
    } catch (error) {
      if (!(error instanceof FieldgateError)) throw error;
      return new ConfigLayers(text, file, {}, error);
    }
  }

  /** What takes effect without a restart is in here as it is now; everything else as it was at the start. */
  get live(): Config {
    return this.#live;
  }

  /**
   * Lays that over the file instead of what lies there, durably.
   * @throws FieldgateError ERR_CONFIG_INVALID with `details.refused`; ERR_STORE_WRITE when it cannot be kept: nothing has changed
   */
  async lay(overlay: Overlay): Promise<Layered> {
    const next = parseOverlaid(this.#text, overlay);
    await writeLastGood(this.config.store.path, overlay);
    this.overlay = overlay;
    const before = this.#live;
    this.#live = withLive(this.config, next);
    const paths = [...LIVE.keys()].filter((path) => differ(path, before, next));
    const rest = withLive(next, this.config);
    return { next, applied: paths, waiting: sectionsThatDiffer(rest, this.config) };
  }
}

/** What takes effect without a restart, and how it gets from one configuration into another. */
const LIVE = new Map<string, (from: Config, into: Config) => Config>([
  ["log.level", (from, into) => ({ ...into, log: { ...into.log, level: from.log.level } })],
  [
    "uplink.rules",
    (from, into) => {
      if (from.uplink === undefined || into.uplink === undefined) return into;
      return { ...into, uplink: { ...into.uplink, rules: from.uplink.rules } };
    },
  ],
]);

function withLive(config: Config, from: Config): Config {
  return [...LIVE.values()].reduce((into, take) => take(from, into), config);
}

function differ(path: string, one: Config, other: Config): boolean {
  return JSON.stringify(at(path, one)) !== JSON.stringify(at(path, other));
}

function at(path: string, config: Config): unknown {
  const inner = (value: unknown, key: string) => (value as Record<string, unknown>)?.[key];
  return path.split(".").reduce(inner, config as unknown);
}

function sectionsThatDiffer(one: Config, other: Config): readonly string[] {
  const paths = Object.entries(one).flatMap(([key, value]) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.keys(value).map((inner) => `${key}.${inner}`)
      : [key],
  );
  return paths.filter((path) => differ(path, one, other)).sort();
}

/** @throws FieldgateError ERR_CONFIG_INVALID when the file is damaged */
async function readLastGood(store: string): Promise<Overlay> {
  const path = join(store, LAST_GOOD);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch {
    return {};
  }
  try {
    const { overlay } = JSON.parse(text) as { overlay: Overlay };
    if (Object.values(overlay).every((value) => typeof value === "string")) return overlay;
  } catch {
    // Said below.
  }
  const message = `${path} is damaged: the file of the gateway alone is in force`;
  throw new FieldgateError("ERR_CONFIG_INVALID", message, { details: { path } });
}

/** All or nothing, also when the power is cut. */
async function writeLastGood(store: string, overlay: Overlay): Promise<void> {
  const path = join(store, LAST_GOOD);
  try {
    await mkdir(store, { recursive: true });
    const file = await open(`${path}.new`, "w", 0o600);
    try {
      await file.writeFile(`${JSON.stringify({ overlay })}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${path}.new`, path);
    const directory = await open(store, "r");
    await directory.sync().finally(() => directory.close());
  } catch (cause) {
    const message = "the configuration from etcd cannot be kept: it was not applied";
    throw new FieldgateError("ERR_STORE_WRITE", message, { cause, details: { path } });
  }
}
