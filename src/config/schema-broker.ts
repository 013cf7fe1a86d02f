import * as Type from "typebox";
import { clientLimits } from "./schema-access.ts";
import { bytes, choice, section, text, whole } from "./schema-kinds.ts";

export const store = section(
  {
    path: text({ default: "/var/lib/fieldgate", description: "Directory of the LevelDB store." }),
    bytesMax: bytes({
      default: 2 * 2 ** 30,
      minimum: 2 ** 20,
      description: "The journal takes no more when the store has this size.",
      examples: [4 * 2 ** 30],
    }),
    ballastBytes: bytes({
      default: 32 * 2 ** 20,
      minimum: 0,
      description:
        "A file that only takes room, at most an eighth of bytesMax: when the disk is full it is deleted, so that what must be written still can be; it is made again when there is room. With less than a quarter of it free, messages wait. 0: none.",
    }),
    enduranceBytes: Type.Optional(
      bytes({
        minimum: 2 ** 30,
        description:
          "What the maker of the card or disk states that can be written to it (TBW). With it, status says how many years are left at the rate of the last day.",
        examples: [30 * 10 ** 12],
      }),
    ),
    durability: choice(["safe", "local", "fast"], {
      default: "local",
      description:
        "What has happened before a message is acknowledged. safe: it is synced to disk here and on a peer that is in sync (wants cluster.peer); local: synced to disk here; fast: written, not synced.",
    }),
    commitDelayMs: whole({
      default: 0,
      minimum: 0,
      maximum: 1000,
      description: "How long a commit waits for more company: costs latency, saves flash.",
      unit: "ms",
    }),
    cursorDelayMs: whole({
      default: 500,
      minimum: 1,
      maximum: 60_000,
      description:
        "The longest time until a moved cursor is on disk; what a crash repeats at most.",
      unit: "ms",
    }),
    pendingBytesMax: bytes({
      default: 8 * 2 ** 20,
      minimum: 2 ** 16,
      description:
        "Publishers are not read further while this much waits for the disk. At twice as much a message is refused.",
    }),
    blockBytesMax: bytes({
      default: 256 * 1024,
      minimum: 4096,
      description: "A commit with more than this is split into several blocks.",
    }),
    tailBytesMax: bytes({
      default: 4 * 2 ** 20,
      minimum: 2 ** 16,
      description: "Newest messages that are kept in memory for live readers.",
    }),
    readCacheBytesMax: bytes({
      default: 2 * 2 ** 20,
      minimum: 2 ** 16,
      description: "Blocks read from disk that are kept in memory.",
    }),
    trimBytesMin: bytes({
      default: 2 ** 20,
      minimum: 4096,
      description: "What nobody needs any more is deleted when it has this size.",
    }),
    retryFirstMs: whole({
      default: 200,
      minimum: 1,
      maximum: 3_600_000,
      description:
        "Ceiling of the first random delay before a failed write is tried again; it doubles.",
      unit: "ms",
    }),
    retryMaxMs: whole({
      default: 10_000,
      minimum: 1,
      maximum: 3_600_000,
      description: "Highest ceiling of the delay.",
      unit: "ms",
    }),
  },
  { default: {}, description: "What is kept, where and how safely." },
);

const SHARE_STRATEGIES = ["round-robin", "sticky", "hash-client", "hash-topic"] as const;

