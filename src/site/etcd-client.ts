import type { Etcd3, IOptions } from "etcd3";
import type { Clock } from "../base/clock.ts";
import { FieldgateError } from "../base/errors.ts";
import { readPassword } from "../base/file-secret.ts";
import { redactUrl } from "../config/redact.ts";
import type {
  Condition,
  Etcd,
  EtcdChange,
  EtcdEntry,
  Grant,
  Listing,
  Put,
  WatchListener,
} from "./etcd-port.ts";

/** More keys than this under one prefix are not ours: the rest is left out. */
const ENTRIES_MAX = 1000;
/** A larger listing is refused: etcd then counts as silent. */
const LISTING_BYTES_MAX = 64 * 2 ** 20;

/** Who is to be asked for again: a password or a right may have changed, or etcd has forgotten whom it had let in. */
const NOT_LET_IN = /authentication failed|user name is empty|invalid auth token|revision of auth/i;

/** As whom it is asked, where it asks for that. */
export interface EtcdUser {
  readonly username?: string;
  /** Read for each connection. */
  readonly passwordFile?: string;
}

type KeyValue = Awaited<ReturnType<Etcd3["kv"]["range"]>>["kvs"][number];

/**
 * One member of etcd, through etcd3 as a bare client: requests and replies. Its elections, leases and watchers are not
 * used, nor its retries: they lose events, believe in leases that have ended, and repeat what must not be repeated
 * (docs/decisions/0006-election.md).
 *
 * A request that ran into its deadline may have met a connection that is dead and does not know it: the next one gets
 * a new connection. Nothing of etcd3 is loaded before the first request.
 */
export function etcdClient(
  endpoint: string,
  clock: Clock,
  callMsMax: number,
  user: EtcdUser = {},
): Etcd {
  return new EtcdClient(endpoint, clock, callMsMax, user);
}

class EtcdClient implements Etcd {
  readonly #endpoint: string;
  readonly #clock: Clock;
  readonly #callMsMax: number;
  readonly #user: EtcdUser;
  #client: Promise<Etcd3> | null = null;
  #closed = false;

  constructor(endpoint: string, clock: Clock, callMsMax: number, user: EtcdUser) {
    this.#user = user;
    this.#endpoint = endpoint;
    this.#clock = clock;
    this.#callMsMax = callMsMax;
  }

