import packet from "mqtt-packet";

const CONNECT = { cmd: "connect", clientId: "raw", clean: true, keepalive: 0 } as const;

/** A conversation with a few bytes changed, taken out or doubled. */
export function mutatedConversation(random: () => number): Buffer {
  const connect = packet.generate({ ...CONNECT, clean: random() < 0.7 });
  const bytes = [...connect, ...conversation(random() < 0.3)];
  return mutated(random, bytes, random() < 0.5 ? 0 : connect.length);
}

/** These bytes with a few of them changed, taken out or doubled, from a place on. */
export function mutated(random: () => number, original: Iterable<number>, from = 0): Buffer {
  const bytes = [...original];
  for (let i = 0; i < 1 + random() * 4; i++) {
    const at = from + Math.floor(random() * (bytes.length - from));
    const kind = random();
    if (kind < 0.5) bytes[at] = Math.floor(random() * 256);
    else if (kind < 0.75) bytes.splice(at, 1 + Math.floor(random() * 3));
    else bytes.splice(at, 0, ...bytes.slice(at, at + 1 + Math.floor(random() * 5)));
  }
  return Buffer.from(bytes);
}

/** A WebSocket handshake and these bytes in masked binary messages; now and then one of both is mutated. */
export function inWebSocket(random: () => number, bytes: Buffer): Buffer {
  const key = Buffer.from(Array.from({ length: 16 }, () => Math.floor(random() * 256)));
  const upgrade = Buffer.from(
    `GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Key: ${key.toString("base64")}\r\n\r\n`,
  );
  const frames = Buffer.concat(sliced(random, bytes).map((piece) => maskedFrame(random, piece)));
  const lot = random();
  return Buffer.concat([
    lot < 0.2 ? mutated(random, upgrade) : upgrade,
    lot > 0.4 && frames.length > 0 ? mutated(random, frames) : frames,
  ]);
}

/** Of a binary message, at most 125 bytes long (RFC 6455, section 5.2). */
function maskedFrame(random: () => number, payload: Buffer): Buffer {
  const mask = Array.from({ length: 4 }, () => Math.floor(random() * 256));
  const masked = payload.map((byte, i) => byte ^ (mask[i % 4] as number));
  return Buffer.from([0x82, 0x80 | payload.length, ...mask, ...masked]);
}

/** Bytes without any sense; those of half the calls come after a CONNECT that is in order. */
export function pureNoise(random: () => number): Buffer {
  const bytes = Array.from({ length: 1 + random() * 300 }, () => Math.floor(random() * 256));
  return Buffer.concat(
    random() < 0.5 ? [packet.generate(CONNECT), Buffer.from(bytes)] : [Buffer.from(bytes)],
  );
}

/** The bytes in pieces of one to ten: pieces that arrive apart. */
export function sliced(random: () => number, bytes: Buffer): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + Math.floor(random() * 10);
    pieces.push(bytes.subarray(at, end));
    at = end;
  }
  return pieces;
}

function conversation(retain: boolean): Buffer {
  const publish = { cmd: "publish", topic: "a/b", payload: "xyz", dup: false, retain } as const;
  const subscriptions = [{ topic: "n/#", qos: 1 as const }];
  return Buffer.concat([
    packet.generate({ cmd: "subscribe", messageId: 1, subscriptions }),
    packet.generate({ ...publish, qos: 0 }),
    packet.generate({ ...publish, qos: 1, messageId: 2 }),
    packet.generate({ ...publish, qos: 2, messageId: 3 }),
    packet.generate({ cmd: "pubrel", messageId: 3 }),
    packet.generate({ cmd: "unsubscribe", messageId: 4, unsubscriptions: ["n/#"] }),
    packet.generate({ cmd: "pingreq" }),
  ]);
}
