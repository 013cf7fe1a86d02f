import type { ConfigNode, MapNode } from "./config-node.ts";
import type { Mistake } from "./mistake.ts";
import { type YamlLimits, yamlTree } from "./yaml-tree.ts";

/** What lies over the file: YAML, by the path of the key that it sets, such as `log.level` or `uplink.rules`. */
export type Overlay = Readonly<Record<string, string>>;

/** Why a key of the overlay is refused. `key` is null when no single one is to blame. */
export interface Refusal {
  readonly key: string | null;
  readonly message: string;
}

/** Keys and values beyond these are refused. */
const OVERLAY_KEYS_MAX = 256;
const VALUE_BYTES_MAX = 65_536;
const PATH = /^[A-Za-z]{1,64}(\.[A-Za-z]{1,64}){0,7}$/;
/** Who a gateway is, where its store is and how it reaches etcd: from etcd it could not be mended. */
const FILE_ONLY = ["gateway", "store.path", "cluster", "control"];

/** The tree of a file with the overlay laid over it, key by key, and what could not be. */
export function overlaid(
  root: ConfigNode,
  overlay: Overlay,
  limits: YamlLimits,
): { readonly root: ConfigNode; readonly refused: readonly Refusal[] } {
  const refused: Refusal[] = [];
  let tree = root;
  const keys = Object.keys(overlay).sort();
  if (keys.length > OVERLAY_KEYS_MAX) {
    const message = `${keys.length} keys, and not more than ${OVERLAY_KEYS_MAX} are taken`;
    return { root, refused: [{ key: null, message }] };
  }
  for (const key of keys) {
    const text = overlay[key] ?? "";
    const message = objection(key, text);
    if (message !== null) {
      refused.push({ key, message });
      continue;
    }
    const value = yamlTree(text, limits);
    for (const mistake of value.mistakes) refused.push({ key, message: mistake.message });
    tree = grafted(tree, key.split("."), value.root);
  }
  return { root: tree, refused };
}

/** Which keys of the overlay have made these mistakes: those that set what is wrong, or a part of it. */
export function blame(overlay: Overlay, mistakes: readonly Mistake[]): readonly Refusal[] {
  return mistakes.flatMap(({ path, message }): Refusal[] => {
    const said = `${path} ${message}`;
    const guilty = Object.keys(overlay).filter((key) => isWithin(path, key) || isWithin(key, path));
    if (guilty.length === 0) return [{ key: null, message: said }];
    return guilty.map((key) => ({ key, message: said }));
  });
}

function objection(key: string, text: string): string | null {
  if (!PATH.test(key)) return "is not the path of a key";
  const fixed = FILE_ONLY.find((path) => isWithin(key, path) || isWithin(path, key));
  if (fixed !== undefined) return `${fixed} is set by the file of each gateway, and nowhere else`;
  return text.length > VALUE_BYTES_MAX ? `is longer than ${VALUE_BYTES_MAX} characters` : null;
}

function isWithin(path: string, section: string): boolean {
  return path === section || path.startsWith(`${section}.`) || path.startsWith(`${section}[`);
}

function grafted(node: ConfigNode, keys: readonly string[], value: ConfigNode): ConfigNode {
  const [key, ...rest] = keys;
  if (key === undefined) return value;
  const { place } = node;
  const entries = node.kind === "map" ? node.entries : [];
  const before = entries.find((entry) => entry.key === key);
  const inner = grafted(before?.value ?? { kind: "map", place, entries: [] }, rest, value);
  const others = entries.filter((entry) => entry.key !== key);
  const grown: MapNode = { kind: "map", place, entries: [...others, { key, place, value: inner }] };
  return grown;
}
