import * as Type from "typebox";
import { bytes, choice, oneOf, section, text, whole } from "./schema-kinds.ts";

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
});

const connection = {
  endpoints: Type.Array(
    text({
      description: "One broker.",
      pattern: "^mqtts?://",
      expects: "a URL that begins with mqtt:// or mqtts://",
    }),
    {
      minItems: 1,
      maxItems: 16,
      description: "MQTT brokers of the cloud, tried in order.",
      examples: [["mqtts://cloud-1:8883", "mqtts://cloud-2:8883"]],
    },
  ),
  rules: Type.Array(uplinkRule, {
    maxItems: 1000,
    default: [],
    description: "What leaves, and how. Without a rule nothing leaves.",
  }),
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
    readMessagesMax: whole({
      default: 1024,
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
