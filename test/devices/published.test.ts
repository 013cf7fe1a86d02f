import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import type { DeviceConfig } from "../../src/config/schema.ts";
import { parseConfig } from "../../src/config/yaml-load.ts";
import { device } from "../../src/devices/device.ts";
import type { Port, PortListener } from "../../src/devices/port.ts";
import { SimClock } from "../support/sim-clock.ts";
import { BOARDS, BOUNDS } from "./boards-support.ts";
import { vectors } from "./framing-support.ts";

describe("what a gateway publishes", () => {
  for (const { title, yaml, wire, published } of examples()) {
    it(`is what docs/devices.md says: ${title}`, async () => {
      const config = parseConfig(
        `gateway: { id: gw-a, site: plant-7 }\n${yaml}`,
        "docs/devices.md",
      );
      const [described] = config.devices;
      assert.ok(described);
      await check(described, wire, published);
    });
  }

  interface BoardVector {
    readonly name: string;
    readonly board: string;
    readonly wire: string;
    readonly published: { topic: string; text?: string; hex?: string; json?: unknown };
  }
  for (const { name, board, wire, published } of vectors<BoardVector>("boards")) {
    it(`of ${name} is what the vector says`, async () => {
      const { topic, text, hex, json } = published;
      const payload = text ?? (hex === undefined ? JSON.stringify(json) : `0x${hex}`);
      await check(configOf(board, topic), Buffer.from(wire, "hex"), [`${topic} ${payload}`]);
    });
  }
});

/** Plays bytes to a device whose line was silent before and after, and compares `topic payload` and `refused reason`. */
async function check(
  config: DeviceConfig,
  wire: Uint8Array,
  expected: readonly string[],
): Promise<void> {
  const clock = new SimClock();
  const said: string[] = [];
  let line: PortListener | null = null;
  const port: Port = {
    async open(listener) {
      line = listener;
      return { pause() {}, resume() {}, write: async () => {}, close: async () => {} };
    },
  };
  const made = device(config, {
    clock,
    log: silentLog,
    random: () => 0,
    identity: { gateway: "gw-a", site: "plant-7" },
    sink: {
      async admit({ topic, payload }) {
        const binary = config.decode.type === "raw";
        const bytes = Buffer.from(payload);
        said.push(`${topic} ${binary ? `0x${bytes.toString("hex")}` : bytes.toString()}`);
      },
    },
    port,
  });
  await made.start(new AbortController().signal);
  await clock.run(2000);
  (line as PortListener | null)?.data(wire);
  await clock.run(4000);
  const { refused } = made.status().counters;
  for (const [reason, count] of Object.entries(refused)) {
    for (let i = 0; i < count; i++) said.push(`refused ${reason}`);
  }
  await made.stop();
  assert.deepEqual(said, expected);
}

interface Example {
  readonly title: string;
  readonly yaml: string;
  readonly wire: Uint8Array;
  readonly published: readonly string[];
}

/** The sections of the page that have a configuration, bytes, and what is published of them. */
function examples(): readonly Example[] {
  const page = readFileSync(new URL("../../docs/devices.md", import.meta.url), "utf8");
  const found = page.split("\n### ").slice(1);
  assert.ok(found.length >= 10, "the page has its examples");
  return found.map((section) => ({
    title: section.slice(0, section.indexOf("\n")),
    yaml: block(section, "yaml"),
    wire: unescaped(block(section, "wire").replaceAll("\n", "")),
    published: block(section, "published").trimEnd().split("\n"),
  }));
}

function block(section: string, language: string): string {
  const match = new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``).exec(section);
  assert.ok(match?.[1], `a block of ${language} in: ${section.slice(0, 40)}`);
  return match[1];
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
