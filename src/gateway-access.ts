import { Access, type AccessTools } from "./access/access.ts";
import { readKeys } from "./access/file-keys.ts";
import { readUsers, usersStamp } from "./access/file-users.ts";
import { KeyBook } from "./access/key-book.ts";
import { fetchKeys } from "./access/net-key-set.ts";
import { UserBook } from "./access/user-book.ts";
import { WorkerScrypt } from "./access/worker-scrypt.ts";
import type { Clock } from "./base/clock.ts";
import type { Log } from "./base/log.ts";
import type { Config } from "./config/schema.ts";

/** Where fetched keys are kept. */
export interface AccessRows {
  get(key: string): Promise<Uint8Array | undefined>;
  put(key: string, value: Uint8Array): Promise<void>;
}

const KEYS_ROW = "token-keys";

/** Access control as the configuration has it, on the files and the network of this machine. */
export function gatewayAccess(
  { access, listeners }: Config,
  tools: {
    readonly clock: Clock;
    readonly log: Log;
    readonly rows: AccessRows;
    /** Whether this machine's clock was set since it started. */
    readonly wallIsSure: () => boolean;
  },
): Access {
  const { clock, wallIsSure } = tools;
  const log = tools.log.part("access");
  const { usersFile, tokens } = access;
  const users: AccessTools["users"] =
    usersFile === undefined
      ? null
      : (changed) => {
          const source = { read: () => readUsers(usersFile), stamp: () => usersStamp(usersFile) };
          return new UserBook(source, { clock, log, changed });
        };
  const keys = tokens === undefined ? null : keyBook(tokens, { ...tools, log });
  const passwords = new WorkerScrypt(clock);
  return new Access({ ...access, listeners }, { clock, log, wallIsSure, users, keys, passwords });
}

function keyBook(
  tokens: NonNullable<Config["access"]["tokens"]>,
  { clock, log, rows }: { readonly clock: Clock; readonly log: Log; readonly rows: AccessRows },
): KeyBook {
  const { keysFile, keysUrl, keysCaFile, keysPauseSeconds } = tokens;
  const shelf = {
    async get() {
      const kept = await rows.get(KEYS_ROW);
      return kept === undefined ? null : Buffer.from(kept).toString();
    },
    put: (text: string) => rows.put(KEYS_ROW, Buffer.from(text)),
  };
  const source = {
    async read(signal: AbortSignal) {
      if (keysUrl === undefined) return readKeys(keysFile ?? "");
      const ca = keysCaFile === undefined ? null : await readKeys(keysCaFile);
      return fetchKeys(keysUrl, ca, signal);
    },
  };
  const options = { shelf: keysUrl === undefined ? null : shelf, pauseMs: keysPauseSeconds * 1000 };
  return new KeyBook(source, options, { clock, log });
}
