import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { crc32 } from "node:zlib";
import { Recorder } from "../../firmware-sim/recorder.ts";
import { type Entry, RecordingError } from "../../firmware-sim/recording.ts";
import { checkedHeader, entriesOf } from "../../firmware-sim/recording-reader.ts";
import { collectGarbage } from "../support/collect-garbage.ts";
import { seededRandom } from "../support/random.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const SENSORS = [
  { name: "th-1", kind: "thermometer", transport: "pty", baudRate: 9600 },
  { name: "mq-1", kind: "mqtt", transport: "mqtt", host: "127.0.0.1", port: 1883 },
] as const;
/** Its check value was computed by Python's zlib. */
const GOOD = `{"firmware-sim-recording":1,"seed":7,"sensors":[{"name":"th-1","kind":"thermometer","transport":"pty","baudRate":9600},{"name":"mq-1","kind":"mqtt","transport":"mqtt","host":"127.0.0.1","port":1883}]}
[0,0,"plug"]
[1,1500,"plug"]
[0,200134,"say","543d32310d0a"]
[1,200134,"hear","20020000"]
[0,900000,"pull"]
{"entries":5,"crc32":"d949b0f6"}
`;

let directory = "";
before(async () => {
  directory = await mkdtemp(join(tmpdir(), "recording-"));
});
after(() => rm(directory, { recursive: true, force: true }));

