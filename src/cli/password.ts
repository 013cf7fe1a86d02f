import type { ReadStream, WriteStream } from "node:tty";
import { FieldgateError } from "../base/errors.ts";

const PASSWORD_BYTES_MAX = 1024;
const KEYS = { enter: [0x0d, 0x0a, 0x04], interrupt: 0x03, erase: [0x7f, 0x08] } as const;

/**
 * A new password: asked for twice at a terminal, without showing it, or the first line of what is piped in.
 * @throws FieldgateError ERR_USAGE when the two differ, or it is too long
 */
export async function readPassword(
  from: ReadStream | (NodeJS.ReadStream & { isTTY?: boolean }),
  to: WriteStream | NodeJS.WriteStream,
): Promise<Buffer> {
  if (!from.isTTY) return firstLine(from);
  const first = await typed(from as ReadStream, to, "Password: ");
  const second = await typed(from as ReadStream, to, "Again: ");
  if (!first.equals(second)) throw new FieldgateError("ERR_USAGE", "the two passwords differ");
  return first;
}

async function firstLine(from: NodeJS.ReadStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of from) {
    chunks.push(Buffer.from(chunk as Buffer));
    bytes += (chunk as Buffer).length;
    if (bytes > PASSWORD_BYTES_MAX || (chunk as Buffer).includes(0x0a)) break;
  }
  const all = Buffer.concat(chunks);
  const end = all.indexOf(0x0a);
  const line = end === -1 ? all : all.subarray(0, end);
  return bounded(line.at(-1) === 0x0d ? line.subarray(0, -1) : line);
}

async function typed(from: ReadStream, to: NodeJS.WriteStream, prompt: string): Promise<Buffer> {
  to.write(prompt);
  from.setRawMode(true);
  const bytes: number[] = [];
  try {
    for await (const chunk of from.iterator({ destroyOnReturn: false })) {
      for (const byte of chunk as Buffer) {
        if (byte === KEYS.interrupt) throw new FieldgateError("ERR_USAGE", "given up");
        if (KEYS.enter.includes(byte as 13)) return bounded(Buffer.from(bytes));
        if (KEYS.erase.includes(byte as 8)) bytes.pop();
        else bytes.push(byte);
      }
    }
    return bounded(Buffer.from(bytes));
  } finally {
    from.setRawMode(false);
    to.write("\n");
  }
}

function bounded(password: Buffer): Buffer {
  if (password.includes(0)) {
    throw new FieldgateError("ERR_USAGE", "a password has no null characters");
  }
  if (password.length <= PASSWORD_BYTES_MAX) return password;
  throw new FieldgateError("ERR_USAGE", `a password has at most ${PASSWORD_BYTES_MAX} bytes`);
}
