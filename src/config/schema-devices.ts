import * as Type from "typebox";
import { bytes, choice, flag, name, oneOf, section, text, whole } from "./schema-kinds.ts";
import { binaryField, modbus } from "./schema-values.ts";

/** How bytes of a line become frames. check-devices.ts knows which keys belong to which type. */
export const framing = section(
  {
    type: choice(["lines", "delimiter", "fixed", "length-prefix", "slip", "cobs"], {
      default: "lines",
      description: "How frames are told apart.",
    }),
    bytesMax: bytes({
      default: 1024,
      minimum: 1,
      maximum: 65_536,
      description: "Longest frame; a longer one is refused and the next one looked for.",
    }),
    timeoutMs: whole({
      default: 1000,
      minimum: 1,
      maximum: 3_600_000,
      description: "A frame that is not complete this long after its first byte is refused.",
      unit: "ms",
    }),
    delimiter: Type.Optional(
      text({
        pattern: "^([0-9A-Fa-f]{2}){1,16}$",
        expects: "pairs of hexadecimal digits, one a byte, at most 16 bytes, in quotes",
        description: "For delimiter: the bytes that end a frame, in hexadecimal.",
        examples: ["0d0a"],
      }),
    ),
    length: Type.Optional(
      bytes({
        minimum: 1,
        maximum: 65_536,
        description: "For fixed: how long every frame is, its check value included.",
      }),
    ),
    prefixBytes: Type.Optional(
      oneOf([1, 2, 4], { description: "For length-prefix: how many bytes the length takes." }),
    ),
    endian: Type.Optional(
      choice(["big", "little"], {
        description: "For length-prefix: order of the length's bytes, when they are more than one.",
      }),
    ),
    offset: Type.Optional(
      whole({
        minimum: -64,
        maximum: 64,
        description: "For length-prefix: added to the length to give the bytes that follow.",
      }),
    ),
    check: choice(["none", "crc16-modbus", "crc16-ccitt", "crc32", "xor", "sum"], {
      default: "none",
      description: "Check value at the end of a frame; a frame with a wrong one is refused.",
    }),
  },
  { default: {}, description: "How the bytes of the line become frames." },
);

export const decode = section(
  {
    type: choice(["raw", "text", "json", "csv", "key-value", "nmea", "binary"], {
      default: "raw",
      description: "What a frame means.",
    }),
    columns: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        minItems: 1,
        maxItems: 256,
        description: "For csv: names of the columns, in order.",
        examples: [["temperature", "humidity"]],
      }),
    ),
    fields: Type.Optional(
      Type.Array(binaryField, {
        minItems: 1,
        maxItems: 1000,
        description: "For binary: the values and their places in the frame.",
      }),
    ),
    units: Type.Optional(
      Type.Record(Type.String(), Type.String({ minLength: 1 }), {
        description: "Units by field. Not for raw and text, which have no fields.",
        examples: [{ temperature: "°C" }],
      }),
    ),
  },
  { default: {}, description: "What the frames mean." },
);

/** How a device is recognised whose adapter has no name that stays the same. */
const probe = section(
  {
    contains: Type.Optional(
      text({
        description: "What a frame of the device contains: its name, its serial number.",
        examples: ["id=th-1 "],
      }),
    ),
    containsHex: Type.Optional(
      text({
        pattern: "^([0-9A-Fa-f]{2}){1,64}$",
        expects: "pairs of hexadecimal digits, one a byte, at most 64 bytes, in quotes",
        description: "The same in hexadecimal, instead of contains.",
        examples: ["0007"],
      }),
    ),
    listenMs: whole({
      default: 3000,
      minimum: 10,
      maximum: 600_000,
      description:
        "How long all ports that `port` matches are listened to; longer than the device is ever silent.",
      unit: "ms",
    }),
  },
  {
    description:
      "For a `port` with *: it is the one of these ports on which a frame contains this. Nothing is written to find out.",
  },
);

