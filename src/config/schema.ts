import Type, { type Static, type TProperties } from "typebox";

/**
 * The configuration, declared once. Types, defaults, the JSON Schema and docs/config.md come from here;
 * `description`, `default`, `unit` and `examples` are part of the declaration. Names carry their unit at the end.
 */
const closed = { additionalProperties: false } as const;

const durability = choice(["safe", "local", "fast"], {
  default: "local",
  description:
    "What must have happened before a message is acknowledged: safe: synced here and on a peer; local: synced here; fast: written, not synced.",
});

const gateway = section({
  id: Type.String({
    pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
    default: "gateway",
    description: "Name of this gateway, unique on its site.",
    examples: ["gw-a"],
  }),
  site: Type.String({
    pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
    default: "site",
    description: "Name of the site that its gateways share.",
    examples: ["plant-7"],
  }),
});

const store = section({
  path: Type.String({
    default: "/var/lib/fieldgate",
    description: "Directory of the LevelDB store.",
  }),
  bytesMax: bytes({
    default: 2 * 2 ** 30,
    minimum: 2 ** 20,
    description: "The journal takes no more when the store has this size.",
  }),
  durability,
  commitDelayMs: Type.Integer({
    default: 0,
    minimum: 0,
    maximum: 1000,
    description: "How long a commit waits for more company: costs latency, saves flash.",
    unit: "ms",
  }),
  cursorDelayMs: Type.Integer({
    default: 500,
    minimum: 1,
    maximum: 60_000,
    description: "The longest time until a moved cursor is on disk; what a crash repeats at most.",
    unit: "ms",
  }),
  pendingBytesMax: bytes({
    default: 8 * 2 ** 20,
    minimum: 2 ** 16,
    description: "Publishers are not read further while this much waits for the disk.",
  }),
});

const listener = section({
  name: name("Name of the listener, shown in status and logs."),
  type: choice(["tcp"], { default: "tcp", description: "Transport." }),
  host: Type.String({ default: "127.0.0.1", description: "Address to listen on." }),
  port: Type.Integer({
    default: 1883,
    minimum: 0,
    maximum: 65_535,
    description: "Port; 0 takes a free one.",
  }),
  anonymous: Type.Boolean({
    default: false,
    description:
      "Accept clients without credentials beyond loopback. On loopback they are always accepted.",
  }),
});

const mqtt = section({
  packetBytesMax: bytes({
    default: 2 ** 20,
    minimum: 128,
    maximum: 268_435_455,
    description: "Largest packet after CONNECT is accepted.",
  }),
  connectBytesMax: bytes({ default: 16 * 1024, minimum: 128, description: "Largest CONNECT." }),
  connectTimeoutMs: Type.Integer({
    default: 10_000,
    minimum: 100,
    description: "Time until CONNECT must be complete.",
    unit: "ms",
  }),
  connectionsMax: Type.Integer({
    default: 10_000,
    minimum: 1,
    description: "Connections at a time.",
  }),
  topicLevelsMax: Type.Integer({
    default: 32,
    minimum: 1,
    maximum: 100,
    description: "Levels of a topic or filter.",
  }),
  inflightMax: Type.Integer({
    default: 32,
    minimum: 1,
    maximum: 65_535,
    description: "QoS 1 and 2 messages in flight to one session.",
  }),
  inboundInflightMax: Type.Integer({
    default: 1000,
    minimum: 1,
    maximum: 65_535,
    description: "QoS 2 messages of one client that wait for PUBREL.",
  }),
  queueMessagesMax: Type.Integer({
    default: 100_000,
    minimum: 1,
    description: "Messages that wait for one session.",
  }),
  queueBytesMax: bytes({
    default: 64 * 2 ** 20,
    minimum: 1024,
    description: "Bytes that wait for one session.",
  }),
  queueWhenFull: choice(["drop-oldest", "drop-new", "disconnect"], {
    default: "drop-oldest",
    description: "What happens when a session's queue is full.",
  }),
  sessionsMax: Type.Integer({ default: 10_000, minimum: 1, description: "Persistent sessions." }),
  subscriptionsMax: Type.Integer({
    default: 1000,
    minimum: 1,
    description: "Subscriptions of one session.",
  }),
  retainedMax: Type.Integer({ default: 100_000, minimum: 0, description: "Retained messages." }),
});

