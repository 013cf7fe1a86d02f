import * as Type from "typebox";
import { bytes, choice, name, section, text, whole } from "./schema-kinds.ts";

/** How clients prove who they are. A listener names those that it takes. */
export const METHODS = ["certificate", "token", "password"] as const;

const roleNames = (description: string, standard: string[] = []) =>
  Type.Array(text({ description: "A role.", examples: ["sensor"] }), {
    maxItems: 64,
    default: standard,
    description,
  });

const filters = (action: string) =>
  section(
    {
      allow: Type.Array(text({ description: "A topic filter, with variables." }), {
        maxItems: 10_000,
        default: [],
        description: `Topic filters that it may ${action}. {clientId}, {user} and claims of a token are filled in.`,
        examples: [["plant/{clientId}/#"]],
      }),
      deny: Type.Array(text({ description: "A topic filter, with variables." }), {
        maxItems: 10_000,
        default: [],
        description: `Topic filters that it may not ${action}, whatever allows them.`,
      }),
    },
    { default: {}, description: `What it may ${action}.` },
  );

const role = section({
  name: name({
    description: "Name of the role, unique. One named everything is there already.",
    examples: ["sensor"],
  }),
  publish: filters("publish to"),
  subscribe: filters("subscribe to"),
});

const tokens = section(
  {
    keysFile: Type.Optional(
      text({
        description: "Public keys: a JSON Web Key Set, or a public key or certificate in PEM.",
        examples: ["/etc/fieldgate/token-keys.json"],
      }),
    ),
    keysUrl: Type.Optional(
      text({
        pattern: "^https?://",
        expects: "a URL that begins with https://",
        description: "Where a JSON Web Key Set is fetched; what was fetched is kept in the store.",
        examples: ["https://id.example/.well-known/jwks.json"],
      }),
    ),
    keysCaFile: Type.Optional(
      text({
        description: "Who signs the certificate of keysUrl, in PEM; without it the system's.",
      }),
    ),
    keysRefreshSeconds: whole({
      default: 3600,
      minimum: 10,
      maximum: 604_800,
      description: "How often the keys are read or fetched again.",
      unit: "s",
    }),
    keysPauseSeconds: whole({
      default: 30,
      minimum: 1,
      maximum: 86_400,
      description: "Least time between two fetches, also when tokens name a key that is not known.",
      unit: "s",
    }),
    issuer: text({
      description: "Who must have made the token (iss).",
      examples: ["https://id.example"],
    }),
    audience: text({
      description: "Whom the token must be for (aud).",
      examples: ["fieldgate"],
    }),
    userClaim: text({ default: "sub", description: "The claim that names the user." }),
    rolesClaim: text({
      default: "roles",
      description:
        "The claim that lists the user's roles. Those that are not configured count for nothing.",
    }),
    toleranceSeconds: whole({
      default: 30,
      minimum: 0,
      maximum: 3600,
      description: "How far the clock of the token's maker may be off.",
      unit: "s",
    }),
    whenClockIsUnsure: choice(["accept", "refuse"], {
      default: "accept",
      description:
        "What becomes of a token while this machine's clock was not set since it started. accept: its times are looked at once the clock is set; refuse: CONNACK 3.",
    }),
  },
  { description: "JSON Web Tokens, signed with RS256, ES256 or EdDSA. Without it none is taken." },
);

const certificates = section(
  {
    userFrom: choice(["common-name", "alt-name"], {
      default: "common-name",
      description:
        "What of a client's certificate is the user's name: the subject's common name, or the first alternative name.",
    }),
    roles: Type.Array(
      section({
        match: text({
          description: "User's name; * stands for any characters.",
          examples: ["sensor-*"],
        }),
        roles: roleNames("Roles of those whose name matches."),
      }),
      {
        maxItems: 1000,
        default: [],
        description: "Roles by name; all that match count, and those of the users file.",
      },
    ),
  },
  { default: {}, description: "Who a client with a certificate is." },
);

const attempts = section(
  {
    failuresFree: whole({
      default: 5,
      minimum: 0,
      maximum: 1000,
      description: "Failed attempts of one address that cost no pause.",
    }),
    pauseFirstMs: whole({
      default: 500,
      minimum: 1,
      maximum: 3_600_000,
      description: "Pause before the next attempt of that address; it doubles with each failure.",
      unit: "ms",
    }),
    pauseMaxMs: whole({
      default: 60_000,
      minimum: 1,
      maximum: 86_400_000,
      description: "Longest pause; after so long without a failure one is forgiven.",
      unit: "ms",
    }),
    waitMsMax: whole({
      default: 5000,
      minimum: 0,
      maximum: 60_000,
      description: "An attempt that would have to wait longer is refused at once, with CONNACK 3.",
      unit: "ms",
    }),
    addressesMax: whole({
      default: 10_000,
      minimum: 1,
      maximum: 1_000_000,
      description: "Addresses whose failures are remembered; the oldest is forgotten first.",
    }),
    checksMax: whole({
      default: 64,
      minimum: 1,
      maximum: 10_000,
      description:
        "Passwords that wait to be checked, one of each user name and address in turn; beyond it who came last from the address that has most is refused.",
    }),
    knownMax: whole({
      default: 2000,
      minimum: 1,
      maximum: 1_000_000,
      description:
        "Passwords known to be right that are remembered: who comes again with one waits for no check. The one used longest ago is forgotten first.",
    }),
  },
  { default: {}, description: "What guessing costs." },
);

