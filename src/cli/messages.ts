import type { ShownPayload } from "../control/shown-payload.ts";
import { paint } from "./terminal.ts";

/** A payload in one line, or, where it is binary, as rows of hexadecimal digits and characters. */
export function payloadText(payload: ShownPayload): string {
  if ("text" in payload) {
    const rest = payload.bytes - Buffer.byteLength(payload.text);
    const more = rest > 0 ? paint("dim", ` … and ${rest} bytes more`) : "";
    return `${payload.text.replaceAll(/\r?\n/g, "\n    ")}${more}`;
  }
  const bytes = Buffer.from(payload.base64, "base64");
  const rest = payload.bytes - bytes.length;
  const more = rest > 0 ? [`    … and ${rest} bytes more`] : [];
  return [`${payload.bytes} bytes`, ...hexRows(bytes), ...more].join("\n");
}

/** `    0010  48 65 6c 6c 6f  |Hello|`, sixteen bytes a row. */
export function hexRows(bytes: Uint8Array): string[] {
  const rows: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = [...bytes.subarray(at, at + 16)];
    const digits = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const text = row.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : "."));
    const offset = at.toString(16).padStart(4, "0");
    rows.push(`    ${offset}  ${digits.padEnd(47)}  |${text.join("")}|`);
  }
  return rows;
}
