/** MQTT 5 properties of a PUBLISH, as they stand on the wire without their length (section 3.3.2.3). */

const MESSAGE_EXPIRY = 0x02;
const SUBSCRIPTION_IDENTIFIER = 0x0b;
const TOPIC_ALIAS = 0x23;
const USER_PROPERTY = 0x26;

const VARIABLE = -1;
const TEXT = -2;
const PAIR = -3;

/** Bytes of a value, or how to find them (table 2-4). */
const SIZES: ReadonlyMap<number, number> = new Map([
  [0x01, 1],
  [MESSAGE_EXPIRY, 4],
  [0x03, TEXT],
  [0x08, TEXT],
  [0x09, TEXT],
  [SUBSCRIPTION_IDENTIFIER, VARIABLE],
  [TOPIC_ALIAS, 2],
  [USER_PROPERTY, PAIR],
]);

/** Names that only we may set: nobody may give a message somebody else's identity. */
const RESERVED = Buffer.from("fg-");

/**
 * The properties of a message that go on to the cloud, or "expired". Topic aliases and subscription identifiers mean
 * something on the connection they came by only; user properties that begin with `fg-` are ours. The expiry, the
 * publisher's or the rule's if that is shorter, is reduced by the time that the message waited here [MQTT-3.3.2-6]. What
 * cannot be understood ends the list.
 */
export function forwardedProperties(
  bytes: Uint8Array,
  waitedMs: number,
  ruleSeconds: number | null = null,
): Buffer | "expired" {
  const wire = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const kept: Buffer[] = [];
  const waited = Math.floor(Math.max(0, waitedMs) / 1000);
  let left = ruleSeconds === null ? Number.POSITIVE_INFINITY : ruleSeconds - waited;
  for (let at = 0; at < wire.length; ) {
    const end = propertyEnd(wire, at);
    if (end === null) break;
    const kind = wire[at];
    if (kind === MESSAGE_EXPIRY) {
      left = Math.min(left, wire.readUInt32BE(at + 1) - waited);
    } else if (kind !== TOPIC_ALIAS && kind !== SUBSCRIPTION_IDENTIFIER && !isReserved(wire, at)) {
      kept.push(wire.subarray(at, end));
    }
    at = end;
  }
  if (left <= 0) return "expired";
  if (left < Number.POSITIVE_INFINITY) kept.push(expiry(left));
  return Buffer.concat(kept);
}

/** One user property. */
export function userProperty(name: string, value: string): Buffer {
  const nameBytes = Buffer.from(name);
  const valueBytes = Buffer.from(value);
  const bytes = Buffer.alloc(5 + nameBytes.length + valueBytes.length);
  bytes[0] = USER_PROPERTY;
  bytes.writeUInt16BE(nameBytes.length, 1);
  nameBytes.copy(bytes, 3);
  bytes.writeUInt16BE(valueBytes.length, 3 + nameBytes.length);
  valueBytes.copy(bytes, 5 + nameBytes.length);
  return bytes;
}

/** A property whose value is text or bytes behind their length. */
export function property(kind: number, value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value as string);
  const head = Buffer.from([kind, bytes.length >> 8, bytes.length & 0xff]);
  return Buffer.concat([head, bytes]);
}

function expiry(seconds: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes[0] = MESSAGE_EXPIRY;
  bytes.writeUInt32BE(seconds, 1);
  return bytes;
}

function isReserved(wire: Buffer, at: number): boolean {
  if (wire[at] !== USER_PROPERTY) return false;
  return wire.subarray(at + 3, at + 3 + RESERVED.length).equals(RESERVED);
}

/** Where the property at `at` ends, or null when it is not a property of a PUBLISH or runs over the end. */
function propertyEnd(wire: Buffer, at: number): number | null {
  const size = SIZES.get(wire[at] as number);
  if (size === undefined) return null;
  let end: number | null = at + 1;
  if (size === VARIABLE) end = variableEnd(wire, end);
  else if (size === TEXT) end = textEnd(wire, end);
  else if (size === PAIR) {
    const middle = textEnd(wire, end);
    end = middle === null ? null : textEnd(wire, middle);
  } else end += size;
  return end !== null && end <= wire.length ? end : null;
}

function textEnd(wire: Buffer, at: number): number | null {
  return at + 2 > wire.length ? null : at + 2 + wire.readUInt16BE(at);
}

function variableEnd(wire: Buffer, at: number): number | null {
  for (let end = at; end < Math.min(wire.length, at + 4); end++) {
    if ((wire[end] as number) < 0x80) return end + 1;
  }
  return null;
}
