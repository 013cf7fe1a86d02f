import { type Config, configShape } from "./schema.ts";
import { kindOf, type Shape } from "./shape.ts";

/** The configuration of an empty file: a broker on loopback that keeps what it acknowledges. Frozen, all the way down. */
export function defaultConfig(): Config {
  return deepFreeze(withDefaults(configShape, {})) as Config;
}

/**
 * A copy of `value` with the schema's default wherever nothing stands. What is required and has no default becomes blank:
 * "", [], {} or 0, so that checks meet the shape they expect; mistakes say that it is missing, and it never leaves parseConfig.
 */
export function withDefaults(shape: Shape, value: unknown): unknown {
  const kind = kindOf(shape);
  if (kind.is === "section") {
    const written = (value ?? shape.default ?? {}) as Record<string, unknown>;
    const filled: Record<string, unknown> = {};
    for (const [key, known] of Object.entries(kind.keys)) {
      if (written[key] === undefined && !shape.required?.includes(key)) continue;
      filled[key] = withDefaults(known, written[key]);
    }
    return filled;
  }
  if (kind.is === "list") {
    const items = (value ?? shape.default ?? []) as unknown[];
    return items.map((item) => withDefaults(kind.items, item));
  }
  return value ?? shape.default ?? blank(kind.is);
}

/** Freezes plain values and everything in them; returns the same value. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  for (const inner of Object.values(value)) deepFreeze(inner);
  return Object.freeze(value);
}

function blank(kind: string): unknown {
  if (kind === "record") return {};
  return kind === "text" || kind === "choice" ? "" : 0;
}
