import * as Type from "typebox";
import { bytes, choice, section, text, whole } from "./schema-kinds.ts";

export const peer = section(
  {
    host: text({
      description:
        "Address of this gateway in the site's network: peers connect here, so it is registered as it stands.",
      examples: ["10.0.0.11"],
    }),
    port: whole({
      default: 7883,
      minimum: 0,
      maximum: 65_535,
      description: "Port for peers; 0 takes a free one.",
    }),
    caFile: text({
      description: "Certificate authority of the site, made by fieldgate site init.",
      examples: ["/etc/fieldgate/site-ca.crt"],
    }),
    certFile: text({
      description: "Certificate of this gateway, made by fieldgate site enroll.",
      examples: ["/etc/fieldgate/gw-a.crt"],
    }),
    keyFile: text({
      description: "Its private key.",
      examples: ["/etc/fieldgate/gw-a.key"],
    }),
    whenAlone: choice(["accept", "reject"], {
      default: "accept",
      description:
        "What durability: safe does while no peer is in sync. accept: acknowledges what is on this disk, and says so; reject: takes nothing.",
    }),
    silenceMsMax: whole({
      default: 800,
      minimum: 50,
      maximum: 60_000,
      description: "A peer that says nothing for so long is given up; it is connected to again.",
      unit: "ms",
    }),
    lagMsMax: whole({
      default: 700,
      minimum: 50,
      maximum: 60_000,
      description:
        "A peer that has not acknowledged what was on disk here so long ago is not in sync any more.",
      unit: "ms",
    }),
    connectTimeoutMs: whole({
      default: 3000,
      minimum: 100,
      maximum: 60_000,
      description: "Time until a peer must have answered.",
      unit: "ms",
    }),
    backoffFirstMs: whole({
      default: 100,
      minimum: 1,
      maximum: 60_000,
      description:
        "Ceiling of the first random delay before a peer is connected to again; it doubles.",
      unit: "ms",
    }),
    backoffMaxMs: whole({
      default: 2000,
      minimum: 1,
      maximum: 3_600_000,
      description: "Highest ceiling of the delay.",
      unit: "ms",
    }),
    windowBytesMax: bytes({
      default: 4 * 2 ** 20,
      minimum: 2 ** 16,
      description: "On its way to one peer and not acknowledged.",
    }),
    frameBytesMax: bytes({
      default: 8 * 2 ** 20,
      minimum: 2 ** 16,
      maximum: 2 ** 30,
      description: "Largest frame that is taken from a peer.",
    }),
    backlogBytesMax: bytes({
      default: 256 * 2 ** 20,
      minimum: 2 ** 20,
      description:
        "What is kept only because a peer that is away lacks it. Beyond this it is not kept; when the peer returns it has a gap, of entries that nobody else needed.",
    }),
    replicaBytesMax: bytes({
      default: 2 * 2 ** 30,
      minimum: 2 ** 20,
      description:
        "Size of the store of one peer's replica; when it is full, nothing more is taken from that peer.",
    }),
    replicasMax: whole({
      default: 16,
      minimum: 1,
      maximum: 1024,
      description:
        "Copies of journals that are kept. A gateway that gets a new store begins a new journal. Beyond this, one whose gateway is away and whose messages are all in the cloud is given up for a new one; while there is none, the new one is refused.",
    }),
    sessionLogBytesMax: bytes({
      default: 4 * 2 ** 20,
      minimum: 2 ** 16,
      description:
        "What other gateways must know of the sessions here and finds no room in a full store. Beyond this it is given up, and all is told again when there is room.",
    }),
    tellEveryMs: whole({
      default: 200,
      minimum: 10,
      maximum: 60_000,
      description:
        "How often the other gateways are told what clients and the cloud have acknowledged: so much may be sent again after a change.",
      unit: "ms",
    }),
    settleMsMax: whole({
      default: 3000,
      minimum: 0,
      maximum: 60_000,
      description:
        "How long a gateway that starts lets persistent sessions wait until it has heard from the others what happened meanwhile.",
      unit: "ms",
    }),
    sessionWaitMsMax: whole({
      default: 5000,
      minimum: 100,
      maximum: 60_000,
      description:
        "How long a client waits for its session to come from another gateway; then it is refused, and comes again.",
      unit: "ms",
    }),
    homesMax: whole({
      default: 10_000,
      minimum: 1,
      maximum: 1_000_000,
      description:
        "Sessions that have ended at this gateway and of which it remembers that, for gateways that are away and may still have an older life of them. Beyond this the one that ended first is forgotten. What no other gateway can have is not remembered.",
    }),
    address: Type.Optional(
      text({
        description:
          "Where peers reach this gateway, when that is not host and port: behind a forwarded port. It is registered as it stands.",
        pattern: "^(\\[[0-9A-Fa-f:]+\\]|[^:\\s]+):\\d{1,5}$",
        expects: "host:port",
        examples: ["gw-a.plant-7.example:17883"],
      }),
    ),
    connectionsPerAddressMax: whole({
      default: 8,
      minimum: 2,
      maximum: 128,
      description:
        "Connections of one address (or /64 of IPv6) to this gateway's port for peers at a time, handshakes included; more are closed. All together may have twice peersMax.",
    }),
    peersMax: whole({
      default: 8,
      minimum: 1,
      maximum: 64,
      description: "Peers that journals are copied to and from.",
    }),
  },
  {
    description:
      "Replication: the way between the gateways of the site, over TLS with certificates of the site's own. Without it gateways elect a primary, and nothing is copied.",
  },
);