const framing = section({
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
  timeoutMs: Type.Integer({
    default: 1000,
    minimum: 1,
    description: "A frame that is not complete by then is refused.",
    unit: "ms",
  }),
  delimiter: Type.Optional(
    Type.String({
      pattern: "^([0-9A-Fa-f]{2})+$",
      description: "For delimiter: the bytes that end a frame, in hexadecimal.",
      examples: ["0d0a"],
    }),
  ),
  length: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 65_536, description: "For fixed: bytes of a frame." }),
  ),
  prefixBytes: Type.Optional(
    Type.Union([Type.Literal(1), Type.Literal(2), Type.Literal(4)], {
      description: "For length-prefix: bytes of the length.",
    }),
  ),
  endian: Type.Optional(
    choice(["big", "little"], { description: "For length-prefix: order of the length's bytes." }),
  ),
  offset: Type.Optional(
    Type.Integer({
      minimum: -64,
      maximum: 64,
      description: "For length-prefix: added to the length to give the bytes that follow.",
    }),
  ),
  check: choice(["none", "crc16-modbus", "crc16-ccitt", "crc32", "xor", "sum"], {
    default: "none",
    description: "Check value at the end of a frame; a frame with a wrong one is refused.",
  }),
});

const decode = section({
  type: choice(["raw", "text", "json", "csv", "key-value", "nmea"], {
    default: "raw",
    description: "What a frame means.",
  }),
  columns: Type.Optional(
    Type.Array(Type.String({ minLength: 1 }), {
      description: "For csv: names of the columns, in order.",
    }),
  ),
  units: Type.Optional(
    Type.Record(Type.String(), Type.String(), { description: "Units by field." }),
  ),
});

const device = section({
  name: name("Name of the device; {device} in its topic."),
  port: Type.String({
    minLength: 1,
    description: "Serial port, or tcp://host:port of a serial server.",
    examples: ["/dev/serial/by-id/usb-FTDI-if00-port0", "tcp://10.0.0.9:4001"],
  }),
  baudRate: Type.Integer({
    default: 9600,
    minimum: 50,
    maximum: 4_000_000,
    description: "Speed of the line.",
    unit: "baud",
  }),
  dataBits: Type.Union([Type.Literal(5), Type.Literal(6), Type.Literal(7), Type.Literal(8)], {
    default: 8,
    description: "Data bits.",
  }),
  parity: choice(["none", "even", "odd"], { default: "none", description: "Parity." }),
  stopBits: Type.Union([Type.Literal(1), Type.Literal(2)], {
    default: 1,
    description: "Stop bits.",
  }),
  framing,
  decode,
  topic: Type.String({
    default: "devices/{gateway}/{device}",
    minLength: 1,
    description:
      "Topic of its messages; {gateway}, {site}, {device} and {field} are filled in. With {field}, each field is a message.",
    examples: ["plant/{gateway}/{device}/{field}"],
  }),
  qos: Type.Union([Type.Literal(0), Type.Literal(1), Type.Literal(2)], {
    default: 1,
    description: "Quality of service of its messages.",
  }),
  retain: Type.Boolean({ default: false, description: "Retain its messages." }),
});

const uplinkRule = section({
  match: Type.String({
    minLength: 1,
    description: "Topic filter of what leaves for the cloud. The first rule that matches decides.",
    examples: ["plant/#"],
  }),
  lane: choice(["alarm", "telemetry", "bulk"], {
    default: "telemetry",
    description: "Lane that carries it.",
  }),
  remoteTopic: Type.String({
    default: "{topic}",
    minLength: 1,
    description: "Topic at the cloud; {topic}, {gateway} and {site} are filled in.",
    examples: ["sites/{site}/{topic}"],
  }),
  qos: Type.Union([Type.Literal(1), Type.Literal(2)], {
    default: 1,
    description: "Quality of service towards the cloud.",
  }),
});

