import { FRAME, jsonFrame, notUnderstood, readJson } from "./frames.ts";

/** What one gateway tells another one of a hand-over between them: replication only carries it. */
export interface OfficeNote {
  readonly is: "named" | "ready" | "over";
  readonly epoch: number;
  readonly lease: string;
}

const KINDS = ["named", "ready", "over"] as const;
/** A lease's id is a 64-bit number in decimal. */
const LEASE = /^[1-9]\d{0,18}$/;

export function officeFrame({ is, epoch, lease }: OfficeNote): Buffer {
  return jsonFrame(FRAME.office, { is, epoch, lease });
}

/** @throws FieldgateError ERR_PEER_PROTOCOL */
export function readOffice(frame: Buffer): OfficeNote {
  const { is, epoch, lease } = readJson(frame);
  const kind = KINDS.find((one) => one === is);
  const isCount = Number.isSafeInteger(epoch) && (epoch as number) > 0;
  if (kind !== undefined && isCount && typeof lease === "string" && LEASE.test(lease)) {
    return { is: kind, epoch: epoch as number, lease };
  }
  throw notUnderstood("a note of a hand-over that says nothing");
}
