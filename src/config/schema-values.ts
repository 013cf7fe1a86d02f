import * as Type from "typebox";
import { bytes, choice, name, number, section, text, whole } from "./schema-kinds.ts";

const types = [
  "uint8",
  "int8",
  "uint16",
  "int16",
  "uint32",
  "int32",
  "uint64",
  "int64",
  "float32",
  "float64",
] as const;

/** What bits mean, the same in a binary frame and in registers. */
const meaning = {
  scale: Type.Optional(number({ description: "The value is multiplied by it.", examples: [0.1] })),
  shift: Type.Optional(
    number({ description: "Added to the value after scaling.", examples: [-40] }),
  ),
  unit: Type.Optional(text({ description: "Unit of the value.", examples: ["kWh"] })),
  bit: Type.Optional(
    whole({
      minimum: 0,
      maximum: 63,
      description: "The value is this bit, true or false; 0 is the least significant one.",
    }),
  ),
  enum: Type.Optional(
    Type.Record(Type.String(), Type.String({ minLength: 1 }), {
      description: "Words for numbers; a number without a word stays a number.",
      examples: [{ "0": "off", "1": "on" }],
    }),
  ),
};

export const binaryField = section({
  field: text({ description: "Name of the value.", examples: ["temperature"] }),
  at: bytes({
    minimum: 0,
    maximum: 65_535,
    description: "Where it begins, from the first byte of the frame.",
  }),
  type: choice(types, { default: "uint8", description: "How the bytes are a number." }),
  endian: choice(["big", "little"], {
    default: "big",
    description: "Whether the highest or the lowest byte comes first.",
  }),
  ...meaning,
});

const modbusField = section({
  field: text({ description: "Name of the value.", examples: ["voltage"] }),
  table: choice(["holding", "input", "coil", "discrete"], {
    default: "holding",
    description: "Where it is read: function 3, 4, 1 or 2.",
  }),
  register: whole({
    minimum: 0,
    maximum: 65_535,
    description: "Address on the wire, from 0: 40001 of many manuals is 0 of the table holding.",
  }),
  type: choice(types, {
    default: "uint16",
    description: "How the registers are a number. 8 bits: the low byte. Coils have none.",
  }),
  wordOrder: choice(["big", "little"], {
    default: "big",
    description: "Whether the highest or the lowest register comes first.",
  }),
  byteOrder: choice(["big", "little"], {
    default: "big",
    description: "Order of the bytes in a register; big is the standard.",
  }),
  ...meaning,
  intervalMs: Type.Optional(
    whole({
      minimum: 10,
      maximum: 86_400_000,
      description: "Between two readings, where it is not the slave's.",
      unit: "ms",
    }),
  ),
  publish: choice(["always", "change"], {
    default: "always",
    description: "Whether every reading is published, or one that differs from the last.",
  }),
  deadBand: Type.Optional(
    number({
      minimum: 0,
      description: "With change: a number must differ by more than this.",
      examples: [0.5],
    }),
  ),
});

const slave = section({
  name: name({
    description: "Name of the slave, unique on its line; {slave} in the topic.",
    examples: ["meter-1"],
  }),
  unit: whole({
    minimum: 0,
    maximum: 255,
    description: "Its address: from 1 to 247 on a serial line.",
  }),
  intervalMs: whole({
    default: 1000,
    minimum: 10,
    maximum: 86_400_000,
    description: "Between two readings.",
    unit: "ms",
  }),
  timeoutMs: whole({
    default: 500,
    minimum: 10,
    maximum: 60_000,
    description: "Time for its answer, from the last byte of the request.",
    unit: "ms",
  }),
  retries: whole({
    default: 1,
    minimum: 0,
    maximum: 10,
    description:
      "Times that an unanswered request is sent again before the slave counts as silent.",
  }),
  fields: Type.Array(modbusField, {
    minItems: 1,
    maxItems: 1000,
    description: "What is read.",
  }),
});

export const modbus = section(
  {
    framing: choice(["rtu", "tcp"], {
      default: "rtu",
      description: "Modbus RTU, also through a serial server, or Modbus TCP.",
    }),
    slaves: Type.Array(slave, {
      minItems: 1,
      maxItems: 247,
      description: "Who is asked.",
    }),
    registersMax: whole({
      default: 125,
      minimum: 4,
      maximum: 125,
      description: "Most registers of one request; sixteen times as many coils.",
    }),
    gapMax: whole({
      default: 0,
      minimum: 0,
      maximum: 124,
      description:
        "Unwanted registers that are read along, where that joins two requests. A slave without them answers exception 2.",
    }),
    silenceMs: Type.Optional(
      whole({
        minimum: 1,
        maximum: 1000,
        description:
          "Silence before a request. Without it 3.5 characters, above 19,200 baud 1.75 ms.",
        unit: "ms",
      }),
    ),
    silentFirstMs: whole({
      default: 1000,
      minimum: 10,
      maximum: 3_600_000,
      description: "How long a slave that fell silent is left alone at first; it doubles.",
      unit: "ms",
    }),
    silentMaxMs: whole({
      default: 60_000,
      minimum: 10,
      maximum: 3_600_000,
      description: "The longest that a silent slave is left alone.",
      unit: "ms",
    }),
  },
  {
    description:
      "The device is a line of Modbus slaves that are asked. Then it has no framing and no decode.",
  },
);