const uplink = section({
  endpoints: Type.Array(Type.String({ pattern: "^(mqtt|mqtts)://" }), {
    minItems: 1,
    description: "MQTT brokers of the cloud, tried in order.",
    examples: [["mqtts://cloud-1:8883"]],
  }),
  rules: Type.Array(uplinkRule, { default: [], description: "What leaves, and how." }),
  clientId: Type.Optional(
    Type.String({
      minLength: 1,
      description: "Client id at the cloud; without it {site}-{gateway}-{lane}.",
    }),
  ),
  username: Type.Optional(Type.String({ minLength: 1, description: "User at the cloud." })),
  passwordFile: Type.Optional(
    Type.String({ minLength: 1, description: "File with the password." }),
  ),
  caFile: Type.Optional(
    Type.String({ minLength: 1, description: "Certificate authority of the cloud, PEM." }),
  ),
  certFile: Type.Optional(Type.String({ minLength: 1, description: "Client certificate, PEM." })),
  keyFile: Type.Optional(
    Type.String({ minLength: 1, description: "Key of the client certificate, PEM." }),
  ),
  windowMax: Type.Integer({
    default: 256,
    minimum: 1,
    maximum: 65_535,
    description: "Messages in flight, per lane.",
  }),
  acknowledgeTimeoutMs: Type.Integer({
    default: 15_000,
    minimum: 100,
    description:
      "With messages in flight and no acknowledgement for this long, the link is closed and opened again.",
    unit: "ms",
  }),
  connectTimeoutMs: Type.Integer({
    default: 10_000,
    minimum: 100,
    description: "Time until the cloud must have accepted the connection.",
    unit: "ms",
  }),
  keepaliveSeconds: Type.Integer({
    default: 30,
    minimum: 1,
    maximum: 65_535,
    description: "MQTT keep-alive.",
    unit: "s",
  }),
  backoffFirstMs: Type.Integer({
    default: 500,
    minimum: 1,
    description: "Ceiling of the first random delay before connecting again; doubles.",
    unit: "ms",
  }),
  backoffMaxMs: Type.Integer({
    default: 60_000,
    minimum: 1,
    description: "Highest ceiling of the delay.",
    unit: "ms",
  }),
  stableMs: Type.Integer({
    default: 60_000,
    minimum: 0,
    description: "A connection that lived this long forgives earlier failures.",
    unit: "ms",
  }),
});

const cluster = section({
  endpoints: Type.Array(Type.String({ pattern: "^https?://" }), {
    minItems: 1,
    description: "etcd.",
    examples: [["http://10.0.0.1:2379"]],
  }),
  registrationTtlSeconds: Type.Integer({
    default: 10,
    minimum: 1,
    description: "Lease of the registration.",
    unit: "s",
  }),
  primaryTtlSeconds: Type.Integer({
    default: 3,
    minimum: 1,
    description: "Lease of being primary.",
    unit: "s",
  }),
  priority: Type.Integer({
    default: 100,
    minimum: 0,
    maximum: 1000,
    description: "The higher is preferred as primary.",
  }),
});

const control = section({
  socket: Type.String({
    default: "/run/fieldgate/control.sock",
    description: "Unix socket of the CLI.",
  }),
});

const log = section({
  level: choice(["debug", "info", "warn", "error"], {
    default: "info",
    description: "Least severe line that is written.",
  }),
});

export const configSchema = section({
  gateway: Type.Object(gateway.properties, { ...closed, default: {}, description: "Who this is." }),
  store: Type.Object(store.properties, {
    ...closed,
    default: {},
    description: "What is kept, where and how safely.",
  }),
  listeners: Type.Array(listener, {
    default: [{ name: "local" }],
    description: "Where MQTT clients connect. Without any: loopback, port 1883.",
  }),
  mqtt: Type.Object(mqtt.properties, {
    ...closed,
    default: {},
    description: "Limits of the broker.",
  }),
  devices: Type.Array(device, { default: [], description: "Sensors on serial lines." }),
  uplink: Type.Optional(
    Type.Object(uplink.properties, {
      ...closed,
      description: "The way to the cloud. Without it nothing leaves.",
    }),
  ),
  cluster: Type.Optional(
    Type.Object(cluster.properties, {
      ...closed,
      description: "The gateways of the site. Without it a gateway is its own primary.",
    }),
  ),
  control: Type.Object(control.properties, {
    ...closed,
    default: {},
    description: "The local control socket.",
  }),
  log: Type.Object(log.properties, {
    ...closed,
    default: {},
    description: "Log lines, one JSON object each, on standard error.",
  }),
});

export type Config = Static<typeof configSchema>;
export type DeviceConfig = Static<typeof device>;
export type FramingConfig = Static<typeof framing>;
export type DecodeConfig = Static<typeof decode>;
export type UplinkConfig = Static<typeof uplink>;
export type UplinkRuleConfig = Static<typeof uplinkRule>;
export type ListenerConfig = Static<typeof listener>;
export type MqttConfig = Static<typeof mqtt>;
export type StoreConfig = Static<typeof store>;
export type ClusterConfig = Static<typeof cluster>;

/** An object whose unknown keys are errors. */
function section<P extends TProperties>(properties: P) {
  return Type.Object(properties, closed);
}

function choice<const V extends readonly [string, ...string[]]>(
  values: V,
  options: { readonly default?: V[number]; readonly description: string },
) {
  return Type.Unsafe<V[number]>({ type: "string", enum: [...values], ...options });
}

/** A number of bytes. In the file also as text with a unit: 64KiB, 8MiB, 2GiB. */
function bytes(options: {
  readonly default?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly description: string;
}) {
  return Type.Integer({ ...options, unit: "bytes" });
}

function name(description: string) {
  return Type.String({ pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", description });
}
