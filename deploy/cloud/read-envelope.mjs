/**
 * For the cloud's side: opens what a gateway with `uplink.envelope: header` sends over MQTT 3.1.1. Needs nothing but Node;
 * docs/uplink.md has the format for other languages.
 *
 *   import { openEnvelope } from "./read-envelope.mjs";
 *   const opened = openEnvelope(payload);
 *   const key = `${opened.identity["fg-journal"]}/${opened.identity["fg-seq"]}`;   // store each key once
 *
 * As a program it reads one message from its input and writes identity and payload: `node read-envelope.mjs < message`.
 */
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const MAGIC = "FGE1";
const HEAD_BYTES = 6;

/**
 * @param {Uint8Array} bytes payload of an MQTT message
 * @returns {{ identity: Record<string, string>, payload: Uint8Array } | null} null when it is no envelope; the payload is a view
 *   of `bytes`
 */
export function openEnvelope(bytes) {
  if (bytes.length < HEAD_BYTES) return null;
  if ([...MAGIC].some((letter, at) => letter.charCodeAt(0) !== bytes[at])) return null;
  const end = HEAD_BYTES + bytes[4] * 256 + bytes[5];
  if (end > bytes.length) return null;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(HEAD_BYTES, end));
    const identity = JSON.parse(text);
    const isObject = typeof identity === "object" && identity !== null && !Array.isArray(identity);
    return isObject ? { identity, payload: bytes.subarray(end) } : null;
  } catch {
    return null;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const opened = openEnvelope(readFileSync(0));
  if (opened === null) {
    process.stderr.write("no envelope\n");
    process.exitCode = 1;
  } else {
    process.stdout.write(`${JSON.stringify(opened.identity)}\n`);
    process.stdout.write(opened.payload);
  }
}