  grant(ttlSeconds: number): Promise<Grant> {
    return this.#call("grant a lease", async (etcd, options) => {
      const { ID, TTL } = await etcd.leaseClient.leaseGrant({ TTL: ttlSeconds }, options);
      return { lease: ID, ttlMs: Number(TTL) * 1000 };
    });
  }

  renew(lease: string): Promise<number | null> {
    return this.#call("renew a lease", async (etcd, options) => {
      const stream = await etcd.leaseClient.leaseKeepAlive(options);
      return new Promise<number | null>((resolve, reject) => {
        stream.on("data", ({ TTL }) => {
          stream.end();
          resolve(Number(TTL) > 0 ? Number(TTL) * 1000 : null);
        });
        stream.on("error", reject);
        stream.on("end", () => reject(new Error("it ended without an answer")));
        stream.write({ ID: lease });
      });
    });
  }

  revoke(lease: string): Promise<void> {
    return this.#call("revoke a lease", async (etcd, options) => {
      await etcd.leaseClient.leaseRevoke({ ID: lease }, options).catch((error: unknown) => {
        if (!/lease not found/.test(String(error))) throw error;
      });
    });
  }

  leaseLives(lease: string): Promise<boolean> {
    return this.#call("look at a lease", async (etcd, options) => {
      const { TTL } = await etcd.leaseClient.leaseTimeToLive({ ID: lease }, options);
      return Number(TTL) >= 0;
    });
  }

  list(prefix: string): Promise<Listing> {
    return this.#call("list keys", async (etcd, options) => {
      const request = { ...under(prefix), limit: ENTRIES_MAX };
      const { header, kvs } = await etcd.kv.range(request, options);
      return { revision: Number(header.revision), entries: kvs.map(entry) };
    });
  }

  commit(when: readonly Condition[], puts: readonly Put[]): Promise<boolean> {
    return this.#call("write keys", async (etcd, options) => {
      const request = {
        compare: when.map(comparison),
        success: puts.map(({ key, value, lease }) => ({
          request_put: { key: Buffer.from(key), value: Buffer.from(value), lease: lease ?? "0" },
        })),
      };
      return (await etcd.kv.txn(request, options)).succeeded;
    });
  }

  watch(prefix: string, fromRevision: number, listener: WatchListener): () => void {
    const over = new AbortController();
    const fail = (error: Error) => {
      if (over.signal.aborted) return;
      over.abort();
      listener.trouble(this.#error("watch keys", error));
    };
    void this.#openWatch(prefix, fromRevision, listener, over.signal, fail).catch(fail);
    return () => over.abort();
  }

  close(): void {
    this.#closed = true;
    this.#drop(this.#client);
  }

  async #openWatch(
    prefix: string,
    fromRevision: number,
    listener: WatchListener,
    over: AbortSignal,
    fail: (error: Error) => void,
  ): Promise<void> {
    const patience = new AbortController();
    over.addEventListener("abort", () => patience.abort(), { once: true });
    this.#clock.sleep(this.#callMsMax, patience.signal).then(
      () => fail(new Error("it was not created in time")),
      () => undefined,
    );
    const stream = await (await this.#open()).watchClient.watch();
    stream.on("error", fail);
    stream.on("end", () => fail(new Error("it ended")));
    stream.on("data", (told) => {
      if (told.created) patience.abort();
      if (told.canceled) fail(new Error(told.cancel_reason || "cancelled by etcd"));
      else if (told.events.length > 0 && !over.aborted) listener.changed(told.events.map(change));
    });
    if (over.aborted) return stream.cancel();
    over.addEventListener("abort", () => stream.cancel(), { once: true });
    stream.write({ create_request: { ...under(prefix), start_revision: fromRevision } });
  }

  async #call<T>(
    what: string,
    call: (etcd: Etcd3, options: { deadline: number }) => Promise<T>,
  ): Promise<T> {
    const client = this.#open();
    try {
      return await call(await client, { deadline: this.#clock.wallMs() + this.#callMsMax });
    } catch (error) {
      const said = String(error);
      if (/DEADLINE_EXCEEDED|deadline exceeded/i.test(said) || NOT_LET_IN.test(said)) {
        this.#drop(client);
      }
      throw this.#error(what, error);
    }
  }

  #open(): Promise<Etcd3> {
    if (this.#closed) return Promise.reject(new Error("it was closed"));
    if (this.#client !== null) return this.#client;
    const client = this.#connect();
    client.catch(() => this.#drop(client)); // the file may be there the next time
    this.#client = client;
    return client;
  }

  async #connect(): Promise<Etcd3> {
    const { username, passwordFile } = this.#user;
    if (username === undefined || passwordFile === undefined) return connect(this.#endpoint);
    const password = (await readPassword("cluster.passwordFile", passwordFile)).toString();
    // etcd3 waits for a token without an end.
    const callOptions = () => ({ deadline: this.#clock.wallMs() + this.#callMsMax });
    return connect(this.#endpoint, { username, password, callOptions });
  }

  #drop(client: Promise<Etcd3> | null): void {
    if (client === null || client !== this.#client) return;
    this.#client = null;
    client.then(
      (etcd) => etcd.close(),
      () => undefined,
    );
  }

  #error(what: string, cause: unknown): FieldgateError {
    const where = redactUrl(this.#endpoint);
    return new FieldgateError("ERR_ETCD", `etcd at ${where} could not ${what}`, { cause });
  }
}

async function connect(endpoint: string, auth?: IOptions["auth"]): Promise<Etcd3> {
  const { Etcd3 } = await import("etcd3");
  // A user in the URL would become a part of the host's name, and stand in its errors: the configuration refuses it.
  const { protocol, host } = new URL(endpoint);
  const atOnce = { execute: async (call: (context: object) => unknown) => call({}) } as never;
  return new Etcd3({
    hosts: `${protocol}//${host}`,
    ...(auth === undefined ? {} : { auth }),
    faultHandling: { host: () => atOnce, global: atOnce },
    grpcOptions: {
      // Otherwise a new client is given the old client's connection.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 500,
      // Finds a dead connection under an idle watch. etcd closes connections that are asked more often than each 5 s.
      "grpc.keepalive_time_ms": 10_000,
      "grpc.keepalive_timeout_ms": 1500,
      // Whatever someone has put below our prefix: with the usual 4 MiB three large values would hide all others.
      "grpc.max_receive_message_length": LISTING_BYTES_MAX,
    },
  });
}

/** The keys that begin with the prefix: up to the same with its last byte raised. Ours end in a slash. */
function under(prefix: string): { key: Buffer; range_end: Buffer } {
  const key = Buffer.from(prefix);
  const end = Buffer.from(key);
  end[end.length - 1] = (end.at(-1) ?? 0) + 1;
  return { key, range_end: end };
}

function comparison(condition: Condition) {
  const key = Buffer.from(condition.key);
  if (condition.is === "unchanged") {
    return {
      key,
      target: "Mod",
      result: "Equal",
      mod_revision: condition.modRevision,
    } as const;
  }
  if (condition.is === "not under") {
    return { key, target: "Lease", result: "NotEqual", lease: condition.lease } as const;
  }
  const result = condition.is === "absent" ? "Equal" : "NotEqual";
  return { key, target: "Create", result, create_revision: 0 } as const;
}

function entry({ key, value, lease, mod_revision }: KeyValue): EtcdEntry {
  return {
    key: key.toString(),
    value: value.toString(),
    lease,
    modRevision: Number(mod_revision),
  };
}

function change({ type, kv }: { type: unknown; kv: KeyValue }): EtcdChange {
  return /delete/i.test(String(type))
    ? { deleted: kv.key.toString(), revision: Number(kv.mod_revision) }
    : { put: entry(kv) };
}
