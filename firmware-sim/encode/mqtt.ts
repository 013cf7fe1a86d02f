/** The packets of MQTT 3.1.1 that a sensor sends, and those that it understands. OASIS MQTT Version 3.1.1, chapter 3. */

/** CONNECT without clean session: the broker keeps what this client id is owed. */
export function connectPacket(clientId: string, keepAliveSeconds: number): Uint8Array {
  const header = [...text("MQTT"), 4, 0x00, keepAliveSeconds >> 8, keepAliveSeconds & 0xff];
  return packet(0x10, [...header, ...text(clientId)]);
}

/** PUBLISH with QoS 1; `again` sets DUP [MQTT-3.3.1-1]. */
export function publishPacket(
  topic: string,
  payload: Uint8Array,
  packetId: number,
  again: boolean,
): Uint8Array {
  return packet(again ? 0x3a : 0x32, [...text(topic), packetId >> 8, packetId & 0xff, ...payload]);
}

export const PINGREQ = Uint8Array.of(0xc0, 0);
export const DISCONNECT = Uint8Array.of(0xe0, 0);

/** What a broker says to a sensor that only publishes. */
export type Answer =
  | { readonly is: "connack"; readonly code: number; readonly sessionPresent: boolean }
  | { readonly is: "puback"; readonly packetId: number }
  | { readonly is: "pingresp" }
  | { readonly is: "unknown"; readonly type: number };

/** All that a publisher is ever sent has 2 or 4 bytes; more means that the far side speaks something else. */
const ANSWER_BYTES_MAX = 4;

/** Splits what has arrived into answers and the bytes that are left. */
export function answersIn(bytes: Uint8Array): { answers: Answer[]; rest: Uint8Array } {
  const answers: Answer[] = [];
  let at = 0;
  while (bytes.length - at >= 2) {
    const end = at + 2 + (bytes[at + 1] ?? 0);
    if (end - at > ANSWER_BYTES_MAX) {
      answers.push({ is: "unknown", type: (bytes[at] ?? 0) >> 4 });
      return { answers, rest: new Uint8Array(0) };
    }
    if (end > bytes.length) break;
    answers.push(answerOf(bytes.subarray(at, end)));
    at = end;
  }
  return { answers, rest: bytes.slice(at) };
}

function answerOf(bytes: Uint8Array): Answer {
  const [header = 0, , first = 0, second = 0] = bytes;
  if (header === 0x20) return { is: "connack", code: second, sessionPresent: first === 1 };
  if (header === 0x40) return { is: "puback", packetId: first * 256 + second };
  if (header === 0xd0) return { is: "pingresp" };
  return { is: "unknown", type: header >> 4 };
}

function packet(header: number, body: readonly number[]): Uint8Array {
  const length: number[] = [];
  let left = body.length;
  do {
    const digit = left % 128;
    left = Math.floor(left / 128);
    length.push(left > 0 ? digit | 0x80 : digit);
  } while (left > 0);
  return Uint8Array.from([header, ...length, ...body]);
}

function text(value: string): number[] {
  const bytes = Buffer.from(value, "utf8");
  return [bytes.length >> 8, bytes.length & 0xff, ...bytes];
}