const overRate = choice(["pause", "refuse"], {
  default: "pause",
  description:
    "What happens to a client that publishes faster. pause: it is read more slowly; refuse: QoS 0 is dropped, and one that publishes QoS 1 or 2 is closed, because 3.1.1 knows no other refusal.",
});

const perSecond = (of: string) =>
  whole({ default: 0, minimum: 0, description: `Messages a second of ${of}; 0: without limit.` });

const bytesPerSecond = (of: string) =>
  bytes({
    default: 0,
    minimum: 0,
    description: `Bytes of PUBLISH packets a second of ${of}; 0: without limit.`,
  });

/** Limits by client, user and topic, among those of the broker. */
export const clientLimits = {
  connectionsPerUserMax: whole({
    default: 10_000,
    minimum: 1,
    description: "Connections of one user at a time.",
  }),
  sessionsPerUserMax: whole({
    default: 5000,
    minimum: 1,
    description: "Persistent sessions of one user.",
  }),
  retainedPerUserMax: whole({
    default: 50_000,
    minimum: 0,
    description:
      "Retained messages of one user, or of one client that has none; who is on loopback without a name may have all.",
  }),
  sharedPerSessionMax: whole({
    default: 100,
    minimum: 1,
    description: "Shared subscriptions of one session.",
  }),
  topicBytesMax: bytes({
    default: 1024,
    minimum: 1,
    maximum: 65_535,
    description: "Longest topic or filter.",
  }),
  publishRate: perSecond("all clients together"),
  publishBytesRate: bytesPerSecond("all clients together"),
  clientPublishRate: perSecond("one client"),
  clientPublishBytesRate: bytesPerSecond("one client"),
  clientFiltersRate: whole({
    default: 500,
    minimum: 0,
    description:
      "Filters of SUBSCRIBE and UNSUBSCRIBE on one connection, a second, and as many at once; who sends more is read more slowly. 0: without limit.",
  }),
  clientRatesLeftMax: whole({
    default: 10_000,
    minimum: 1,
    maximum: 1_000_000,
    description:
      "Clients that are gone and have published faster than their rate: so many are remembered, so that a new connection is no new burst. The one that left first is forgotten first.",
  }),
  overRate,
  topicRates: Type.Array(
    section({
      match: text({
        description: "Topic filter: what matches it shares the limit.",
        examples: ["plant/+/vibration/#"],
      }),
      messages: perSecond("what matches"),
      bytes: bytesPerSecond("what matches"),
      overRate,
    }),
    {
      maxItems: 100,
      default: [],
      description: "How much may be published to some topics; each that matches counts.",
    },
  ),
  overloadLagMs: whole({
    default: 1000,
    minimum: 0,
    maximum: 60_000,
    description:
      "So late, twice in succession, the gateway is overloaded: QoS 0 is dropped as it comes, then new connections are closed, too. 0: never.",
    unit: "ms",
  }),
  overloadMemoryBytes: bytes({
    default: 768 * 2 ** 20,
    minimum: 0,
    description:
      "With so much memory the gateway is overloaded; earlier where its service or V8 may not have so much. 0: never.",
  }),
};

export const access = section(
  {
    usersFile: Type.Optional(
      text({
        description: "Users and their passwords, as fieldgate user writes them.",
        examples: ["/etc/fieldgate/users"],
      }),
    ),
    usersCheckSeconds: whole({
      default: 5,
      minimum: 1,
      maximum: 86_400,
      description: "How often the users file is looked at; a changed one counts at once.",
      unit: "s",
    }),
    tokens: Type.Optional(tokens),
    tokenBytesMax: bytes({
      default: 8192,
      minimum: 256,
      maximum: 65_535,
      description: "Longest token.",
    }),
    certificates,
    roles: Type.Array(role, {
      maxItems: 1000,
      default: [],
      description: "What clients may do, by role. What no role allows is denied.",
    }),
    loopbackRoles: roleNames("Roles of clients on loopback that say nothing of themselves.", [
      "everything",
    ]),
    anonymousRoles: roleNames("Roles of clients that a listener with anonymous: true lets in."),
    downlinkRoles: roleNames(
      "Roles of the cloud: where commands that come down may be published.",
      ["everything"],
    ),
    whenDenied: choice(["drop", "disconnect"], {
      default: "drop",
      description:
        "What happens to a client that publishes what it may not. drop: the message goes nowhere, and is counted; disconnect: the client is closed, too.",
    }),
    clientIds: choice(["any", "own"], {
      default: "any",
      description:
        "own: a user's client ids are the user's name, or begin with it and a dash. any: whatever is not another user's just now.",
    }),
    attempts,
  },
  { default: {}, description: "Who may do what: docs/security.md." },
);
