import type { Clock } from "../base/clock.ts";
import { errorFields } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Certificates } from "./file-certificates.ts";

/** What a TLS listener's certificate looks like now. */
export interface CertificateStatus {
  readonly subject: string;
  /** Milliseconds since the Unix epoch. */
  readonly notAfterMs: number;
  /** Whole days until it ends; negative when it has ended. By the machine's clock, which may be wrong. */
  readonly daysLeft: number;
  /** How often changed files were taken up. */
  readonly reloads: number;
  /** Why the files as they are now cannot be taken; the ones before them are in use. */
  readonly error: string | null;
}

const DAY_MS = 86_400_000;
export const EXPIRY_WARNING_DAYS = 30;

/**
 * Keeps a listener's certificate fresh: looks at the files again and again, hands on what has changed, and says once a day
 * when the end is near. Files are compared by what is in them: it does not matter how they were replaced. Files that
 * cannot be used, because one is half written or does not fit the others yet, change nothing.
 */
export class CertificateWatch {
  readonly #read: () => Promise<Certificates>;
  readonly #use: (certificates: Certificates) => void;
  readonly #tools: { readonly clock: Clock; readonly log: Log };
  #now: Certificates | null = null;
  #reloads = 0;
  #error: string | null = null;
  #warnedMs = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> = Promise.resolve();
  #stopWatching: () => void = () => {};

  constructor(
    read: () => Promise<Certificates>,
    use: (certificates: Certificates) => void,
    tools: { readonly clock: Clock; readonly log: Log },
  ) {
    this.#read = read;
    this.#use = use;
    this.#tools = tools;
  }

  /**
   * Reads the files for the first time, then every `everyMs`.
   * @returns what they hold
   * @throws FieldgateError as the reader
   */
  async start(everyMs: number): Promise<Certificates> {
    const first = await this.#read();
    this.#now = first;
    this.#warn();
    this.#stopWatching = this.#tools.clock.every(everyMs, () => {
      this.#looking = this.#looking.then(() => this.look());
    });
    return first;
  }

  async stop(): Promise<void> {
    this.#stopWatching();
    await this.#looking;
  }

  /** Looks at the files once. Never rejects. */
  async look(): Promise<void> {
    const { log } = this.#tools;
    try {
      const fresh = await this.#read();
      if (this.#now !== null && !same(this.#now, fresh)) {
        this.#use(fresh);
        this.#now = fresh;
        this.#reloads++;
        this.#warnedMs = Number.NEGATIVE_INFINITY;
        log.info("certificate reloaded", { subject: fresh.subject });
      }
      this.#error = null;
    } catch (error) {
      const fields = errorFields(error);
      if (this.#error !== fields["error"]) log.error("certificate not reloaded", fields);
      this.#error = String(fields["error"]);
    }
    this.#warn();
  }

  status(): CertificateStatus | null {
    if (this.#now === null) return null;
    const { subject, notAfterMs } = this.#now;
    return {
      subject,
      notAfterMs,
      daysLeft: this.#daysTo(notAfterMs),
      reloads: this.#reloads,
      error: this.#error,
    };
  }

  #daysTo(wallMs: number): number {
    return Math.floor((wallMs - this.#tools.clock.wallMs()) / DAY_MS);
  }

  #warn(): void {
    const { clock, log } = this.#tools;
    const status = this.status();
    const now = clock.monotonicMs();
    if (status === null || now - this.#warnedMs < DAY_MS) return;
    const early = (this.#now?.notBeforeMs ?? 0) > clock.wallMs();
    if (status.daysLeft >= EXPIRY_WARNING_DAYS && !early) return;
    this.#warnedMs = now;
    const { subject, daysLeft } = status;
    if (early) log.warn("certificate is not valid yet: is the clock right?", { subject });
    else if (daysLeft < 0) log.error("certificate has expired", { subject, daysLeft });
    else log.warn("certificate expires soon", { subject, daysLeft });
  }
}

function same(a: Certificates, b: Certificates): boolean {
  if (!a.cert.equals(b.cert) || !a.key.equals(b.key)) return false;
  if (a.clientCa === null || b.clientCa === null) return a.clientCa === b.clientCa;
  return a.clientCa.equals(b.clientCa);
}
