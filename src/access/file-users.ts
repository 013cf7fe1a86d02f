import type { Stats } from "node:fs";
import { chmod, open, realpath, rename, stat, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { FieldgateError } from "../base/errors.ts";
import { readFileText } from "../base/file-text.ts";
import { parseUsers, USERS_BYTES_MAX, type Users, usersText } from "./users-text.ts";

/** What the users file holds, and what tells whether it has changed since. */
export interface UsersRead {
  readonly users: Users;
  readonly stamp: string;
  /** Others than owner and group may read it. */
  readonly isOpen: boolean;
}

/** @throws FieldgateError ERR_CONFIG_UNREADABLE when there is no reading it, ERR_USERS when it is not whole or not one */
export async function readUsers(path: string): Promise<UsersRead> {
  const { text, stats } = await readFileText(path, USERS_BYTES_MAX).catch((cause) => {
    throw unreadable(path, cause);
  });
  return { users: parseUsers(text), stamp: stampOf(stats), isOpen: (stats.mode & 0o007) !== 0 };
}

/** Changes whenever the file does; costs no reading. @throws FieldgateError ERR_CONFIG_UNREADABLE */
export async function usersStamp(path: string): Promise<string> {
  try {
    return stampOf(await stat(path));
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

function stampOf({ ino, size, mtimeMs, ctimeMs }: Stats): string {
  return [ino, size, mtimeMs, ctimeMs].join(" ");
}

/**
 * Replaces the file as a whole: whoever reads it, and whatever a power cut leaves, is the old one or the new one. Only its
 * owner may read it, or, where there was one, who might before. A link stays one: what it leads to is replaced.
 */
export async function writeUsers(path: string, users: Users): Promise<void> {
  try {
    const target = await realpath(path).catch(() => path);
    const fresh = `${target}.new`;
    const before = await stat(target).catch(() => null);
    await unlink(fresh).catch(() => {});
    const file = await open(fresh, "wx", 0o600);
    try {
      await file.writeFile(usersText(users));
      if (before !== null) {
        await chmod(fresh, before.mode & 0o640);
        await file.chown(before.uid, before.gid).catch(() => {}); // who is not root owns it as before
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(fresh, target);
    const directory = await open(dirname(target), "r");
    await directory.sync().finally(() => directory.close());
  } catch (cause) {
    const message = `users file ${path} cannot be written: ${said(cause)}`;
    throw new FieldgateError("ERR_USERS", message, { cause, details: { path } });
  }
}

function unreadable(path: string, cause: unknown): FieldgateError {
  const isMissing = cause instanceof Error && "code" in cause && cause.code === "ENOENT";
  const why = isMissing
    ? "is not there: `fieldgate user add NAME` makes it"
    : `cannot be read: ${said(cause)}`;
  const message = `users file ${path} ${why}`;
  return new FieldgateError("ERR_CONFIG_UNREADABLE", message, { cause, details: { path } });
}

function said(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
