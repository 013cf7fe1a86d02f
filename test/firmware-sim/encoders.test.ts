import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import {
  type DoorContact,
  doorContactLine,
  type Thermometer,
  thermometerLine,
  type Vibration,
  vibrationFrame,
  type Weather,
  weatherSentence,
} from "../../firmware-sim/encode/boards.ts";
import { cobs } from "../../firmware-sim/encode/cobs.ts";
import { crc16CcittFalse } from "../../firmware-sim/encode/crc16.ts";
import {
  answersIn,
  connectPacket,
  DISCONNECT,
  PINGREQ,
  publishPacket,
} from "../../firmware-sim/encode/mqtt.ts";

describe("firmware's encoders", () => {
  for (const vector of vectors<{ name: string; board: string; sample: unknown; wire: string }>(
    "boards",
  )) {
    it(`write ${vector.name}`, () => check(encoded(vector.board, vector.sample), vector.wire));
  }

  for (const { name, framing, frames, wire } of vectors<{
    name: string;
    framing: { type: string; check?: string };
    frames: string[];
    wire: string;
  }>("framing")) {
    if (framing.type !== "cobs" || framing.check !== undefined) continue;
    it(`write ${name}`, () => {
      const [frame = ""] = frames;
      check(Uint8Array.of(...cobs(Buffer.from(frame, "hex")), 0), wire);
    });
  }

  for (const { input, values } of vectors<{ input: string; values: Record<string, string> }>(
    "checks",
  )) {
    it(`compute the CRC-16 of ${input.slice(0, 20)}`, () => {
      const value = Number.parseInt(values["crc16-ccitt"] ?? "", 16);
      assert.equal(crc16CcittFalse(Buffer.from(input, "hex")), value);
    });
  }

  for (const { name, packet, wire } of vectors<{ name: string; packet: MqttPacket; wire: string }>(
    "mqtt",
  )) {
    it(`write ${name}`, () => check(mqtt(packet), wire));
  }

  it("understand a broker's answers, however they are cut", () => {
    const bytes = Buffer.from("20020100" + "4002000a" + "d000" + "40020102", "hex");
    const expected = [
      { is: "connack", code: 0, sessionPresent: true },
      { is: "puback", packetId: 10 },
      { is: "pingresp" },
      { is: "puback", packetId: 258 },
    ];
    for (let cut = 0; cut <= bytes.length; cut++) {
      const first = answersIn(bytes.subarray(0, cut));
      const second = answersIn(Buffer.concat([first.rest, bytes.subarray(cut)]));
      assert.deepEqual([...first.answers, ...second.answers], expected, `cut at ${cut}`);
    }
  });

  it("give up on a far side that says more than a broker would", () => {
    const { answers, rest } = answersIn(Buffer.from("30ff7f00", "hex"));
    assert.deepEqual(answers, [{ is: "unknown", type: 3 }]);
    assert.equal(rest.length, 0);
  });
});

type MqttPacket =
  | { type: "connect"; clientId: string; keepAliveSeconds: number }
  | { type: "publish"; topic: string; payload: string; packetId: number; dup: boolean }
  | { type: "pingreq" }
  | { type: "disconnect" };

function mqtt(packet: MqttPacket): Uint8Array {
  switch (packet.type) {
    case "connect":
      return connectPacket(packet.clientId, packet.keepAliveSeconds);
    case "publish": {
      const payload = Buffer.from(packet.payload, "hex");
      return publishPacket(packet.topic, payload, packet.packetId, packet.dup);
    }
    case "pingreq":
      return PINGREQ;
    case "disconnect":
      return DISCONNECT;
  }
}

function encoded(board: string, sample: unknown): Uint8Array {
  switch (board) {
    case "thermometer":
      return thermometerLine(sample as Thermometer);
    case "door-contact":
      return doorContactLine(sample as DoorContact);
    case "vibration":
      return vibrationFrame(sample as Vibration);
    case "weather-station":
      return weatherSentence(sample as Weather);
    default:
      throw new Error(`no board is called ${board}`);
  }
}

function vectors<V>(name: string): readonly V[] {
  return JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), "utf8"))
    .vectors;
}

function check(bytes: Uint8Array, hex: string): void {
  assert.equal(Buffer.from(bytes).toString("hex"), hex);
}
