/** Whom a client was found to be. Kept with its session, so it is plain JSON without secrets. */
export interface Principal {
  /** Null for one who has not said. */
  readonly user: string | null;
  /** What proved it: certificate, password, token; `local`, nobody in particular, on loopback; `anonymous`, from elsewhere. */
  readonly method: string;
  readonly roles: readonly string[];
  /** What rules may refer to. */
  readonly claims: Readonly<Record<string, string>>;
}

const NAME_LENGTH_MAX = 256;

/** Whether a certificate or token may name somebody so: nothing in it is unseen, so that no two names look the same by that. */
export function isUserName(name: string): boolean {
  if (name === "" || name.length > NAME_LENGTH_MAX) return false;
  return name.isWellFormed() && !/[\p{Cc}\p{Cf}]/u.test(name);
}
