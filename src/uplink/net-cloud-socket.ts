import { createConnection, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Address } from "./endpoints.ts";
import type { Credentials } from "./file-credentials.ts";

/**
 * Begins to connect to a broker, over TLS where the address says so: then its certificate must be valid and name the host. A
 * turn's messages leave as one write, so Nagle's algorithm would only hold the last of them back.
 * @throws what OpenSSL says of a certificate or key that it cannot read
 */
export function openSocket({ tls, host, port }: Address, credentials: Credentials): Socket {
  if (!tls) return createConnection({ host, port, noDelay: true });
  const { ca, cert, key } = credentials;
  const socket = connectTls({
    host,
    port,
    rejectUnauthorized: true,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(ca === null ? {} : { ca }),
    ...(cert === null ? {} : { cert }),
    ...(key === null ? {} : { key }),
  });
  socket.setNoDelay(true);
  return socket;
}
