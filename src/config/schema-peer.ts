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
