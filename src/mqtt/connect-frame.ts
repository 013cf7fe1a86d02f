import { fieldEnd, stringError, stringOf } from "./string-field.ts";
import { topicNameError } from "./topic.ts";

/** Why a CONNECT is refused, and the return code of the CONNACK that says so; null when there is none to say it. */
export interface ConnectRefusal {
  readonly reason: string;
  readonly returnCode: 1 | 2 | null;
}

/** Protocol name and level: of MQTT 3.1.1, and of 3.1, which old sensors speak. */
const LEVELS: ReadonlyMap<string, number> = new Map([
  ["MQTT", 4],
  ["MQIsdp", 3],
]);

/** Of MQTT 3.1, in characters; 3.1.1 has no bound. */
const CLIENT_ID_LENGTH_MAX = 23;

const FLAG = {
  ...{ reserved: 1, clean: 2, will: 4, willQoS: 0x18, willRetain: 0x20 },
  ...{ password: 0x40, userName: 0x80 },
} as const;

/**
 * Whether a CONNECT is one (MQTT 3.1.1, section 3.1), looked at where it lies and before anything is made of it. Null when
 * it is; who it is from and whether that one may come in is not asked here.
 */
export function connectRefusal(
  bytes: Buffer,
  bodyStart: number,
  end: number,
): ConnectRefusal | null {
  const nameEnd = fieldEnd(bytes, bodyStart, end);
  if (nameEnd === null || nameEnd === end) return closed("CONNECT shorter than its fields");
  const level = LEVELS.get(stringOf(bytes, bodyStart, nameEnd));
  if (level === undefined) return closed("CONNECT of another protocol"); // [MQTT-3.1.2-1]
  if (bytes[nameEnd] !== level) return refused("protocol level not supported", 1); // [MQTT-3.1.2-2]
  const payloadStart = nameEnd + 4;
  if (payloadStart > end) return closed("CONNECT shorter than its fields");
  const flags = bytes[nameEnd + 1] as number;
  const error = flagsError(flags) ?? payloadError(bytes, payloadStart, end, flags);
  if (error !== null) return closed(error);
  const idEnd = payloadStart + 2 + bytes.readUInt16BE(payloadStart);
  if ((flags & FLAG.clean) === 0 && idEnd === payloadStart + 2) {
    return refused("empty client id with a session to keep", 2); // [MQTT-3.1.3-8]
  }
  if (level === 3 && stringOf(bytes, payloadStart, idEnd).length > CLIENT_ID_LENGTH_MAX) {
    return refused("client id too long for MQTT 3.1", 2); // [MQTT-3.1.3-9]
  }
  return null;
}

function closed(reason: string): ConnectRefusal {
  return { reason, returnCode: null };
}

function refused(reason: string, returnCode: 1 | 2): ConnectRefusal {
  return { reason, returnCode };
}

function flagsError(flags: number): string | null {
  if ((flags & FLAG.reserved) !== 0) return "CONNECT with its reserved flag"; // [MQTT-3.1.2-3]
  if ((flags & FLAG.willQoS) === FLAG.willQoS) return "will with QoS 3"; // [MQTT-3.1.2-14]
  if ((flags & FLAG.will) === 0 && (flags & (FLAG.willQoS | FLAG.willRetain)) !== 0) {
    return "will QoS or will retain without a will"; // [MQTT-3.1.2-11, MQTT-3.1.2-13, MQTT-3.1.2-15]
  }
  if ((flags & FLAG.userName) === 0 && (flags & FLAG.password) !== 0) {
    return "password without a user name"; // [MQTT-3.1.2-22]
  }
  return null;
}

interface Field {
  readonly name: string;
  /** 0: always there. */
  readonly flag: number;
  readonly kind: "string" | "topic" | "bytes";
}

/** In the order in which they must come [MQTT-3.1.3-1]. */
const FIELDS: readonly Field[] = [
  { name: "client id", flag: 0, kind: "string" }, // [MQTT-3.1.3-3, MQTT-3.1.3-4]
  { name: "will topic", flag: FLAG.will, kind: "topic" }, // [MQTT-3.1.3-10]
  { name: "will payload", flag: FLAG.will, kind: "bytes" },
  { name: "user name", flag: FLAG.userName, kind: "string" }, // [MQTT-3.1.3-11]
  { name: "password", flag: FLAG.password, kind: "bytes" },
];

function payloadError(bytes: Buffer, start: number, end: number, flags: number): string | null {
  let at = start;
  for (const { name, flag, kind } of FIELDS) {
    if (flag !== 0 && (flags & flag) === 0) continue;
    const to = fieldEnd(bytes, at, end);
    if (to === null) return "CONNECT shorter than its fields"; // [MQTT-3.1.2-9, MQTT-3.1.2-19, MQTT-3.1.2-21]
    const error =
      (kind === "bytes" ? null : stringError(bytes, at, to)) ??
      (kind === "topic" ? topicNameError(stringOf(bytes, at, to)) : null);
    if (error !== null) return `${name} ${error}`;
    at = to;
  }
  return at === end ? null : "CONNECT longer than its fields"; // [MQTT-3.1.2-12, MQTT-3.1.2-18, MQTT-3.1.2-20]
}