export const device = section({
  name: name({
    description: "Name of the device, unique on the gateway; {device} in its topic.",
    examples: ["boiler"],
  }),
  port: text({
    description: "Serial port, or tcp://host:port of a serial server.",
    examples: ["/dev/serial/by-id/usb-FTDI-if00-port0", "tcp://10.0.0.9:4001"],
  }),
  probe: Type.Optional(probe),
  baudRate: whole({
    default: 9600,
    minimum: 50,
    maximum: 4_000_000,
    description: "Speed of the line.",
    unit: "baud",
  }),
  dataBits: oneOf([5, 6, 7, 8], { default: 8, description: "Data bits of a character." }),
  parity: choice(["none", "even", "odd"], { default: "none", description: "Parity." }),
  stopBits: oneOf([1, 2], { default: 1, description: "Stop bits." }),
  framing,
  decode,
  modbus: Type.Optional(modbus),
  topic: text({
    default: "devices/{gateway}/{device}",
    description:
      "Topic of its messages; {gateway}, {site}, {device}, {slave} and {field} are filled in. With {field}, each field is a message.",
    examples: ["plant/{gateway}/{device}/{field}"],
  }),
  statusTopic: text({
    default: "devices/{gateway}/{device}/status",
    description: "Retained topic that says whether it is online, with its counters.",
  }),
  statusSeconds: whole({
    default: 60,
    minimum: 0,
    maximum: 86_400,
    description: "How often its status is published when nothing has changed; 0: never.",
    unit: "s",
  }),
  silenceSeconds: whole({
    default: 0,
    minimum: 0,
    maximum: 86_400,
    description: "Silent for so long, it counts as offline although its port is open; 0: never.",
    unit: "s",
  }),
  commandTopic: Type.Optional(
    text({
      description: "Topic of commands for it. Without it nothing is ever written to it.",
      examples: ["devices/{gateway}/{device}/command"],
    }),
  ),
  replyTopic: Type.Optional(
    text({ description: "Topic of the replies; without it that of the commands and /reply." }),
  ),
  commandDeadlineMs: whole({
    default: 10_000,
    minimum: 1,
    maximum: 3_600_000,
    description:
      "A command that came longer ago is not written any more, unless it says otherwise.",
    unit: "ms",
  }),
  commandsMax: whole({
    default: 32,
    minimum: 1,
    maximum: 10_000,
    description: "Commands that wait for their turn; one more is refused.",
  }),
  commandIdsMax: whole({
    default: 256,
    minimum: 1,
    maximum: 100_000,
    description: "Ids of commands that are remembered: none of these is written twice.",
  }),
  writeTimeoutMs: whole({
    default: 5000,
    minimum: 10,
    maximum: 600_000,
    description: "Time for the system to take a frame that is written.",
    unit: "ms",
  }),
  shared: flag({
    default: false,
    description: "Another gateway reaches the same device: only the site's primary writes to it.",
  }),
  qos: oneOf([0, 1, 2], { default: 1, description: "Quality of service of its messages." }),
  retain: flag({ default: false, description: "Retain its messages." }),
  inflightMax: whole({
    default: 64,
    minimum: 1,
    maximum: 10_000,
    description: "Messages on their way to the disk; beyond it the port is not read.",
  }),
  readingsMax: whole({
    default: 256,
    minimum: 1,
    maximum: 10_000,
    description: "Readings of one frame; a frame with more is refused.",
  }),
  openTimeoutMs: whole({
    default: 10_000,
    minimum: 10,
    maximum: 600_000,
    description: "Time until the port must be open.",
    unit: "ms",
  }),
  backoffFirstMs: whole({
    default: 500,
    minimum: 1,
    maximum: 3_600_000,
    description: "Ceiling of the first random delay before the port is opened again; it doubles.",
    unit: "ms",
  }),
  backoffMaxMs: whole({
    default: 10_000,
    minimum: 1,
    maximum: 3_600_000,
    description: "Highest ceiling of the delay.",
    unit: "ms",
  }),
  stableMs: whole({
    default: 10_000,
    minimum: 0,
    maximum: 3_600_000,
    description: "A port that stayed open this long forgives earlier failures.",
    unit: "ms",
  }),
});
