import type { Config } from "../config/schema.ts";
import type { Check, Finding } from "./finding.ts";

/** What brokers and their images are delivered with, and what people type first. */
const COMMON = new Set(
  "admin administrator changeme default guest mosquitto mqtt password passwort public root test user 1234 12345 123456 12345678".split(
    " ",
  ),
);

/** Whether a password of the configuration is one that everybody tries first. Those in files are not read. */
export function credentialChecks({ uplink }: Config): readonly Check[] {
  if (uplink === undefined) return [];
  const run = async () => [credentialFinding(uplink.endpoints)];
  return [{ id: "credentials.uplink", run }];
}

function credentialFinding(endpoints: readonly string[]): Finding {
  const id = "credentials.uplink";
  const weak = endpoints.filter(isCommon).length;
  if (weak === 0) return { id, verdict: "fine", what: "no password that everybody knows" };
  return {
    id,
    verdict: "warning",
    what: `${weak} of ${endpoints.length} endpoints have a password that everybody tries first`,
    why: "who reaches the cloud's broker can send and read in the name of this gateway",
    todo: "give it a password of its own at the cloud, and name it by uplink.passwordFile",
  };
}

function isCommon(endpoint: string): boolean {
  if (!URL.canParse(endpoint)) return false;
  const { username, password } = new URL(endpoint);
  if (password === "") return false;
  const secret = decodeURIComponent(password).toLowerCase();
  return COMMON.has(secret) || secret === decodeURIComponent(username).toLowerCase();
}
