import * as Type from "typebox";
import { bytes, choice, flag, oneOf, section, text, whole } from "./schema-kinds.ts";

export const downSubscription = section({
  filter: text({
    description: "Topic filter at the cloud; {gateway} and {site} are filled in.",
    examples: ["sites/{site}/{gateway}/commands/#"],
  }),
  qos: oneOf([1, 2], { default: 1, description: "Quality of service of the subscription." }),
  localTopic: text({
    default: "{topic}",
    description:
      "Topic here: {topic} is the cloud's, {rest} its levels from the filter's first wildcard on; {gateway} and {site}.",
    examples: ["commands/{rest}"],
  }),
});

export const down = section(
  {
    subscriptions: Type.Array(downSubscription, {
      minItems: 1,
      maxItems: 100,
      description: "What comes down. The first filter that matches decides the local topic.",
    }),
    clientId: Type.Optional(
      text({
        description:
          "Client id of the session that waits for commands; without it {site}-{gateway}-down.",
      }),
    ),
    sessionExpirySeconds: whole({
      default: 604_800,
      minimum: 0,
      maximum: 0xffff_ffff,
      description: "How long the cloud keeps commands for a gateway that is away (MQTT 5).",
      unit: "s",
    }),
    inflightMax: whole({
      default: 64,
      minimum: 1,
      maximum: 65_535,
      description: "Commands that the cloud may send before one is acknowledged (MQTT 5).",
    }),
    messageBytesMax: bytes({
      default: 262_144,
      minimum: 64,
      maximum: 134_217_728,
      description: "Longest payload of a command. One of more than twice as much the cloud keeps.",
    }),
    identityProperty: text({
      default: "fg-id",
      description: "User property that names a command: the same name twice is the same command.",
    }),
    correlationIdentifies: flag({
      default: true,
      description:
        "Without that property, response topic and correlation data name a command. They must be unique then.",
    }),
    identitiesMax: whole({
      default: 10_000,
      minimum: 1,
      maximum: 1_000_000,
      description: "Names of commands that are remembered. The oldest is forgotten first.",
    }),
    deadlineProperty: text({
      default: "fg-deadline",
      description: "User property with the time after which a command is refused, ISO 8601.",
    }),
    envelope: choice(["none", "json"], {
      default: "none",
      description:
        "json: the payload is an object with payload, id, deadline and replyTo, for clouds without MQTT 5.",
    }),
    replyTopic: Type.Optional(
      text({
        description:
          "Topic of answers to commands that name none; {topic}, {rest}, {gateway} and {site} are filled in.",
        examples: ["sites/{site}/{gateway}/answers"],
      }),
    ),
  },
  { description: "Commands from the cloud. Without it nothing comes down." },
);
