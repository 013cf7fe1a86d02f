import { type ErrorCode, FieldgateError } from "../base/errors.ts";
import { notUnderstood, PROTOCOL_VERSION } from "./frames.ts";

/** How a gateway introduces itself, in both directions. */
export interface Greeting {
  readonly protocol: number;
  readonly site: string;
  readonly gateway: string;
  /** The id of its own journal. */
  readonly journal: string;
  /** Of the journal's blocks. */
  readonly format: number;
  /** The highest that it has seen. */
  readonly epoch: number;
}

/** The answer says also up to where it has the journal of whoever asks. */
export interface Welcome extends Greeting {
  readonly haveSeq: number;
}

/**
 * How far a peer's epoch may be beyond ours: a gateway that was away has missed fewer, and one that says more would use up the
 * epochs that there are, for the whole site and for good.
 */
const EPOCHS_AHEAD_MAX = 2 ** 24;
const JOURNAL = /^[0-9a-f]{32}$/;
/** Codes that a peer may give as its reason. */
const REASONS: readonly ErrorCode[] = [
  "ERR_PEER_CERTIFICATE",
  "ERR_PEER_SITE",
  "ERR_PEER_VERSION",
  "ERR_PEER_PROTOCOL",
  "ERR_PEER_REPLICAS",
  "ERR_SITE_DUPLICATE",
];

/** @throws FieldgateError ERR_PEER_PROTOCOL */
export function readGreeting(fields: Readonly<Record<string, unknown>>): Greeting {
  const { protocol, site, gateway, journal, format, epoch } = fields;
  const isSound =
    isCount(protocol) &&
    isText(site) &&
    isText(gateway) &&
    isText(journal) &&
    isCount(format) &&
    isCount(epoch) &&
    (protocol !== PROTOCOL_VERSION || JOURNAL.test(journal));
  if (!isSound) throw notUnderstood("a greeting that says not who it is");
  return { protocol, site, gateway, journal, format, epoch };
}

/** @throws FieldgateError ERR_PEER_PROTOCOL */
export function readWelcome(fields: Readonly<Record<string, unknown>>): Welcome {
  const { haveSeq } = fields;
  if (!isCount(haveSeq)) throw notUnderstood("a welcome without a place to begin");
  return { ...readGreeting(fields), haveSeq };
}

/**
 * Why the other one is not a peer of ours; null when it is.
 * @param certified the gateway id in its certificate
 */
export function objection(
  own: Greeting,
  other: Greeting,
  certified: string,
): FieldgateError | null {
  const details = { gateway: other.gateway, site: other.site, certificate: certified };
  const refuse = (code: ErrorCode, message: string) =>
    new FieldgateError(code, message, { details });
  if (other.protocol !== own.protocol || other.format !== own.format) {
    const [a, b] = [`${own.protocol}.${own.format}`, `${other.protocol}.${other.format}`];
    const message = `${other.gateway} speaks version ${b} of replication and this gateway ${a}: nothing is copied between them until both run the same version of fieldgate`;
    return refuse("ERR_PEER_VERSION", message);
  }
  if (other.site !== own.site) {
    return refuse("ERR_PEER_SITE", `a gateway of the site ${other.site}, not of ${own.site}`);
  }
  if (other.gateway !== certified) {
    const message = `a gateway that calls itself ${other.gateway} has the certificate of ${certified}`;
    return refuse("ERR_PEER_CERTIFICATE", message);
  }
  if (other.epoch - own.epoch > EPOCHS_AHEAD_MAX) {
    const message = `${other.gateway} has seen epoch ${other.epoch}, and this gateway ${own.epoch}: that cannot be`;
    return refuse("ERR_PEER_PROTOCOL", message);
  }
  if (other.gateway === own.gateway || other.journal === own.journal) {
    const what = other.gateway === own.gateway ? `the id ${own.gateway}` : "a copy of this store";
    return refuse("ERR_SITE_DUPLICATE", `another gateway with ${what} is running at the site`);
  }
  return null;
}

/** Why the one who greets cannot have the journal that it comes with: another gateway is here with it. Null when none is. */
export function copyOf(
  { gateway, journal }: Greeting,
  here: readonly { readonly gateway: string; readonly journal: string | null }[],
): FieldgateError | null {
  const owner = here.find((one) => one.journal === journal && one.gateway !== gateway);
  if (owner === undefined) return null;
  const message = `${gateway} comes with the journal of ${owner.gateway}: one of their stores is a copy of the other`;
  return new FieldgateError("ERR_SITE_DUPLICATE", message, { details: { gateway, journal } });
}

/** What a refusal is for the one who is refused. */
export function refusalOf(fields: Readonly<Record<string, unknown>>): FieldgateError {
  const { code, message } = fields;
  const known = REASONS.find((reason) => reason === code) ?? "ERR_PEER_PROTOCOL";
  const why = typeof message === "string" ? message.slice(0, 500) : "no reason given";
  return new FieldgateError(known, `refused by the peer: ${why}`);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= 256;
}
