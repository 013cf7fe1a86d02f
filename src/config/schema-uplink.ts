import * as Type from "typebox";
import { down } from "./schema-down.ts";
import { bytes, choice, flag, oneOf, section, text, whole } from "./schema-kinds.ts";

export const uplinkRule = section({
  match: text({
    description: "Topic filter of what leaves for the cloud. The first rule that matches decides.",
    examples: ["plant/#"],
  }),
  lane: choice(["alarm", "telemetry", "bulk"], {
    default: "telemetry",
    description: "Lane that carries it: alarm goes before telemetry, telemetry before bulk.",
  }),
  remoteTopic: text({
    default: "{topic}",
    description: "Topic at the cloud; {topic}, {gateway} and {site} are filled in.",
    examples: ["sites/{site}/{topic}"],
  }),
  qos: oneOf([1, 2], { default: 1, description: "Quality of service towards the cloud." }),
  expirySeconds: Type.Optional(
    whole({
      minimum: 1,
      maximum: 4_294_967_295,
      description:
        "A message that is older is given up and counted as expired; the rest of the time goes with it to the cloud. Without it none expires by the rule.",
      unit: "s",
      examples: [86_400],
    }),
  ),
});

const limits = {
  messagesPerSecond: Type.Optional(
    whole({
      minimum: 1,
      maximum: 1_000_000,
      description: "Most messages a second, with a burst of one second's worth.",
      examples: [200],
    }),
  ),
  bytesPerSecond: Type.Optional(
    bytes({
      minimum: 1,
      description: "Most bytes of PUBLISH packets a second, with a burst of one second's worth.",
      examples: [65_536],
    }),
  ),
};

function lane(name: string, sharePercent: number) {
  return section(
    {
      sharePercent: whole({
        default: sharePercent,
        minimum: 0,
        maximum: 100,
        description:
          "Share of the messages that is its own while it has something to send; together at most 100.",
        unit: "%",
      }),
      ...limits,
      whenFull: choice(["reject-new", "drop-oldest", "drop-qos0"], {
        default: "reject-new",
        description:
          "What happens when the store is nearly full (7/8 of store.bytesMax) or full. reject-new: publishers of QoS 1 and 2 wait, QoS 0 is dropped; drop-oldest: the oldest messages of the lane are given up, counted as dropped (full); drop-qos0: QoS 0 is dropped when it is nearly full, the rest as reject-new.",
      }),
      hours: Type.Optional(
        Type.Array(
          text({
            description: "One span; one that ends before it begins goes over midnight.",
            pattern: "^([01]\\d|2[0-3]):[0-5]\\d-(([01]\\d|2[0-3]):[0-5]\\d|24:00)$",
            expects: "a span such as 22:00-06:00",
          }),
          {
            minItems: 1,
            maxItems: 24,
            description:
              "When it may send, by the clock on the wall in timeZone. Without it always.",
            examples: [["22:00-06:00"]],
          },
        ),
      ),
    },
    { default: {}, description: `What the lane ${name} may send, and when.` },
  );
}

const manners = {
  limits: section(
    {
      ...limits,
      dailyBytes: Type.Optional(
        bytes({
          minimum: 1024,
          description:
            "Bytes of PUBLISH packets a day, for metered links. When they are spent only the alarm lane sends, until the day ends in timeZone.",
          examples: [52_428_800],
        }),
      ),
    },
    {
      default: {},
      description:
        "Limits of all lanes together. They do not hold alarms; what alarms send counts.",
    },
  ),
  lanes: section(
    { alarm: lane("alarm", 0), telemetry: lane("telemetry", 25), bulk: lane("bulk", 6) },
    { default: {}, description: "What each lane may send, and when." },
  ),
  timeZone: text({
    default: "UTC",
    description: "Time zone of hours and of the day of dailyBytes, as IANA names it.",
    examples: ["Europe/Berlin"],
  }),
  gapRecords: flag({
    default: true,
    description: "Tell the cloud of each loss, with a message at gapTopic in the lane that lost.",
  }),
  gapTopic: text({
    default: "fieldgate/{site}/{gateway}/gap",
    description: "Topic of these records; {gateway} and {site} are filled in.",
  }),
  whenRefused: choice(["drop", "dead-letter", "retry"], {
    default: "drop",
    description:
      "What becomes of a message that the cloud refuses for good, by the reason codes 0x87, 0x90, 0x95 and 0x99. drop: it is given up, counted and told like any loss. dead-letter: it also leaves for deadLetterTopic, with its topic and the reason. retry: the connection is closed and it is sent again, for ever; its lane waits, and nothing is lost.",
  }),
  deadLetterTopic: text({
    default: "fieldgate/{site}/{gateway}/refused",
    description: "Topic of what was refused; {gateway} and {site} are filled in.",
  }),
};

const breaker = section(
  {
    windowMs: whole({
      default: 5000,
      minimum: 5,
      maximum: 3_600_000,
      description: "Time over which failures and acknowledgements are counted.",
      unit: "ms",
    }),
    failurePercent: whole({
      default: 60,
      minimum: 1,
      maximum: 100,
      description: "With more failures than this among them, the broker is left alone.",
      unit: "%",
    }),
    failuresMin: whole({
      default: 3,
      minimum: 1,
      maximum: 1_000_000,
      description: "So many failures at least.",
    }),
    openMs: whole({
      default: 30_000,
      minimum: 1,
      maximum: 86_400_000,
      description: "How long it is left alone. Then one connection is tried.",
      unit: "ms",
    }),
  },
  { default: {}, description: "The circuit breaker of each broker." },
);

