import { dirname, join } from "node:path/posix";

/** A file of the tree: its path from the top, with slashes, and what it says. */
export interface Source {
  readonly path: string;
  readonly text: string;
}

/** What is wrong with a file, each as a phrase; nothing when it keeps the rule. */
export type Rule = (file: Source) => readonly string[];

/** The rooms of the house: ARCHITECTURE.md says what lives in each. */
const PARTS =
  "base mqtt config access journal broker devices uplink site replica health doctor control cli".split(
    " ",
  );

/** What stands below the parts, in layers: a part may use these, and they only those before them. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  base: [],
  mqtt: ["base"],
  config: ["base", "mqtt"],
};

/** Where a package may be imported: in files that are named after it. */
const HOMES: Readonly<Record<string, RegExp>> = {
  jose: /^src\/access\/jose-/,
  aedes: /^src\/broker\/aedes-/,
  "aedes-persistence-level": /^src\/broker\/level-/,
  mqtt: /^src\/uplink\/mqtt-/,
  "mqtt-packet": /^src\/(mqtt|broker)\/mqtt-packet-/,
  serialport: /^src\/devices\/serial-/,
  etcd3: /^src\/site\/etcd-/,
  systeminformation: /^src\/health\/host-/,
  koffi: /^src\/health\/koffi-/,
  "prom-client": /^src\/health\/prom-/,
  "classic-level": /^src\/journal\/level-/,
  ws: /^src\/broker\/net-ws-/,
  yaml: /^src\/config\/yaml-/,
  "modern-tar": /^src\/cli\/tar-/,
  typebox: /^src\/config\//,
  "@peculiar/x509": /^src\/replica\/x509-/,
  "reflect-metadata": /^src\/replica\/x509-/,
};

const LINES_MAX = 400;

export const isShort: Rule = ({ path, text }) => {
  const lines = text.trimEnd().split("\n").length;
  return path.startsWith("src/") && lines > LINES_MAX ? [`${lines} lines`] : [];
};

export const hasRoom: Rule = ({ path }) => {
  const [top, part = ""] = path.split("/");
  if (top !== "src" || /^src\/(main|gateway(-[a-z]+)?)\.ts$/.test(path)) return [];
  return PARTS.includes(part) ? [] : ["lies in no part of the house"];
};

export const exportsSomething: Rule = ({ path, text }) => {
  if (!path.startsWith("src/") || path === "src/main.ts" || path.endsWith(".d.ts")) return [];
  return /^export /m.test(text) ? [] : ["exports nothing"];
};

/**
 * gateway.ts, main.ts and the commands introduce the parts to each other: they may see all of them, and package.json for
 * the version.
 */
export const knowsNoOtherPart: Rule = ({ path, text }) => {
  const [top, part = ""] = path.split("/");
  if (top !== "src" || !path.endsWith(".ts")) return [];
  const wires = part.endsWith(".ts") || part === "cli";
  const allowed = [part, ...(LAYERS[part] ?? Object.keys(LAYERS))];
  return relativeImports(path, text)
    .filter((target) => {
      if (wires) return !target.startsWith("src/") && target !== "package.json";
      const [targetTop, targetPart = ""] = target.split("/");
      return targetTop !== "src" || !allowed.includes(targetPart);
    })
    .map((target) => `imports ${target}`);
};

export const importsPackagesWhereTheyLive: Rule = ({ path, text }) => {
  if (!path.startsWith("src/")) return [];
  return packages(text)
    .filter((name) => HOMES[name]?.test(path) !== true)
    .map((name) => `imports ${name}`);
};

/** The simulator stands in for hardware: what it shared with us it could not find wrong. */
export const simulatesAlone: Rule = ({ path, text }) => {
  if (!path.startsWith("firmware-sim/")) return [];
  return relativeImports(path, text)
    .filter((target) => !target.startsWith("firmware-sim/"))
    .map((target) => `imports ${target}`);
};

/** Spelt so that the patterns do not find themselves. */
const MARKS = new RegExp(`\\b(?:${["TO" + "DO", "FIX" + "ME", "HA" + "CK"].join("|")})\\b`, "g");
const MACHINE = new RegExp(`(?<![\\w.])/${"work"}/`, "g");

export const leavesNothingForLater: Rule = ({ text }) => found(text, MARKS);

export const namesNoMachine: Rule = ({ text }) => found(text, MACHINE);

export const leavesNoTestOut: Rule = ({ path, text }) => {
  if (!path.startsWith("test/")) return [];
  return [
    ...found(text, /\b(?:it|test|describe|suite)\.(?:only|skip|todo)\b/g),
    ...found(text, /\b(?:only|skip|todo): ?true\b/g),
  ];
};

export const asserts: Rule = ({ path, text }) => {
  if (!path.endsWith(".test.ts")) return [];
  return /\bassert\b|\bcheck\w*\(|\/contract\//.test(text) ? [] : ["asserts nothing"];
};

/** Paths from the top of the tree of what a file imports by a relative path. */
function relativeImports(path: string, text: string): string[] {
  return specifiers(text)
    .filter((specifier) => specifier.startsWith("."))
    .map((specifier) => join(dirname(path), specifier));
}

/** Names of the packages that a file imports, those of Node aside. */
function packages(text: string): string[] {
  return specifiers(text)
    .filter((specifier) => !specifier.startsWith(".") && !specifier.startsWith("node:"))
    .map((specifier) => specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/"));
}

/** What stands in `from "…"`, `import "…"`, `import("…")` and `require("…")`. */
function specifiers(text: string): string[] {
  const pattern = /(?:\bfrom\s*|^import\s*|\bimport\(\s*|\brequire\(\s*)(["'])([^"'\n]+)\1/gm;
  return [...text.matchAll(pattern)].map((match) => match[2] ?? "");
}

function found(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map((match) => `says ${match[0]}`);
}
