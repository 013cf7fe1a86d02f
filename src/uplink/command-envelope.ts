/** What a command can say in its payload, where the cloud has no MQTT 5: `uplink.down.envelope: json`. */
export interface Envelope {
  readonly payload: Uint8Array;
  readonly id: string | null;
  readonly deadline: string | null;
  readonly replyTo: string | null;
}

/**
 * Opens `{"id": "7", "deadline": "2026-01-01T00:00:00Z", "replyTo": "answers/7", "payload": …}`. A payload that is text is
 * delivered as it is, `payloadBase64` as its bytes, anything else as JSON. Null when it is no such object.
 */
export function openEnvelope(bytes: Uint8Array): Envelope | null {
  const value = parse(bytes);
  if (value === null) return null;
  const payload = payloadOf(value);
  const [id, deadline, replyTo] = ["id", "deadline", "replyTo"].map((key) => value[key] ?? null);
  if (payload === null || !isText(id) || !isText(deadline) || !isText(replyTo)) return null;
  return { payload, id, deadline, replyTo };
}

function parse(bytes: Uint8Array): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : null;
  } catch {
    return null; // not JSON, or not UTF-8: the caller refuses it
  }
}

function payloadOf({ payload, payloadBase64 }: Record<string, unknown>): Uint8Array | null {
  if (typeof payloadBase64 === "string") {
    return payload === undefined && BASE64.test(payloadBase64)
      ? Buffer.from(payloadBase64, "base64")
      : null;
  }
  if (payload === undefined || payloadBase64 !== undefined) return null;
  return Buffer.from(typeof payload === "string" ? payload : JSON.stringify(payload));
}

function isText(value: unknown): value is string | null {
  return value === null || (typeof value === "string" && value !== "");
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
