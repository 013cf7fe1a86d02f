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
