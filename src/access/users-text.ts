import { FieldgateError } from "../base/errors.ts";
import { type PasswordHash, parsePasswordHash } from "./phc.ts";

/**
 * The users file. One user a line, between a first and a last line that say that the file is whole:
 *
 *     # fieldgate users 1
 *     boiler:$scrypt$ln=15,r=8,p=1$…$…:sensor,reader
 *     press-7:*:sensor
 *     # end
 *
 * A name is 1 to 128 characters without colon, white space or control characters. Roles may be missing. Instead of a hash *
 * says that no password lets that user in: a certificate does, and the roles are its.
 * Empty lines and lines that begin with # mean nothing. A file without its last line is half-written, and refused whole.
 */
export interface User {
  readonly name: string;
  /** As it stands in the file. */
  readonly secret: string;
  /** Null: no password is the user's. */
  readonly password: PasswordHash | null;
  readonly roles: readonly string[];
}

export type Users = ReadonlyMap<string, User>;

const FIRST = "# fieldgate users 1";
const LAST = "# end";
/** In the place of a hash. */
const NO_PASSWORD = "*";
export const USERS_BYTES_MAX = 4 * 2 ** 20;

/** @throws FieldgateError ERR_USERS, naming the line and never what stands in it */
export function parseUsers(text: string): Users {
  const lines = text.split("\n").map((line) => line.replace(/\r$/, ""));
  const last = lines.findLastIndex((line) => line.trim() !== "");
  if (lines[0] !== FIRST) throw mistake(1, `must be: ${FIRST}`);
  if (last < 1 || lines[last] !== LAST) {
    throw mistake(last + 1, `must be: ${LAST}; the file is half-written`);
  }
  const users = new Map<string, User>();
  for (const [index, line] of lines.slice(1, last).entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const user = parseUser(line, index + 2);
    if (users.has(user.name)) throw mistake(index + 2, "has a user who is there already");
    users.set(user.name, user);
  }
  return users;
}

export function usersText(users: Users): string {
  const lines = [...users.values()].map(({ name, secret, roles }) =>
    roles.length === 0 ? `${name}:${secret}` : `${name}:${secret}:${roles.join(",")}`,
  );
  return [FIRST, ...lines, LAST, ""].join("\n");
}

/** Why that cannot be the name of a user, or null. */
export function userNameError(name: string): string | null {
  if (name === "" || name.length > 128) return "must have 1 to 128 characters";
  if (/[\s:\p{C}]/u.test(name) || !name.isWellFormed()) {
    return "must have no colon, white space or control characters";
  }
  return name.startsWith("#") ? "must not begin with #" : null;
}

function parseUser(line: string, number: number): User {
  const [name = "", secret = "", roles = "", ...more] = line.split(":");
  if (more.length > 0) throw mistake(number, "has too many colons");
  const wrong = userNameError(name);
  if (wrong !== null) throw mistake(number, `has a name that is none: it ${wrong}`);
  const password = secret === NO_PASSWORD ? null : parsePasswordHash(secret);
  if (password === null && secret !== NO_PASSWORD)
    throw mistake(number, "has no hash of scrypt, or one beyond its bounds");
  return { name, secret, password, roles: roles === "" ? [] : roles.split(",") };
}

function mistake(line: number, what: string): FieldgateError {
  return new FieldgateError("ERR_USERS", `users file: line ${line} ${what}`, { details: { line } });
}