describe(`a recording, seed ${SEED}`, () => {
  it("is written as its specification says", async () => {
    const path = join(directory, "written");
    let nowMs = 1000;
    const recorder = new Recorder(path, { seed: 7, sensors: SENSORS }, () => nowMs);
    const [thermometer, mqtt] = [recorder.noteOf(0), recorder.noteOf(1)];
    thermometer("plug");
    nowMs = 1001.5;
    mqtt("plug");
    nowMs = 1200.1341;
    thermometer("say", Buffer.from("T=21\r\n"));
    mqtt("hear", Buffer.from("20020000", "hex"));
    nowMs = 1900;
    thermometer("pull");
    recorder.end();
    recorder.end();
    thermometer("plug");
    assert.equal(await readFile(path, "utf8"), GOOD);
  });

  it("is read as its specification says, a sensor at a time", async () => {
    const path = await written(GOOD);
    const header = await checkedHeader(path);
    assert.deepEqual(header, { seed: 7, sensors: SENSORS });
    assert.deepEqual(await played(path, 0), ["0 plug", "200134 say 543d32310d0a", "900000 pull"]);
    assert.deepEqual(await played(path, 1), ["1500 plug", "200134 hear 20020000"]);
  });

  it("has many bytes at a time as several entries", async () => {
    const path = join(directory, "long");
    const recorder = new Recorder(path, { seed: 7, sensors: SENSORS }, () => 0);
    const bytes = Buffer.alloc(40_000, 0x55);
    recorder.noteOf(0)("say", bytes);
    recorder.end();
    await checkedHeader(path);
    const sizes: number[] = [];
    for await (const entry of entriesOf(path, 0, 2)) sizes.push(entry.bytes.length);
    assert.deepEqual(sizes, [16_384, 16_384, 7232]);
  });

  it("that is none, or one of another version, is refused", async () => {
    for (const [text, code] of [
      ["", "FOREIGN"],
      ["\n", "FOREIGN"],
      ["GIF89a", "FOREIGN"],
      ['[0,0,"plug"]\n', "FOREIGN"],
      [`{"entries":0,"crc32":"00000000"}\n`, "FOREIGN"],
      ['{"firmware-sim-recording":"1"}\n', "FOREIGN"],
      ['{"firmware-sim-recording":2}\n', "VERSION"],
      ['{"firmware-sim-recording":1}\n', "DAMAGED"],
      [GOOD.replace('"seed":7', '"seed":"7"'), "DAMAGED"],
      [GOOD.replace('"th-1"', '"../th-1"'), "DAMAGED"],
      [GOOD.replace('"pty"', '"usb"'), "DAMAGED"],
      ["x".repeat(200_000), "FOREIGN"],
      [`{"firmware-sim-recording":${" ".repeat(200_000)}1}`, "DAMAGED"],
    ] as const) {
      await refused(text, `ERR_RECORDING_${code}`);
    }
  });

  it("that was changed is refused", async () => {
    for (const changed of [
      GOOD.replace("200134", "200135"), // the check value
      GOOD.replace("[1,1500", "[2,1500"),
      GOOD.replace('[1,1500,"plug"]', '[1, 1500,"plug"]'),
      GOOD.replace('[1,1500,"plug"]', '[1,1500,"say"]'),
      GOOD.replace('[1,1500,"plug"]', '[1,1500,"plug","00"]'),
      GOOD.replace('[1,1500,"plug"]', "[1,1500]"),
      GOOD.replace("20020000", "2002000"),
      GOOD.replace('[1,1500,"plug"]\n', ""),
      `${GOOD}[0,900001,"plug"]\n`,
      `${GOOD}\n`,
      GOOD.replace('"entries":5', '"entries":4'),
      withCheck(GOOD.replace("[0,900000", "[0,200133")),
    ]) {
      await refused(changed, "ERR_RECORDING_DAMAGED");
    }
    // The same change with a right check value is none.
    await checkedHeader(await written(withCheck(GOOD.replace("[0,900000", "[0,200134"))));
  });

  it("that ends anywhere before its end is refused as cut off", async () => {
    for (let length = 1; length < GOOD.length; length++) {
      await refused(GOOD.slice(0, length), "ERR_RECORDING_TRUNCATED");
    }
  });

  it("of which any byte is another one is refused", async () => {
    const random = seededRandom(SEED);
    for (let round = 0; round < 300; round++) {
      const bytes = Buffer.from(GOOD);
      const at = Math.floor(random() * bytes.length);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(random() * 8));
      await assert.rejects(
        checkedHeader(await written(bytes)),
        RecordingError,
        `seed ${SEED}: byte ${at} of ${JSON.stringify(bytes.toString("latin1"))}`,
      );
    }
  });

  it("is not written over another file, and says when it cannot be written", async () => {
    const path = await written("mine");
    const header = { seed: 1, sensors: SENSORS };
    assert.throws(() => new Recorder(path, header), codeOf("ERR_RECORDING_WRITE"));
    assert.equal(await readFile(path, "utf8"), "mine");
    const nowhere = join(directory, "no", "such");
    assert.throws(() => new Recorder(nowhere, header), codeOf("ERR_RECORDING_WRITE"));
  });

  it("takes constant memory to write and to read, however long it is", async () => {
    const path = join(directory, "huge");
    const recorder = new Recorder(path, { seed: 7, sensors: SENSORS });
    const say = recorder.noteOf(0);
    const piece = Buffer.alloc(200, 0x5a);
    say("plug");
    const before = await held();
    for (let i = 0; i < 60_000; i++) say("say", piece);
    const grown = (await held()) - before;
    recorder.end();
    assert.ok((await stat(path)).size > 24e6);
    let most = 0;
    let entries = 0;
    await checkedHeader(path);
    for await (const entry of entriesOf(path, 0, 2)) {
      entries += 1;
      if (entries % 10_000 === 0) most = Math.max(most, (await held()) - before);
      assert.ok(entry.bytes.length <= 200);
    }
    assert.equal(entries, 60_001);
    assert.ok(grown < 2e6 && most < 4e6, `grew by ${grown} and ${most} bytes`);
  });
});

async function held(): Promise<number> {
  await collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

async function played(path: string, sensor: number): Promise<string[]> {
  const seen: string[] = [];
  for await (const { atUs, what, bytes } of entriesOf(path, sensor, 2) as AsyncIterable<Entry>) {
    seen.push(`${atUs} ${what} ${Buffer.from(bytes).toString("hex")}`.trimEnd());
  }
  return seen;
}

/** The text with the check value that belongs to it. */
function withCheck(text: string): string {
  const end = text.lastIndexOf('{"entries"');
  const value = crc32(text.slice(0, end)).toString(16).padStart(8, "0");
  return text.slice(0, end) + text.slice(end).replace(/"[0-9a-f]{8}"/, `"${value}"`);
}

let files = 0;
async function written(content: string | Uint8Array): Promise<string> {
  const path = join(directory, `file-${files++}`);
  await writeFile(path, content);
  return path;
}

async function refused(content: string, code: string): Promise<void> {
  await assert.rejects(
    checkedHeader(await written(content)),
    codeOf(code),
    JSON.stringify(content.slice(0, 200)),
  );
}

function codeOf(code: string) {
  return (error: unknown) => error instanceof RecordingError && error.code === code;
}
