import { open } from "node:fs/promises";
import { crc32 } from "node:zlib";
import {
  damaged,
  type Entry,
  LINE_BYTES_MAX,
  parseEnd,
  parseEntry,
  parseHeader,
  RecordingError,
  type RecordingHeader,
} from "./recording.ts";

const BEGINNING = '{"firmware-sim-recording":';
const CHUNK_BYTES = 65_536;

/**
 * Reads a recording to its end before anything of it is played: whole, and all of it right. Never more than two lines in memory.
 * ERR_RECORDING_FOREIGN, _VERSION, _TRUNCATED or _DAMAGED, or what the system says of a file that cannot be read.
 */
export async function checkedHeader(path: string): Promise<RecordingHeader> {
  let header: RecordingHeader | null = null;
  let entries = 0;
  let lastUs = 0;
  let crc = 0;
  let number = 0;
  let isOver = false;
  for await (const line of linesOf(path)) {
    number += 1;
    const text = line.toString("latin1", 0, line.length - 1);
    if (isOver) throw damaged(path, number);
    if (header === null) header = parseHeader(line.toString("utf8"), path);
    else if (text.startsWith("{")) {
      const end = parseEnd(text);
      const isRight = end?.entries === entries && Number.parseInt(end.crc32, 16) === crc;
      if (!isRight) throw damaged(path, number);
      isOver = true;
    } else {
      const entry = parseEntry(text, header.sensors.length);
      if (entry === null || entry.atUs < lastUs) throw damaged(path, number);
      lastUs = entry.atUs;
      entries += 1;
    }
    crc = crc32(line, crc);
  }
  if (header === null || !isOver) throw truncated(path);
  return header;
}

/** What happened to one sensor, in order, of a recording that was looked through by `checkedHeader`. */
export async function* entriesOf(path: string, sensor: number, sensors: number) {
  const mine = Buffer.from(`[${sensor},`);
  for await (const line of linesOf(path)) {
    if (!line.subarray(0, mine.length).equals(mine)) continue;
    const entry: Entry | null = parseEntry(line.toString("latin1", 0, line.length - 1), sensors);
    // It was right a moment ago: somebody writes into it.
    if (entry === null) throw new RecordingError("ERR_RECORDING_DAMAGED", `${path} was changed`);
    yield entry;
  }
}

/** Lines with their line feeds. A last one without is one that was cut off. */
async function* linesOf(path: string): AsyncGenerator<Buffer> {
  const file = await open(path);
  try {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    let held = Buffer.alloc(0);
    let isFirst = true;
    for (;;) {
      const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES);
      held = Buffer.concat([held, chunk.subarray(0, bytesRead)]);
      // Before a line is looked for in gigabytes of something else.
      if (isFirst && !isBeginning(held)) {
        const what = `${path} is no recording of firmware-sim`;
        throw new RecordingError("ERR_RECORDING_FOREIGN", what);
      }
      isFirst = false;
      for (let end = held.indexOf(0x0a); end !== -1; end = held.indexOf(0x0a)) {
        yield held.subarray(0, end + 1);
        held = held.subarray(end + 1);
      }
      if (bytesRead === 0) break;
      if (held.length > LINE_BYTES_MAX) {
        throw new RecordingError("ERR_RECORDING_DAMAGED", `${path} has a line that is too long`);
      }
    }
    if (held.length > 0) throw truncated(path);
  } finally {
    await file.close();
  }
}

function isBeginning(bytes: Buffer): boolean {
  const most = bytes.toString("latin1", 0, BEGINNING.length);
  return most !== "" && BEGINNING.startsWith(most);
}

function truncated(path: string): RecordingError {
  const what = `${path} ends in the middle: the recording was cut off`;
  return new RecordingError("ERR_RECORDING_TRUNCATED", what);
}
