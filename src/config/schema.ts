import * as Type from "typebox";
import { CONTROL_SOCKET } from "./control-socket.ts";
import { access } from "./schema-access.ts";
import { mqtt, store } from "./schema-broker.ts";
import { type decode, device, type framing } from "./schema-devices.ts";
import type { down, downSubscription } from "./schema-down.ts";
import { bytes, choice, name, section, text, whole } from "./schema-kinds.ts";
import { listener } from "./schema-listeners.ts";
import { peer } from "./schema-peer.ts";
import { uplink, type uplinkRule } from "./schema-uplink.ts";
import type { modbus } from "./schema-values.ts";
import type { Shape } from "./shape.ts";

/**
 * The configuration, declared once. Types, defaults, the JSON Schema and docs/config.md come from here;
 * `description`, `default`, `unit` and `examples` are part of the declaration. Names carry their unit at the end.
 */
const gateway = section(
  {
    id: name({
      default: "gateway",
      description: "Name of this gateway, unique on its site.",
      examples: ["gw-a"],
    }),
    site: name({
      default: "site",
      description: "Name of the site that its gateways share.",
      examples: ["plant-7"],
    }),
  },
  { default: {}, description: "Who this is." },
);

const cluster = section(
  {
    endpoints: Type.Array(
      text({
        description: "One member of etcd.",
        pattern: "^https?://",
        expects: "a URL that begins with http:// or https://",
      }),
      {
        minItems: 1,
        maxItems: 16,
        description: "Members of the etcd cluster.",
        examples: [["http://10.0.0.1:2379"]],
      },
    ),
    username: Type.Optional(
      text({
        description: "User of etcd, where it asks for one; wants passwordFile.",
        examples: ["fieldgate"],
      }),
    ),
    passwordFile: Type.Optional(
      text({
        description:
          "File with the password of etcd's user. Over http:// it can be read on the way: https:// keeps it.",
        examples: ["/etc/fieldgate/etcd.password"],
      }),
    ),
    registrationTtlSeconds: whole({
      default: 10,
      minimum: 1,
      maximum: 86_400,
      description: "How long a gateway that has fallen silent stays registered.",
      unit: "s",
    }),
    primaryTtlSeconds: whole({
      default: 3,
      minimum: 1,
      maximum: 86_400,
      description: "How long a primary that has fallen silent stays primary.",
      unit: "s",
    }),
    onEtcdLoss: choice(["cloud-fenced", "hold"], {
      default: "cloud-fenced",
      description:
        "What a primary does whose lease has run out while etcd does not answer. cloud-fenced: it goes on sending, for a cloud that refuses outdated epochs; hold: it sends nothing until etcd answers.",
    }),
    priority: whole({
      default: 100,
      minimum: 0,
      maximum: 1000,
      description: "The gateway with the higher one is preferred as primary.",
    }),
    peer: Type.Optional(peer),
  },
  { description: "The gateways of the site. Without it a gateway is its own primary." },
);

const health = section(
  {
    port: Type.Optional(
      whole({
        minimum: 0,
        maximum: 65_535,
        description:
          "Port on loopback for monitoring: /healthz, /readyz, /metrics (Prometheus). Without it none; 0 takes a free one.",
        examples: [9100],
      }),
    ),
    connectionsMax: whole({
      default: 32,
      minimum: 1,
      maximum: 1000,
      description: "Connections to that port at a time; one more is closed.",
    }),
    figuresSeconds: whole({
      default: 10,
      minimum: 0,
      maximum: 86_400,
      description: "How often the broker's figures are published below $SYS; 0: never.",
      unit: "s",
    }),
    hostSeconds: whole({
      default: 60,
      minimum: 0,
      maximum: 86_400,
      description:
        "How often processor, memory, disk, network and temperature are sampled; 0: never.",
      unit: "s",
    }),
    clockSeconds: whole({
      default: 60,
      minimum: 0,
      maximum: 86_400,
      description:
        "How often the machine is asked whether its clock is synchronised; while the answer stays the same, up to 16 times less often; 0: never.",
      unit: "s",
    }),
    warmCelsius: whole({
      default: 75,
      minimum: 1,
      maximum: 150,
      description:
        "From which temperature of the machine `fieldgate doctor` warns. A Raspberry Pi slows down from 80 on.",
      unit: "°C",
    }),
    hotCelsius: whole({
      default: 85,
      minimum: 1,
      maximum: 150,
      description: "From which temperature of the machine it is critical.",
      unit: "°C",
    }),
  },
  { default: {}, description: "Figures of the gateway and of the machine under it." },
);