const connection = {
  endpoints: Type.Array(
    text({
      description: "One broker.",
      pattern: "^(srv\\+)?mqtts?://",
      expects: "a URL that begins with mqtt:// or mqtts://, or with srv+mqtts:// for DNS SRV",
    }),
    {
      minItems: 1,
      maxItems: 16,
      description: "MQTT brokers of the cloud. Those that have failed least are tried first.",
      examples: [["mqtts://cloud-1:8883", "mqtts://cloud-2:8883"]],
    },
  ),
  endpointOrder: choice(["spread", "list"], {
    default: "spread",
    description:
      "spread: each gateway has an order of its own, by a hash of its id. list: as the endpoints stand.",
  }),
  endpointsPrefix: Type.Optional(
    text({
      description:
        "Prefix in the cluster's etcd: the value of each key below it is one more endpoint. Watched.",
      examples: ["brokers/"],
    }),
  ),
  breaker,
  rules: Type.Array(uplinkRule, {
    maxItems: 1000,
    default: [],
    description: "What leaves, and how. Without a rule nothing leaves.",
  }),
  down: Type.Optional(down),
  clientId: Type.Optional(
    text({ description: "Client id at the cloud; without it {site}-{gateway}." }),
  ),
  username: Type.Optional(text({ description: "User at the cloud.", examples: ["gw-a"] })),
  passwordFile: Type.Optional(
    text({
      description: "File with the user's password.",
      examples: ["/etc/fieldgate/cloud.password"],
    }),
  ),
  caFile: Type.Optional(
    text({
      description: "Certificate authority of the cloud, PEM. Without it the system's authorities.",
      examples: ["/etc/fieldgate/cloud-ca.pem"],
    }),
  ),
  certFile: Type.Optional(
    text({ description: "Client certificate, PEM.", examples: ["/etc/fieldgate/gw-a.pem"] }),
  ),
  keyFile: Type.Optional(
    text({
      description: "Key of the client certificate, PEM.",
      examples: ["/etc/fieldgate/gw-a.key"],
    }),
  ),
};

export const uplink = section(
  {
    ...connection,
    ...manners,
    windowMax: whole({
      default: 256,
      minimum: 1,
      maximum: 65_535,
      description: "Messages in flight, over all lanes.",
    }),
    inflightBytesMax: bytes({
      default: 4 * 2 ** 20,
      minimum: 1024,
      description: "Bytes in flight, over all lanes. One message always goes, however long.",
    }),
    envelope: choice(["none", "header"], {
      default: "none",
      description:
        "Over MQTT 3.1.1, which has no user properties. none: bare payloads without identity. header: identity and time before each payload (docs/uplink.md).",
    }),
    peekBytesMax: bytes({
      default: 2 ** 20,
      minimum: 1024,
      maximum: 2 ** 26,
      description: "Bytes of the messages that one look into a lane shows.",
    }),
    answerBytesMax: bytes({
      default: 64 * 1024,
      minimum: 1024,
      maximum: 2 ** 28,
      description:
        "Longest packet that is taken from the cloud on the way up, where it sends acknowledgements only.",
    }),
    readMessagesMax: whole({
      default: 256,
      minimum: 1,
      maximum: 65_535,
      description:
        "Messages that a lane reads from the journal at once; it holds two such batches.",
    }),
    readBytesMax: bytes({
      default: 2 ** 20,
      minimum: 1024,
      description: "Bytes that a lane reads from the journal at once.",
    }),
    readRetryMs: whole({
      default: 1000,
      minimum: 1,
      maximum: 3_600_000,
      description: "How long a failed read of the journal is left alone.",
      unit: "ms",
    }),
    drainMsMax: whole({
      default: 2000,
      minimum: 0,
      maximum: 60_000,
      description: "How long a stop waits for what is in flight.",
      unit: "ms",
    }),
    acknowledgeTimeoutMs: whole({
      default: 15_000,
      minimum: 100,
      maximum: 3_600_000,
      description:
        "With messages in flight and no acknowledgement for this long, the link is closed and opened again.",
      unit: "ms",
    }),
    connectTimeoutMs: whole({
      default: 10_000,
      minimum: 100,
      maximum: 3_600_000,
      description: "Time until the cloud must have accepted the connection.",
      unit: "ms",
    }),
    keepaliveSeconds: whole({
      default: 30,
      minimum: 1,
      maximum: 65_535,
      description: "MQTT keep-alive.",
      unit: "s",
    }),
    backoffFirstMs: whole({
      default: 500,
      minimum: 1,
      maximum: 3_600_000,
      description: "Ceiling of the first random delay before connecting again; doubles.",
      unit: "ms",
    }),
    backoffMaxMs: whole({
      default: 60_000,
      minimum: 1,
      maximum: 86_400_000,
      description: "Highest ceiling of the delay.",
      unit: "ms",
    }),
    standbyConnected: flag({
      default: true,
      description:
        "On a site with copies of journals: whether a gateway that is not primary keeps its connections to the cloud open and idle, so that it sends at once when it becomes primary. false saves the keep-alives of a metered line.",
    }),
    stableMs: whole({
      default: 60_000,
      minimum: 0,
      maximum: 86_400_000,
      description: "A connection that lived this long forgives earlier failures.",
      unit: "ms",
    }),
  },
  { description: "The way to the cloud. Without it nothing leaves." },
);
