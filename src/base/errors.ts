/** Every code an operator can meet. docs/errors.md says of each what happened and what to do. */
export type ErrorCode =
  | "ERR_CONFIG_INVALID"
  | "ERR_CONFIG_UNREADABLE"
  | "ERR_CONFIG_TRIAL"
  | "ERR_USAGE"
  | "ERR_FILE"
  | "ERR_STORE_OPEN"
  | "ERR_STORE_LOCKED"
  | "ERR_STORE_FORMAT"
  | "ERR_STORE_WRITE"
  | "ERR_STORE_FULL"
  | "ERR_STORE_CLOSED"
  | "ERR_BACKUP"
  | "ERR_LISTEN"
  | "ERR_CERTIFICATE"
  | "ERR_USERS"
  | "ERR_TOKEN_KEYS"
  | "ERR_TOPIC"
  | "ERR_CLOCK"
  | "ERR_NOT_THERE"
  | "ERR_CLIENT_CONNECTED"
  | "ERR_DEVICE_OPEN"
  | "ERR_DEVICE_AMBIGUOUS"
  | "ERR_UPLINK_REFUSED"
  | "ERR_UPLINK_LOOKUP"
  | "ERR_UPLINK_STALLED"
  | "ERR_UPLINK_CLOSED"
  | "ERR_UPLINK_PROTOCOL"
  | "ERR_UPLINK_STANDBY"
  | "ERR_ETCD"
  | "ERR_SITE_DUPLICATE"
  | "ERR_SITE_HAND_OVER"
  | "ERR_PEER_CERTIFICATE"
  | "ERR_PEER_CONNECTIONS"
  | "ERR_PEER_SITE"
  | "ERR_PEER_VERSION"
  | "ERR_PEER_PROTOCOL"
  | "ERR_PEER_SILENT"
  | "ERR_PEER_CLOSED"
  | "ERR_PEER_GONE"
  | "ERR_SITE_KEY"
  | "ERR_PEER_NONE"
  | "ERR_PEER_REPLICAS"
  | "ERR_START_TIMEOUT"
  | "ERR_STOP_TIMEOUT"
  | "ERR_CONTROL"
  | "ERR_CONTROL_BUSY"
  | "ERR_CONTROL_VERSION";

/** An operating error: expected, typed, handled. A programmer error is an assertion, not one of these. */
export class FieldgateError extends Error {
  override readonly name: string = "FieldgateError";
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; details?: Record<string, unknown> } = {},
  ) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** What was thrown, as log fields: message, code and the chain of causes, without a stack. */
export function errorFields(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { error: String(error) };
  const code = "code" in error ? { code: error.code } : {};
  const details = error instanceof FieldgateError ? error.details : {};
  const cause = error.cause === undefined ? {} : { cause: errorFields(error.cause) };
  return { error: error.message, ...code, ...details, ...cause };
}

/** Throws what `message` says when a thing that we ourselves promised does not hold. */
export function assert(claim: boolean, message: string): asserts claim {
  if (!claim) throw new Error(`assertion failed: ${message}`);
}

/** For the end of a switch over a union: does not compile when a case is missing. */
export function assertNever(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}
