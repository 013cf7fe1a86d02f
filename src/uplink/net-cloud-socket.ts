import { createConnection, isIP, type OnReadOpts, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Address } from "./endpoints.ts";
import type { Credentials } from "./file-credentials.ts";

/**
 * Begins to connect to a broker, over TLS where the address says so: then its certificate must be valid and name the host. A
 * turn's messages leave as one write, so Nagle's algorithm would only hold the last of them back.
 * @param onread takes what comes, one buffer for all of it: Node would make one of 64 KiB for each four bytes of an acknowledgement
 * @throws what OpenSSL says of a certificate or key that it cannot read
 */
export function openSocket(
  { tls, host, port }: Address,
  credentials: Credentials,
  onread: OnReadOpts,
): Socket {
  if (!tls) return createConnection({ host, port, noDelay: true, onread });
  const { ca, cert, key } = credentials;
  // Node's types do not know that TLS sockets take `onread` too.
  const options = {
    host,
    port,
    rejectUnauthorized: true,
    onread,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(ca === null ? {} : { ca }),
    ...(cert === null ? {} : { cert }),
    ...(key === null ? {} : { key }),
  };
  const socket = connectTls(options);
  socket.setNoDelay(true);
  return socket;
}
