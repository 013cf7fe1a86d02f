/** A CONNECT of MQTT 3.1.1 byte by byte, right unless it is told otherwise. */
export interface ConnectParts {
  readonly name?: string;
  readonly level?: number;
  /** Clean session, by default. */
  readonly flags?: number;
  /** Behind the client id: each with two bytes of length before it. */
  readonly fields?: readonly (string | readonly number[])[];
  readonly clientId?: string | readonly number[];
  /** At the end, as it is. */
  readonly tail?: readonly number[];
}

export function connectBytes(parts: ConnectParts = {}): number[] {
  const { name = "MQTT", level = 4, flags = 2, clientId = "raw", fields = [], tail = [] } = parts;
  const payload = [clientId, ...fields].flatMap(field);
  const body = [...field(name), level, flags, 0, 0, ...payload, ...tail];
  return [0x10, ...lengthOf(body.length), ...body];
}

/** A control packet of these first byte and body. */
export function packetBytes(header: number, ...body: number[]): number[] {
  return [header, ...lengthOf(body.length), ...body];
}

/** Two bytes of length, and the bytes. */
export function field(value: string | readonly number[]): number[] {
  const bytes = [...Buffer.from(value as string)];
  return [bytes.length >> 8, bytes.length & 255, ...bytes];
}

function lengthOf(length: number): number[] {
  return length < 128 ? [length] : [(length & 127) | 128, length >> 7];
}