const control = section(
  {
    socket: text({
      default: CONTROL_SOCKET,
      description: "Unix socket of the command line tool.",
    }),
    feedMax: whole({
      default: 1000,
      minimum: 1,
      maximum: 100_000,
      description:
        "Messages that wait for a `fieldgate tail` that reads slowly; more are left out, and it is told how many.",
    }),
    feedBytesMax: bytes({
      default: 2 ** 20,
      minimum: 4096,
      description: "What of them may wait together, as it is shown. One alone may be larger.",
    }),
    connectionsMax: whole({
      default: 32,
      minimum: 1,
      maximum: 1000,
      description:
        "Callers of the socket at a time. As many again are refused with ERR_CONTROL_BUSY; one more is closed.",
    }),
  },
  { default: {}, description: "The local control socket." },
);

const log = section(
  {
    level: choice(["debug", "info", "warn", "error"], {
      default: "info",
      description: "Least severe line that is written.",
    }),
    pendingBytesMax: bytes({
      default: 2 ** 20,
      minimum: 4096,
      description:
        "What may wait while whoever reads the log does not; lines beyond are dropped, counted, and told once it is read again.",
    }),
    repeatsMax: whole({
      default: 20,
      minimum: 1,
      maximum: 1_000_000,
      description:
        "Lines that say the same of the same thing: so many at once. Beyond them one in `repeatMinutes`, which says how many were left out.",
    }),
    repeatMinutes: whole({
      default: 10,
      minimum: 1,
      maximum: 1440,
      description: "How often what repeats itself is told again.",
      unit: "min",
    }),
    repeatKindsMax: whole({
      default: 1000,
      minimum: 1,
      maximum: 100_000,
      description:
        "Kinds of lines that are told apart to find what repeats itself. Of more, the one that came last longest ago is forgotten, and written again as if it were new.",
    }),
  },
  { default: {}, description: "Log lines, one JSON object each, on standard error." },
);

export const configSchema = section({
  gateway,
  store,
  listeners: Type.Array(listener, {
    maxItems: 32,
    default: [{ name: "local" }],
    description:
      "Where MQTT clients connect. Without this key: loopback, port 1883. An empty list: nowhere.",
  }),
  access,
  mqtt,
  devices: Type.Array(device, {
    maxItems: 256,
    default: [],
    description: "Sensors on serial lines.",
  }),
  uplink: Type.Optional(uplink),
  cluster: Type.Optional(cluster),
  health,
  control,
  log,
});

/** The same schema as its walkers see it. */
export const configShape = configSchema as unknown as Shape;

export type Config = Type.Static<typeof configSchema>;
export type DeviceConfig = Type.Static<typeof device>;
export type FramingConfig = Type.Static<typeof framing>;
export type DecodeConfig = Type.Static<typeof decode>;
export type BinaryFieldConfig = NonNullable<DecodeConfig["fields"]>[number];
export type ModbusConfig = Type.Static<typeof modbus>;
export type SlaveConfig = ModbusConfig["slaves"][number];
export type ModbusFieldConfig = SlaveConfig["fields"][number];
export type UplinkConfig = Type.Static<typeof uplink>;
export type DownConfig = Type.Static<typeof down>;
export type DownSubscriptionConfig = Type.Static<typeof downSubscription>;
export type UplinkRuleConfig = Type.Static<typeof uplinkRule>;
export type ListenerConfig = Type.Static<typeof listener>;
export type ClusterConfig = Type.Static<typeof cluster>;
