import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { wallMsOf } from "../base/wall-time.ts";
import type { Config } from "../config/schema.ts";
import { type Check, type Finding, isForbiddenToAsker, notAllowed } from "./finding.ts";

const DAY_MS = 86_400_000;
const WARN_DAYS = 30;

/** Whether each certificate that the configuration names can be read, and for how long it is valid. */
export function certificateChecks(config: Config, wallMs: number): readonly Check[] {
  return [...certificatesOf(config)].map(([key, path]) => ({
    id: `certificates.${key}`,
    run: async () => [await certificateFinding(`certificates.${key}`, path, wallMs)],
  }));
}

/** Every key of the configuration that ends in certFile or caFile, with its file: by its path in the configuration. */
function* certificatesOf(value: unknown, at = ""): Generator<[key: string, path: string]> {
  if (typeof value !== "object" || value === null) return;
  for (const [key, child] of Object.entries(value)) {
    const path = at === "" ? key : `${at}.${key}`;
    if (typeof child === "string" && /(cert|ca)file$/i.test(key)) yield [path, child];
    else yield* certificatesOf(child, path);
  }
}

async function certificateFinding(id: string, path: string, wallMs: number): Promise<Finding> {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(await readFile(path));
  } catch (error) {
    if (isForbiddenToAsker(error)) return notAllowed(id, path);
    const what = `${path} cannot be read as a certificate`;
    return {
      id,
      verdict: "critical",
      what,
      why: (error as Error).message,
      todo: "it must be PEM, beginning with -----BEGIN CERTIFICATE-----",
    };
  }
  const fromMs = wallMsOf(certificate.validFrom);
  const toMs = wallMsOf(certificate.validTo);
  const days = (toMs - wallMs) / DAY_MS;
  const subject = certificate.subject.replaceAll("\n", ", ");
  if (fromMs > wallMs) {
    const why = `valid from ${certificate.validFrom}; is the clock right?`;
    return { id, verdict: "critical", what: `${subject} is not valid yet`, why, todo: "see clock" };
  }
  if (days < 0) {
    const what = `${subject} has expired on ${certificate.validTo}`;
    return { id, verdict: "critical", what, why: path, todo: "renew it" };
  }
  const what = `${subject} is valid for ${Math.floor(days)} days`;
  if (days < WARN_DAYS) return { id, verdict: "warning", what, why: path, todo: "renew it" };
  return { id, verdict: "fine", what };
}
