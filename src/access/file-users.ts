import { chmod, open, readFile, rename, stat, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { FieldgateError } from "../base/errors.ts";
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
  const stamp = await usersStamp(path);
  let text: string;
  let mode: number;
  try {
    const { size, mode: found } = await stat(path);
    if (size > USERS_BYTES_MAX) throw new FieldgateError("ERR_USERS", "users file: is too large");
    mode = found;
    text = await readFile(path, "utf8");
  } catch (cause) {
    if (cause instanceof FieldgateError) throw cause;
    throw unreadable(path, cause);
  }
  return { users: parseUsers(text), stamp, isOpen: (mode & 0o007) !== 0 };
}

/** Changes whenever the file does; costs no reading. @throws FieldgateError ERR_CONFIG_UNREADABLE */
export async function usersStamp(path: string): Promise<string> {
  try {
    const { mtimeMs, size, ino } = await stat(path);
    return `${ino} ${size} ${mtimeMs}`;
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

/**
 * Replaces the file as a whole: whoever reads it, and whatever a power cut leaves, is the old one or the new one. Only its
 * owner may read it, or, where there was one, who might before.
 */
export async function writeUsers(path: string, users: Users): Promise<void> {
  const fresh = `${path}.new`;
  try {
    const before = await stat(path).catch(() => null);
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
    await rename(fresh, path);
    const directory = await open(dirname(path), "r");
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
