import { FieldgateError } from "../base/errors.ts";
import type { StoredBlock } from "./ports.ts";

/**
 * What gateways say to each other. On the wire each frame is u32 length, u8 type, body; the length counts type and body.
 * docs/replication.md has it to the byte.
 *
 *   1 hello      JSON   dialer ▶ acceptor   first
 *   2 welcome    JSON   dialer ◀ acceptor   the answer, or
 *   3 refused    JSON   either way          why not; then the connection is closed
 *   4 positions  JSON   dialer ▶ acceptor   how far a journal is dealt with
 *   5 batch             dialer ▶ acceptor   u8 encoding, u32 bytes when unpacked, then blocks: u32 length, block
 *   6 ack               dialer ◀ acceptor   u64 seq: everything up to it is on this disk
 *   7 ping              either way          nothing: still here
 *   8 want       JSON   dialer ◀ acceptor   lacks another gateway's journal from a seq on, and cannot get it from there
 *   9 relay             dialer ▶ acceptor   16 bytes: whose journal, then as a batch: the next blocks of it; none: no more
 *  10 interest   JSON   dialer ◀ acceptor   filters: what is subscribed to here
 *  11 live              dialer ▶ acceptor   messages that are not kept: u32 length, u16 length of the topic, topic, payload
 *  12 claim      JSON   dialer ▶ acceptor   a client that has come to the dialer: whoever has it lets go
 *  13 office     JSON   dialer ▶ acceptor   how far a hand-over between the two is
 */
export const FRAME = {
  hello: 1,
  welcome: 2,
  refused: 3,
  positions: 4,
  batch: 5,
  ack: 6,
  ping: 7,
  want: 8,
  relay: 9,
  interest: 10,
  live: 11,
  claim: 12,
  office: 13,
} as const;

export const PROTOCOL_VERSION = 4;
const PLAIN = 0;
const PACKED = 1;
const BATCH_HEADER_BYTES = 6;
const JOURNAL_BYTES = 16;
const JOURNAL = /^[0-9a-f]{32}$/;

export interface Batch {
  readonly isPacked: boolean;
  readonly rawBytes: number;
  readonly body: Buffer;
}

export function frameOf(type: number, ...body: readonly Uint8Array[]): Buffer {
  return Buffer.concat([Buffer.of(type), ...body]);
}

export function jsonFrame(type: number, body: unknown): Buffer {
  return frameOf(type, Buffer.from(JSON.stringify(body)));
}

export function ackFrame(seq: number): Buffer {
  const body = Buffer.alloc(8);
  body.writeBigUInt64BE(BigInt(seq));
  return frameOf(FRAME.ack, body);
}

export function batchFrame(isPacked: boolean, rawBytes: number, body: Buffer): Buffer {
  const header = Buffer.alloc(BATCH_HEADER_BYTES - 1);
  header[0] = isPacked ? PACKED : PLAIN;
  header.writeUInt32BE(rawBytes, 1);
  return frameOf(FRAME.batch, header, body);
}

/** Another gateway's blocks: a batch with the id of their journal before it. */
export function relayFrame(journal: string, batch: Buffer): Buffer {
  return frameOf(FRAME.relay, Buffer.from(journal, "hex"), batch.subarray(1));
}

/** @throws FieldgateError ERR_PEER_PROTOCOL */
export function readRelay(frame: Buffer): { readonly journal: string; readonly batch: Buffer } {
  if (frame.length < 1 + JOURNAL_BYTES) throw notUnderstood("a relay without a journal");
  const journal = frame.toString("hex", 1, 1 + JOURNAL_BYTES);
  // As a frame of its own: readBatch does not look at its first byte.
  return { journal, batch: frame.subarray(JOURNAL_BYTES) };
}

export function wantFrame(journal: string, afterSeq: number): Buffer {
  return jsonFrame(FRAME.want, { journal, afterSeq });
}

/** @throws FieldgateError ERR_PEER_PROTOCOL */
export function readWant(frame: Buffer): { readonly journal: string; readonly afterSeq: number } {
  const { journal, afterSeq } = readJson(frame);
  const isSound = typeof journal === "string" && JOURNAL.test(journal);
  if (isSound && Number.isSafeInteger(afterSeq) && (afterSeq as number) >= 0) {
    return { journal, afterSeq: afterSeq as number };
  }
  throw notUnderstood("a want of nothing");
}

export function claimFrame(client: string): Buffer {
  return jsonFrame(FRAME.claim, { client });
}

/** @throws FieldgateError ERR_PEER_PROTOCOL */
export function readClaim(frame: Buffer): string {
  const { client } = readJson(frame);
  if (typeof client !== "string" || client === "") throw notUnderstood("a claim of nobody");
  return client;
}

/** The blocks of a batch, unpacked. */
export function joinBlocks(blocks: readonly StoredBlock[]): Buffer {
  const parts = blocks.flatMap(({ value }) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(value.length);
    return [length, value];
  });
  return Buffer.concat(parts);
}

/** @throws FieldgateError ERR_PEER_PROTOCOL */
export function splitBlocks(raw: Buffer): Buffer[] {
  const blocks: Buffer[] = [];
  for (let at = 0; at < raw.length; ) {
    const end = at + 4 + (raw.length - at < 4 ? raw.length : raw.readUInt32BE(at));
    if (end > raw.length) throw notUnderstood("a batch ends in the midst of a block");
    blocks.push(raw.subarray(at + 4, end));
    at = end;
  }
  return blocks;
}

/** @throws FieldgateError ERR_PEER_PROTOCOL when it is none, or larger than `bytesMax` when unpacked */
export function readBatch(frame: Buffer, bytesMax: number): Batch {
  if (frame.length < BATCH_HEADER_BYTES) throw notUnderstood("a batch without a header");
  const encoding = frame[1];
  const rawBytes = frame.readUInt32BE(2);
  const body = frame.subarray(BATCH_HEADER_BYTES);
  if (encoding !== PLAIN && encoding !== PACKED) throw notUnderstood("an encoding that is unknown");
  if (rawBytes > bytesMax) throw notUnderstood("a batch that is too large");
  if (encoding === PLAIN && rawBytes !== body.length)
    throw notUnderstood("a batch of a wrong length");
  return { isPacked: encoding === PACKED, rawBytes, body };
}

/** @throws FieldgateError ERR_PEER_PROTOCOL */
export function readAck(frame: Buffer): number {
  const seq = frame.length === 9 ? Number(frame.readBigUInt64BE(1)) : Number.NaN;
  if (!Number.isSafeInteger(seq)) throw notUnderstood("an acknowledgement of nothing");
  return seq;
}

/** @throws FieldgateError ERR_PEER_PROTOCOL when it is no JSON object */
export function readJson(frame: Buffer): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(frame.toString("utf8", 1));
  } catch (cause) {
    throw notUnderstood("JSON that is none", cause);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw notUnderstood("JSON that is no object");
  }
  return value as Record<string, unknown>;
}

export function notUnderstood(what: string, cause?: unknown): FieldgateError {
  return new FieldgateError("ERR_PEER_PROTOCOL", `the peer sent what is not understood: ${what}`, {
    cause,
  });
}
