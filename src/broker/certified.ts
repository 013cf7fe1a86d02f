import type { Connection } from "./connection.ts";
import type { CertificateIdentity } from "./ports.ts";

/** A connected client whom a certificate names. */
export interface CertifiedClient {
  readonly clientId: string;
  readonly remote: string;
  readonly identity: CertificateIdentity;
}

/** Those connected clients that have shown a certificate, the first hundred of them. */
export function certifiedClients(connections: Iterable<Connection>): readonly CertifiedClient[] {
  const shown: CertifiedClient[] = [];
  for (const { channel, session } of connections) {
    const { identity, remote } = channel;
    if (identity === null || session === null) continue;
    if (shown.push({ clientId: session.clientId, remote, identity }) === SHOWN_MAX) break;
  }
  return shown;
}

const SHOWN_MAX = 100;
