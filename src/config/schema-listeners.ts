import * as Type from "typebox";
import { METHODS } from "./schema-access.ts";
import { choice, flag, name, section, text, whole } from "./schema-kinds.ts";

export const listener = section({
  name: name({
    description: "Name of the listener, unique; shown in status and logs.",
    examples: ["lan"],
  }),
  type: choice(["tcp", "tls", "ws", "wss"], {
    default: "tcp",
    description: "Transport: MQTT over TCP or TLS, or over WebSocket on either of them.",
  }),
  host: text({
    default: "127.0.0.1",
    description: "Address to listen on.",
    examples: ["0.0.0.0"],
  }),
  port: whole({
    default: 1883,
    minimum: 0,
    maximum: 65_535,
    description: "Port; 0 takes a free one.",
  }),
  insecure: flag({
    default: false,
    description: "Allow tcp or ws beyond loopback, where others can read and change what is sent.",
  }),
  anonymous: flag({
    default: false,
    description:
      "Accept clients without credentials beyond loopback. On loopback they are always accepted.",
  }),
  methods: Type.Optional(
    Type.Array(choice(METHODS, { description: "A way to prove who one is." }), {
      maxItems: 3,
      description:
        "How clients may prove who they are, tried in this order: the first one that a client offers anything for decides. Without it all that are configured: certificate, token, password.",
      examples: [["token", "password"]],
    }),
  ),
  path: text({
    default: "/mqtt",
    pattern: "^/[^?#\\s]*$",
    expects: "a path that begins with /",
    description: "Path of the WebSocket; any other is refused.",
  }),
  origins: Type.Array(
    text({
      pattern: "^(\\*|null|[A-Za-z][A-Za-z0-9+.-]*://[^/\\s]+)$",
      expects: "an origin like https://hmi.plant:8443, null, or *",
      description: "An origin, as browsers say it.",
    }),
    {
      default: [],
      maxItems: 64,
      description:
        "Origins of web pages whose scripts may connect by WebSocket, beside pages of the same host. Others are refused; programs that are no browsers name none.",
      examples: [["https://hmi.plant"]],
    },
  ),
  certFile: Type.Optional(
    text({
      description: "Certificate of a TLS listener in PEM, those that lead to its root behind it.",
      examples: ["/etc/fieldgate/server.pem"],
    }),
  ),
  keyFile: Type.Optional(
    text({
      description: "Key of the certificate in PEM, not encrypted.",
      examples: ["/etc/fieldgate/server.key"],
    }),
  ),
  clientCaFile: Type.Optional(
    text({
      description:
        "Who signs the certificates of clients, in PEM. With it clients are asked for one (mutual TLS).",
      examples: ["/etc/fieldgate/clients-ca.pem"],
    }),
  ),
  clientCertificate: choice(["required", "optional"], {
    default: "required",
    description:
      "Whether a client without a certificate is refused, where there is a clientCaFile. One that is not in order is always refused.",
  }),
  whenClockIsUnsure: choice(["accept", "refuse"], {
    default: "accept",
    description:
      "What becomes of a client certificate whose time seems not to be now while this machine's clock was not set since it started. accept: one that an authority in clientCaFile has signed itself is let in, and judged once the clock is set; refuse: it is not.",
  }),
  certificateCheckSeconds: whole({
    default: 60,
    minimum: 1,
    maximum: 86_400,
    description: "How often the files are looked at; changed ones are taken up, nobody is dropped.",
    unit: "s",
  }),
  handshakeTimeoutMs: whole({
    default: 10_000,
    minimum: 100,
    maximum: 600_000,
    description: "Time until the handshake of TLS, and that of WebSocket, must be complete.",
    unit: "ms",
  }),
});
