import { redactUrl } from "./redact.ts";

/** Where something stands in the file; both count from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

export type MistakeCode =
  | "syntax"
  | "limit"
  | "duplicate-key"
  | "unknown-key"
  | "missing"
  | "type"
  | "size"
  | "range"
  | "choice"
  | "pattern"
  | "topic"
  | "conflict";

/** One thing that is wrong with a configuration file. `path` reads like `listeners[0].port`; "" is the whole file. */
export interface Mistake extends Place {
  readonly path: string;
  readonly code: MistakeCode;
  readonly message: string;
}

/** What a check over several keys found; it becomes a Mistake when its place is known. */
export interface Finding {
  readonly path: string;
  readonly code: MistakeCode;
  readonly message: string;
  /** Other paths that the finding relies on: where one of them is wrong itself, the finding says nothing new. */
  readonly restsOn?: readonly string[];
}

/** The path of a key of the section at `parent`. */
export function keyPath(parent: string, key: string): string {
  const part = /^[A-Za-z0-9_-]{1,64}$/.test(key) ? key : `[${quoted(key)}]`;
  if (part.startsWith("[") || parent === "") return parent + part;
  return `${parent}.${part}`;
}

/** The path of an item of the list at `parent`. */
export function itemPath(parent: string, index: number): string {
  return `${parent}[${index}]`;
}

/** The path of what contains `path`; "" for the whole file, null above it. */
export function parentPath(path: string): string | null {
  if (path === "") return null;
  return path.slice(0, Math.max(0, path.lastIndexOf("."), path.lastIndexOf("[")));
}

/** Text of the file, fit to stand in a line of a terminal: escaped, in quotes, not longer than 64 characters, no password of a URL. */
export function quoted(text: string): string {
  const shown = redactUrl(text);
  return JSON.stringify(shown.length > 64 ? `${shown.slice(0, 61)}...` : shown);
}
