import { datedIso, doubtOf } from "./identity-properties.ts";
import type { GatewayIdentity } from "./rules.ts";
import type { SourceEntry } from "./source.ts";

/**
 * The identity of a message inside its payload, for connections of MQTT 3.1.1, which has no user properties:
 *
 *   0  4 bytes "FGE1"    4  u16 length of the header, big endian    6  header, JSON    then the payload as it was published
 *
 * The header is an object of the names and values that the user properties have under MQTT 5 (identity-properties.ts).
 * deploy/cloud/read-envelope.mjs opens it.
 */
export class IdentityEnvelope {
  readonly #fixed: Readonly<Record<string, string>>;

  constructor(journalId: string, identity: GatewayIdentity, epoch: number | null) {
    this.#fixed = {
      "fg-journal": journalId,
      "fg-gateway": identity.gateway,
      "fg-site": identity.site,
      ...(epoch === null ? {} : { "fg-epoch": String(epoch) }),
    };
  }

  /** The payload of an entry in its envelope. */
  wrap(entry: SourceEntry): Buffer {
    const header = Buffer.from(
      JSON.stringify({
        ...this.#fixed,
        "fg-seq": String(entry.seq),
        "fg-time": datedIso(entry),
        ...Object.fromEntries(doubtOf(entry)),
      }),
    );
    const head = Buffer.alloc(HEAD_BYTES);
    head.write(MAGIC, "latin1");
    head.writeUInt16BE(header.length, MAGIC.length);
    return Buffer.concat([head, header, entry.message.payload]);
  }
}

const MAGIC = "FGE1";
const HEAD_BYTES = MAGIC.length + 2;
