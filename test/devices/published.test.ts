import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import type { DeviceConfig } from "../../src/config/schema.ts";
import { parseConfig } from "../../src/config/yaml-load.ts";
import { Commands } from "../../src/devices/commands.ts";
import { deviceFor } from "../../src/devices/device-for.ts";
import type { Port, PortListener } from "../../src/devices/port.ts";
import type { Message } from "../../src/mqtt/message.ts";
import { SimClock } from "../support/sim-clock.ts";
import { BOARDS, BOUNDS } from "./boards-support.ts";
import { vectors } from "./framing-support.ts";

const PAGE = readFileSync(new URL("../../docs/devices.md", import.meta.url), "utf8");
const NOTHING = { exchange: [], command: null, sent: null } as const;
const IDENTITY = { gateway: "gw-a", site: "plant-7" };

describe("what a gateway publishes", () => {
  for (const { title, yaml, ...example } of examples()) {
    it(`is what docs/devices.md says: ${title}`, async () => {
      const [described] = loaded(yaml).devices;
      assert.ok(described);
      await check(described, example);
    });
  }

  it("is configured by what docs/devices.md shows, also where it shows no bytes", () => {
    const blocks = [...PAGE.matchAll(/```yaml\n(.*?)```/gs)].map(([, yaml = ""]) => yaml);
    assert.ok(blocks.length >= 18);
    for (const yaml of blocks) loaded(yaml);
  });

  interface BoardVector {
    readonly name: string;
    readonly board: string;
    readonly wire: string;
    readonly published: { topic: string; text?: string; hex?: string; json?: unknown };
  }
  for (const { name, board, wire, published: vector } of vectors<BoardVector>("boards")) {
    it(`of ${name} is what the vector says`, async () => {
      const { topic, text, hex, json } = vector;
      const payload = text ?? (hex === undefined ? JSON.stringify(json) : `0x${hex}`);
      const published = [`${topic} ${payload}`];
      await check(configOf(board, topic), {
        ...NOTHING,
        wire: Buffer.from(wire, "hex"),
        published,
      });
    });
  }
});

/**
 * Plays bytes to a device whose line was silent before and after, answers as the example does, gives it a command, and compares
 * `topic payload` and `refused reason` of all that comes of it.
 */
async function check(config: DeviceConfig, example: Bytes): Promise<void> {
  const clock = new SimClock();
  const said: string[] = [];
  const line: { listener: PortListener | null } = { listener: null };
  const exchange = [...example.exchange];
  const sent: Uint8Array[] = [];
  const port: Port = {
    async open(listener) {
      line.listener = listener;
      const write = async (bytes: Uint8Array) => {
        sent.push(Uint8Array.from(bytes));
        const next = exchange.shift();
        if (next === undefined) return;
        assert.equal(Buffer.from(bytes).toString("hex"), next.asked);
        void clock.sleep(5).then(() => listener.data(Buffer.from(next.answered, "hex")));
      };
      return { pause() {}, resume() {}, write, close: async () => {} };
    },
  };
  const sink = {
    async admit({ topic, payload }: Message) {
      const binary = config.decode.type === "raw" && config.modbus === undefined;
      const bytes = Buffer.from(payload);
      said.push(`${topic} ${binary ? `0x${bytes.toString("hex")}` : bytes.toString()}`);
    },
  };
  const tools = { clock, log: silentLog, identity: IDENTITY, sink };
  const made = deviceFor(config, { ...tools, random: () => 0, port });
  let command = (_message: Message) => {};
  const commands = new Commands(config, made, {
    ...tools,
    listen: (_topic, to) => {
      command = to;
      return () => {};
    },
    mayWrite: () => true,
  });
  const { signal } = new AbortController();
  await made.start(signal);
  await commands.start(signal);
  await clock.run(2000);
  if (example.wire.length > 0) line.listener?.data(example.wire);
  const text = { topic: "", qos: 1, retain: false, properties: null } as const;
  if (example.command !== null) command({ ...text, payload: Buffer.from(example.command) });
  await clock.run(4000);
  for (const [reason, count] of Object.entries(made.status().counters.refused)) {
    for (let i = 0; i < count; i++) said.push(`refused ${reason}`);
  }
  assert.deepEqual(exchange, [], "all was asked");
  if (example.sent !== null) assert.deepEqual(Buffer.concat(sent), Buffer.from(example.sent));
  await commands.stop();
  await made.stop();
  assert.deepEqual(said, example.published);
}

interface Bytes {
  readonly wire: Uint8Array;
  /** Requests and answers in hexadecimal digits; an answer of none is silence. */
  readonly exchange: readonly { readonly asked: string; readonly answered: string }[];
  readonly command: string | null;
  /** What is written to the line; null: not shown. */
  readonly sent: Uint8Array | null;
  readonly published: readonly string[];
}

interface Example extends Bytes {
  readonly title: string;
  readonly yaml: string;
}

/** The sections of the page that have a configuration, and what is published with it. */
function examples(): readonly Example[] {
  const found = PAGE.split(/\n###? /).filter((section) => block(section, "published") !== null);
  assert.ok(found.length >= 16, "the page has its examples");
  return found.map((section) => {
    const title = section.slice(0, section.indexOf("\n"));
    const yaml = block(section, "yaml");
    assert.ok(yaml, title);
    const sent = block(section, "sent");
    return {
      title,
      yaml,
      wire: unescaped((block(section, "wire") ?? "").replaceAll("\n", "")),
      exchange: exchangeOf(block(section, "exchange") ?? ""),
      command: block(section, "command")?.trim() ?? null,
      sent: sent === null ? null : unescaped(sent.trimEnd()),
      published: block(section, "published")?.trimEnd().split("\n") ?? [],
    };
  });
}

function exchangeOf(text: string): Bytes["exchange"] {
  const hex = (words: string) => words.replaceAll(/[^0-9a-f]/g, "");
  return text
    .split(/^> /m)
    .slice(1)
    .map((turn) => {
      const [asked = "", answered = ""] = turn.split("<");
      return { asked: hex(asked), answered: hex(answered) };
    });
}

function loaded(yaml: string) {
  return parseConfig(`gateway: { id: gw-a, site: plant-7 }\n${yaml}`, "docs/devices.md");
}

function block(section: string, language: string): string | null {
  return new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``).exec(section)?.[1] ?? null;
}

/** Bytes of text with `\r`, `\n` and `\xff`. */
function unescaped(text: string): Uint8Array {
  const plain = text.replaceAll(/\\(r|n|x([0-9a-f]{2}))/g, (_all, letter: string, hex?: string) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    return letter === "r" ? "\r" : "\n";
  });
  return Buffer.from(plain, "latin1");
}

function configOf(board: string, topic: string): DeviceConfig {
  const described = BOARDS[board];
  assert.ok(described);
  return {
    name: topic.split("/").at(-1) ?? "",
    port: "/dev/fake",
    baudRate: 9600,
    dataBits: 8,
    parity: "none",
    stopBits: 1,
    ...described,
    topic: "devices/{gateway}/{device}",
    qos: 1,
    retain: false,
    ...BOUNDS,
  };
}
