import { constants, type X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import { createServer, type SecureContextOptions, type Server, type TLSSocket } from "node:tls";
import { certificatesIn, isOfNow, isSignedFor, isVouchedFor } from "./client-certificate.ts";
import type { Certificates } from "./file-certificates.ts";
import type { CertificateIdentity } from "./ports.ts";

/** What a TLS gate needs of the listener behind it. */
export interface TlsGateWorld {
  /** The handshake is done. `identity`: whom the client's certificate names, null when there is none. */
  secured(socket: TLSSocket, identity: CertificateIdentity | null): void;
  refused(reason: string): void;
  /** Whether this machine's clock was set since it started. */
  wallIsSure(): boolean;
  wallMs(): number;
}

export interface TlsGateOptions {
  readonly clientCertificate: "required" | "optional";
  readonly handshakeTimeoutMs: number;
  readonly whenClockIsUnsure: "accept" | "refuse";
}

/**
 * TLS 1.2 and 1.3 over sockets that others have accepted. Key exchange is ephemeral on an elliptic curve and ciphers
 * are authenticated, whatever the client would like; renegotiation, which only costs the server, is refused.
 */
export class TlsGate {
  readonly #server: Server;
  readonly #options: TlsGateOptions;
  readonly #world: TlsGateWorld;
  readonly #asks: boolean;
  /** Those who are in by a certificate of theirs. */
  readonly #certified = new Map<TLSSocket, X509Certificate>();
  /** Those of them whose time is still to be judged. */
  readonly #unjudged = new Set<TLSSocket>();
  #clientCa: Buffer | null;

  constructor(certificates: Certificates, options: TlsGateOptions, world: TlsGateWorld) {
    this.#options = options;
    this.#world = world;
    this.#asks = certificates.clientCa !== null;
    this.#clientCa = certificates.clientCa;
    this.#server = createServer({
      ...contextOptions(certificates),
      handshakeTimeout: options.handshakeTimeoutMs,
      requestCert: this.#asks,
      // Decided below, so that there is a reason to count.
      rejectUnauthorized: false,
    });
    this.#server.on("secureConnection", (socket) => this.#secured(socket));
    this.#server.on("tlsClientError", (error, socket) => {
      world.refused(handshakeReason((error as NodeJS.ErrnoException).code ?? ""));
      socket.destroy();
    });
  }

  /** Begins the handshake on a socket from which nothing was read. */
  take(socket: Socket): void {
    this.#server.emit("connection", socket);
  }

  /** From now on with other files. Sessions are not resumed across; who is in stays, unless nobody in `clientCa` vouches for it any more. */
  renew(certificates: Certificates): void {
    const { clientCa } = certificates;
    this.#server.setSecureContext(contextOptions(certificates));
    if (clientCa === null || this.#clientCa?.equals(clientCa)) return;
    this.#clientCa = clientCa;
    const authorities = certificatesIn(clientCa);
    for (const [socket, certificate] of this.#certified) {
      if (!isVouchedFor(certificate, authorities)) {
        this.#refuse(socket, "client certificate not trusted any more");
      }
    }
  }

  /** Called every now and then: once the clock is set, those end who came before with a certificate whose time is not now. */
  sweep(): void {
    if (this.#unjudged.size === 0 || !this.#world.wallIsSure()) return;
    for (const [socket, certificate] of this.#certified) {
      if (!this.#unjudged.has(socket)) continue;
      const reason = isOfNow(certificate, this.#world.wallMs());
      if (reason !== null) this.#refuse(socket, reason);
    }
    this.#unjudged.clear();
  }

  #secured(socket: TLSSocket): void {
    const certificate = this.#asks ? socket.getPeerX509Certificate() : undefined;
    const reason = this.#objection(socket, certificate);
    if (reason !== null) {
      this.#refuse(socket, reason);
      return;
    }
    if (certificate !== undefined) {
      this.#certified.set(socket, certificate);
      socket.once("close", () => {
        this.#certified.delete(socket);
        this.#unjudged.delete(socket);
      });
    }
    this.#world.secured(socket, certificate === undefined ? null : identityOf(certificate));
  }

  /** Why whoever comes with this certificate, or without one, is refused; null when it is not. */
  #objection(socket: TLSSocket, certificate: X509Certificate | undefined): string | null {
    if (certificate === undefined) {
      const isWanted = this.#asks && this.#options.clientCertificate === "required";
      return isWanted ? "no client certificate" : null;
    }
    if (socket.authorized || this.#mayComeUnjudged(socket, certificate)) return null;
    return distrust(String(socket.authorizationError));
  }

  /** A gateway whose clock was never set cannot tell what time a certificate is for, and must not lock out all that it has. */
  #mayComeUnjudged(socket: TLSSocket, certificate: X509Certificate): boolean {
    if (this.#options.whenClockIsUnsure === "refuse" || this.#world.wallIsSure()) return false;
    if (!OF_ANOTHER_TIME.has(String(socket.authorizationError))) return false;
    // OpenSSL tells the last fault that it found, so the signature is looked at here.
    if (!isSignedFor(certificate, certificatesIn(this.#clientCa ?? Buffer.alloc(0)))) return false;
    this.#unjudged.add(socket);
    return true;
  }

  #refuse(socket: TLSSocket, reason: string): void {
    this.#world.refused(reason);
    socket.destroy();
  }
}

const TLS_1_2_CIPHERS = [
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
];
const TLS_1_3_CIPHERS = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_CHACHA20_POLY1305_SHA256",
  "TLS_AES_256_GCM_SHA384",
];

function contextOptions({ cert, key, clientCa }: Certificates): SecureContextOptions {
  return {
    cert,
    key,
    ...(clientCa && { ca: clientCa }),
    minVersion: "TLSv1.2",
    ciphers: [...TLS_1_3_CIPHERS, ...TLS_1_2_CIPHERS].join(":"),
    ecdhCurve: "X25519:P-256:P-384",
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  };
}

/** OpenSSL has hundreds of codes; these are what a listener meets, in words that are few enough to count by. */
function handshakeReason(code: string): string {
  if (code === "ERR_TLS_HANDSHAKE_TIMEOUT") return "TLS handshake not finished in time";
  if (code === "ECONNRESET") return "TLS handshake given up by the client";
  if (NOT_TLS.test(code)) return "not TLS";
  if (NOTHING_IN_COMMON.test(code)) return "TLS version or cipher not offered";
  return "TLS handshake failed";
}

const NOT_TLS = /WRONG_VERSION_NUMBER|HTTP_REQUEST|HTTPS_PROXY_REQUEST|RECORD_LENGTH|PACKET_LENGTH/;
const NOTHING_IN_COMMON =
  /UNSUPPORTED_PROTOCOL|NO_SHARED_CIPHER|NO_SUITABLE_|VERSION_TOO_LOW|INAPPROPRIATE_FALLBACK|NO_SHARED_GROUP/;

const OF_ANOTHER_TIME: ReadonlySet<string> = new Set(["CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID"]);

/** The clock may be what is wrong; then it is for all of them. */
function distrust(code: string): string {
  if (code === "CERT_HAS_EXPIRED") return "client certificate has ended";
  if (code === "CERT_NOT_YET_VALID") return "client certificate not valid yet";
  return "client certificate not trusted";
}

function identityOf(certificate: X509Certificate): CertificateIdentity {
  const names = (certificate.toLegacyObject().subject ?? {}) as Record<string, unknown>;
  const commonName = names["CN"];
  return {
    // Two common names are none: who signed it and who reads it might mean different ones.
    commonName: typeof commonName === "string" ? commonName : null,
    altNames: altNamesOf(certificate.subjectAltName ?? ""),
    fingerprint: certificate.fingerprint256,
  };
}

/** What Node writes for a name of a kind that it cannot read: it is the same for all of them, so it is nobody's. */
const UNREADABLE = "<unsupported>";

/** Node writes `DNS:a.example, IP Address:10.0.0.1, DNS:"with, comma"`, the quoted ones as JSON. */
function altNamesOf(text: string): readonly string[] {
  const names: string[] = [];
  for (const [, quoted, plain] of text.matchAll(
    /[A-Za-z ]+:(?:("(?:[^"\\]|\\.)*")|([^,]*))(?:, |$)/g,
  )) {
    const name = quoted === undefined ? (plain ?? "") : (JSON.parse(quoted) as string);
    names.push(name === UNREADABLE ? "" : name);
  }
  return names;
}
