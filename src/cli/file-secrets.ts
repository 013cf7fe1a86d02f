import { readFile } from "node:fs/promises";
import type { Config } from "../config/schema.ts";

const HIDDEN = "***";
/** Shorter ones stand in every text, and hide nothing. */
const SECRET_LENGTH_MIN = 4;
const FILE_BYTES_MAX = 2 ** 20;
/** Keys of files whose content is secret. */
const SECRET_FILE = /^(passwordFile|keyFile|usersFile)$/;

/** Takes secrets out of a text. */
export type Redactor = (text: string) => string;

/**
 * What takes the secrets of a configuration out of any text, whichever way they came there: passwords in URLs, what stands in
 * the files that it names, in the spellings of URLs, JSON and base64; and, wherever they come from, keys in PEM, hashes and
 * passwords that are called so.
 */
export async function redactorFor(config: Config | null): Promise<Redactor> {
  const secrets = new Set<string>();
  for (const secret of await secretsOf(config)) {
    for (const spelt of spellings(secret)) {
      if (spelt.length >= SECRET_LENGTH_MIN) secrets.add(spelt);
    }
  }
  // The longest first: one may be a part of another.
  const all = [...secrets].sort((a, b) => b.length - a.length);
  return (text) => {
    let clean = text;
    for (const secret of all) clean = clean.replaceAll(secret, HIDDEN);
    return PATTERNS.reduce((left, [pattern, instead]) => left.replace(pattern, instead), clean);
  };
}

const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----/g, HIDDEN],
  [/\b([a-z][a-z0-9+.-]*:\/\/[^\s:/@"']*):[^\s@"']+@/gi, `$1:${HIDDEN}@`],
  [/\$(argon2(?:id|i|d)|scrypt|pbkdf2[\w-]*|2[aby]|[156y])\$[^\s"',]+/g, HIDDEN],
  [/\beyJ[\w-]+\.[\w-]+\.[\w-]+/g, HIDDEN],
  [/(\bauthorization["']?\s*[:=]\s*["']?(?:bearer|basic)?\s*)[^\s"',}]+/gi, `$1${HIDDEN}`],
  [
    /(\b(?:password|passwd|passphrase|secret|token|api[_-]?key)["']?\s*[:=]\s*["']?)(?!\*\*\*)[^\s"',}&]+/gi,
    `$1${HIDDEN}`,
  ],
];

async function secretsOf(config: Config | null): Promise<readonly string[]> {
  const secrets: string[] = [];
  for (const [key, text] of strings(config)) {
    if (SECRET_FILE.test(key)) secrets.push(...(await secretsIn(key, text)));
    else secrets.push(...passwordOf(text));
  }
  return secrets;
}

/** Every text of the configuration with the key that holds it. */
function* strings(value: unknown, key = ""): Generator<readonly [key: string, text: string]> {
  if (typeof value === "string") yield [key, value];
  if (typeof value !== "object" || value === null) return;
  for (const [name, child] of Object.entries(value)) {
    yield* strings(child, Array.isArray(value) ? key : name);
  }
}

function passwordOf(text: string): string[] {
  const found = /^[a-z][a-z0-9+.-]*:\/\/[^:/@]*:(.*)@/is.exec(text)?.[1];
  if (found === undefined || found === "") return [];
  try {
    return [found, decodeURIComponent(found)];
  } catch {
    return [found];
  }
}

/**
 * A password file as a whole and by lines; the lines of a key; the hashes of users. A file that cannot be read here cannot have come
 * into a text by us either.
 */
async function secretsIn(key: string, path: string): Promise<string[]> {
  const text = (await readFile(path, "utf8").catch(() => "")).slice(0, FILE_BYTES_MAX);
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  if (key === "usersFile") return lines.map((line) => line.split(":")[1] ?? "");
  return [text.trim(), ...lines].filter((line) => !line.startsWith("-----"));
}

function spellings(secret: string): readonly string[] {
  const bytes = Buffer.from(secret);
  return [
    secret,
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    bytes.toString("base64"),
    bytes.toString("base64url"),
    bytes.toString("hex"),
  ];
}
