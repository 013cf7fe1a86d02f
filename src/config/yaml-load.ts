import { type FileHandle, open } from "node:fs/promises";
import { FieldgateError } from "../base/errors.ts";
import { formatByteSize } from "./byte-size.ts";
import { check } from "./check.ts";
import type { ConfigNode } from "./config-node.ts";
import { deepFreeze, withDefaults } from "./defaults.ts";
import { type Finding, type Mistake, type Place, parentPath } from "./mistake.ts";
import { blame, type Overlay, overlaid } from "./overlay.ts";
import { type Config, configShape } from "./schema.ts";
import { validate } from "./validate.ts";
import { type YamlLimits, yamlTree } from "./yaml-tree.ts";

export interface ConfigLimits extends YamlLimits {
  /** Of the file; a longer one is refused unread. */
  readonly bytesMax: number;
  /** Mistakes that one error lists; `details.omitted` counts the others. */
  readonly mistakesMax: number;
}

const usualLimits: ConfigLimits = {
  bytesMax: 2 ** 20,
  tokensMax: 200_000,
  depthMax: 64,
  nodesMax: 50_000,
  mistakesMax: 100,
};

/**
 * The configuration in the YAML file at `path`, defaults filled in, frozen. Throws FieldgateError ERR_CONFIG_UNREADABLE
 * when there is no reading the file, and what parseConfig throws.
 */
export async function loadConfig(
  path: string,
  limits: Partial<ConfigLimits> = {},
): Promise<Config> {
  return parseConfig(await loadText(path, limits), path, limits);
}

/** The text of the file at `path`. Throws as loadConfig, but for what the text says. */
export async function loadText(path: string, limits: Partial<ConfigLimits> = {}): Promise<string> {
  const bytesMax = limits.bytesMax ?? usualLimits.bytesMax;
  const bytes = await readStart(path, bytesMax + 1).catch((cause: unknown) => {
    throw unreadable(path, cause);
  });
  if (bytes.length > bytesMax) {
    const message = `the file is larger than ${formatByteSize(bytesMax)}: it was not read`;
    throw invalid(path, [{ line: 1, column: 1, path: "", code: "limit", message }], limits);
  }
  return utf8(bytes, path, limits);
}

/**
 * The configuration that `text` states, defaults filled in, frozen. Throws FieldgateError ERR_CONFIG_INVALID with
 * `details.mistakes`: every Mistake there is, in the order of the file. `fileName` is only named in messages.
 */
export function parseConfig(
  text: string,
  fileName: string,
  limits: Partial<ConfigLimits> = {},
): Config {
  const tree = yamlTree(text, { ...usualLimits, ...limits });
  const { config, mistakes } = configOf(tree.root);
  const all = [...tree.mistakes, ...afterSyntax(mistakes, tree.mistakes)];
  if (all.length > 0) throw invalid(fileName, all, limits);
  return deepFreeze(config);
}

/**
 * The configuration of a text with something laid over it, frozen; what is wrong is told by the keys that are to blame.
 * @param text is valid by itself
 * @throws FieldgateError ERR_CONFIG_INVALID with `details.refused`: every Refusal there is
 */
export function parseOverlaid(text: string, overlay: Overlay): Config {
  const { root, refused } = overlaid(yamlTree(text, usualLimits).root, overlay, usualLimits);
  const { config, mistakes } = configOf(root);
  const all = refused.length > 0 ? refused : blame(overlay, mistakes);
  if (all.length === 0) return deepFreeze(config);
  const told = all.slice(0, usualLimits.mistakesMax);
  const message = `the configuration in etcd is refused: ${told[0]?.key ?? ""} ${told[0]?.message}`;
  throw new FieldgateError("ERR_CONFIG_INVALID", message, { details: { refused: told } });
}

/** The configuration that a tree states, defaults filled in, as far as it is right; and all that is wrong. */
function configOf(root: ConfigNode): { readonly config: Config; readonly mistakes: Mistake[] } {
  const { value, mistakes, places } = validate(root, configShape);
  const config = withDefaults(configShape, value) as Config;
  const wrong = new Set(mistakes.map((mistake) => mistake.path));
  for (const finding of check(config)) {
    if (isNews(finding, wrong)) mistakes.push(placed(finding, places));
  }
  return { config, mistakes };
}

/** Whether a finding says more than that a value it relies on is wrong. */
function isNews(finding: Finding, wrong: ReadonlySet<string>): boolean {
  return [finding.path, ...(finding.restsOn ?? [])].every((path) => {
    for (let at: string | null = path; at !== null; at = parentPath(at)) {
      if (wrong.has(at)) return false;
    }
    return true;
  });
}

/** Where the syntax is broken, what follows may be misread: a missing key may be there, and the same line is no news. */
function afterSyntax(mistakes: readonly Mistake[], syntax: readonly Mistake[]): Mistake[] {
  const broken = new Set(syntax.map((mistake) => mistake.line));
  return mistakes.filter(
    (mistake) => broken.size === 0 || (mistake.code !== "missing" && !broken.has(mistake.line)),
  );
}

function placed(finding: Finding, places: ReadonlyMap<string, Place>): Mistake {
  const { path, code, message } = finding;
  for (let at: string | null = path; at !== null; at = parentPath(at)) {
    const place = places.get(at);
    if (place) return { ...place, path, code, message };
  }
  return { line: 1, column: 1, path, code, message };
}

function invalid(
  file: string,
  mistakes: readonly Mistake[],
  { mistakesMax = usualLimits.mistakesMax }: Partial<ConfigLimits>,
): FieldgateError {
  const ordered = mistakes.toSorted((a, b) => a.line - b.line || a.column - b.column);
  const shown = ordered.slice(0, mistakesMax);
  const count = `${ordered.length} ${ordered.length === 1 ? "mistake" : "mistakes"}`;
  const first = shown[0] ? `, the first in line ${shown[0].line}` : "";
  return new FieldgateError("ERR_CONFIG_INVALID", `${file} has ${count}${first}`, {
    details: { file, mistakes: shown, omitted: ordered.length - shown.length },
  });
}

function utf8(bytes: Uint8Array, path: string, limits: Partial<ConfigLimits>): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    const message = "the file is not UTF-8 text: save it as UTF-8";
    throw invalid(path, [{ line: 1, column: 1, path: "", code: "syntax", message }], limits);
  }
}

/** The first `length` bytes of a file, or all it has; never more in memory, whatever the path leads to. */
async function readStart(path: string, length: number): Promise<Uint8Array> {
  const file: FileHandle = await open(path, "r");
  try {
    const buffer = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await file.read(buffer, filled, length - filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return buffer.subarray(0, filled);
  } finally {
    await file.close();
  }
}

const remedies: Readonly<Record<string, string>> = {
  ENOENT:
    "there is no such file; start from deploy/fieldgate.example.yaml, or name another with --config",
  EACCES: "permission denied; let the user that runs fieldgate read it (chmod, chown)",
  EPERM: "permission denied; let the user that runs fieldgate read it (chmod, chown)",
  EISDIR: "it is a directory; name the file in it",
  ENOTDIR: "a part of the path is no directory",
};

function unreadable(path: string, cause: unknown): FieldgateError {
  const reason = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
  const message = `cannot read ${path}: ${remedies[reason] ?? reason}`;
  return new FieldgateError("ERR_CONFIG_UNREADABLE", message, {
    cause,
    details: { path, reason },
  });
}