export const mqtt = section(
  {
    packetBytesMax: bytes({
      default: 2 ** 20,
      minimum: 128,
      maximum: 268_435_455,
      description: "Largest packet after CONNECT is accepted.",
    }),
    connectBytesMax: bytes({
      default: 16 * 1024,
      minimum: 128,
      maximum: 268_435_455,
      description: "Largest CONNECT.",
    }),
    connectTimeoutMs: whole({
      default: 10_000,
      minimum: 100,
      maximum: 3_600_000,
      description:
        "Time from when a connection comes until its CONNECT is complete and its credentials are checked, handshakes included.",
      unit: "ms",
    }),
    packetTimeoutMs: whole({
      default: 120_000,
      minimum: 1000,
      maximum: 86_400_000,
      description: "Time from the first byte of a packet to its last.",
      unit: "ms",
    }),
    connectionsMax: whole({
      default: 10_000,
      minimum: 1,
      description: "Connections at a time, those whose handshake is under way included.",
    }),
    connectionsPerAddressMax: whole({
      default: 10_000,
      minimum: 1,
      description: "Connections of one address, or one /64 of IPv6, at a time.",
    }),
    connectRate: whole({
      default: 1000,
      minimum: 1,
      description:
        "New connections a second, and as many at once; more are closed before anything is read of them. The last quarter is only for addresses that have not come within the last second.",
    }),
    connectRatePerAddress: whole({
      default: 250,
      minimum: 1,
      description:
        "The same of one address, or one /64 of IPv6. Clients behind one router that translates addresses share it: those who come later than the rest try again.",
    }),
    topicLevelsMax: whole({
      default: 32,
      minimum: 1,
      maximum: 100,
      description: "Levels of a topic or filter.",
    }),
    ...clientLimits,
    inflightMax: whole({
      default: 32,
      minimum: 1,
      maximum: 32_767,
      description: "QoS 1 and 2 messages in flight to one session.",
    }),
    inboundInflightMax: whole({
      default: 1000,
      minimum: 1,
      maximum: 65_535,
      description: "QoS 2 messages of one client that wait for PUBREL.",
    }),
    queueMessagesMax: whole({
      default: 100_000,
      minimum: 1,
      description: "Messages that wait for one session.",
    }),
    queueBytesMax: bytes({
      default: 64 * 2 ** 20,
      minimum: 1024,
      description: "Bytes that wait for one session.",
    }),
    waitingBytesMax: bytes({
      default: 128 * 2 ** 20,
      minimum: 1024,
      description:
        "Bytes that wait in memory, for all sessions together: of clean ones all of QoS 1 and 2. Beyond it each has an equal share.",
    }),
    outputBytesMax: bytes({
      default: 2 ** 20,
      minimum: 1024,
      description:
        "Output that one connection has not taken yet; beyond it, messages of QoS 0 to it are dropped.",
    }),
    heldBytesMax: bytes({
      default: 2 ** 20,
      minimum: 1024,
      description:
        "Messages of one connection that the store has no room for: they wait, not acknowledged; beyond it the connection is not read.",
    }),
    queueWhenFull: choice(["drop-oldest", "drop-new", "disconnect"], {
      default: "drop-oldest",
      description: "What happens when a session's queue is full.",
    }),
    sessionsMax: whole({ default: 10_000, minimum: 1, description: "Persistent sessions." }),
    sessionExpiryHours: whole({
      default: 0,
      minimum: 0,
      maximum: 100_000,
      description:
        "A persistent session ends, with all that waits for it, when the gateway has run for so long without its client. Only time in which the gateway runs counts, whatever the clock says. 0: never; then fieldgate clients forget ends one.",
      unit: "h",
      examples: [2160],
    }),
    subscriptionsMax: whole({
      default: 1000,
      minimum: 1,
      description: "Subscriptions of one session.",
    }),
    retainedMax: whole({ default: 100_000, minimum: 0, description: "Retained messages." }),
    retainedBytesMax: bytes({
      default: 64 * 2 ** 20,
      minimum: 0,
      description: "Topics and payloads of all retained messages, which are in memory.",
    }),
    packetFiltersMax: whole({
      default: 1000,
      minimum: 1,
      description: "Topic filters of one SUBSCRIBE or UNSUBSCRIBE.",
    }),
    sharedStrategy: choice(SHARE_STRATEGIES, {
      default: "round-robin",
      description:
        "Which member of a shared subscription gets a message. round-robin: each in turn; sticky: one, until it leaves or is stuck; hash-client, hash-topic: always the same for what one client publishes, or for one topic, in order.",
    }),
    sharedGroups: Type.Array(
      section({
        group: text({
          pattern: "^[^+#/]+$",
          expects: "a name without + # and /",
          description: "The group in $share/{group}/{filter}.",
          examples: ["workers"],
        }),
        strategy: choice(SHARE_STRATEGIES, { description: "As in sharedStrategy." }),
      }),
      {
        maxItems: 256,
        default: [],
        description: "Groups of shared subscriptions that have a strategy of their own.",
      },
    ),
    sharedMax: whole({
      default: 1000,
      minimum: 0,
      description: "Shared subscriptions; one is a group and a filter, whatever its members.",
    }),
    sharedWhenFull: choice(["drop-oldest", "drop-new"], {
      default: "drop-oldest",
      description:
        "What happens when queueMessagesMax or queueBytesMax wait for one shared subscription.",
    }),
    sharedStuckMs: whole({
      default: 5000,
      minimum: 1000,
      maximum: 3_600_000,
      description:
        "A member whose window or output is full and of which nothing moves for this long is passed over until something does.",
      unit: "ms",
    }),
    sharedAckTimeoutMs: whole({
      default: 60_000,
      minimum: 1000,
      maximum: 86_400_000,
      description:
        "A member that leaves a shared message unacknowledged for this long is closed, and the message given to another.",
      unit: "ms",
    }),
  },
  { default: {}, description: "Limits of the broker." },
);
