import { redact } from "./redact.ts";
import type { Config } from "./schema.ts";

/** One key that differs. Null: it is not there. Secrets are hidden; that one has changed is told. */
export interface Difference {
  /** `uplink.rules[0].match` */
  readonly path: string;
  readonly before: string | null;
  readonly after: string | null;
}

/** What differs between two configurations, defaults filled in, key by key in the order of the schema. */
export function differences(before: Config, after: Config): readonly Difference[] {
  const [old, now] = [leaves(before), leaves(after)];
  const [oldShown, nowShown] = [leaves(redact(before)), leaves(redact(after))];
  const paths = new Set([...old.keys(), ...now.keys()]);
  return [...paths]
    .filter((path) => old.get(path) !== now.get(path))
    .map((path) => {
      const [was, is] = [oldShown.get(path) ?? null, nowShown.get(path) ?? null];
      return { path, before: was, after: was !== null && was === is ? `${is} (another one)` : is };
    });
}

/** Every value that is no object and no list, as JSON, by its path; empty ones count as values. */
function leaves(value: unknown, at = "", into = new Map<string, string>()): Map<string, string> {
  const inner = typeof value === "object" && value !== null ? Object.entries(value) : [];
  if (inner.length === 0) {
    into.set(at, JSON.stringify(value));
    return into;
  }
  for (const [key, child] of inner) {
    if (Array.isArray(value)) leaves(child, `${at}[${key}]`, into);
    else leaves(child, at === "" ? key : `${at}.${key}`, into);
  }
  return into;
}
