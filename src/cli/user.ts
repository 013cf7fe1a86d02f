import { readUsers, writeUsers } from "../access/file-users.ts";
import { hashPassword } from "../access/phc.ts";
import { parseUsers, type Users, userNameError } from "../access/users-text.ts";
import { FieldgateError } from "../base/errors.ts";
import { loadConfig } from "../config/yaml-load.ts";
import type { Command } from "./command.ts";
import { readPassword } from "./password.ts";
import { say } from "./terminal.ts";

export const command: Command = {
  actions: ["list", "add", "passwd", "roles", "remove"],
  help: `fieldgate user list [--config FILE] [--json]          users and their roles
fieldgate user add NAME [ROLE...] [--config FILE]     a new user; the password comes from standard input
fieldgate user passwd NAME [--config FILE]            another password; who is connected with the old one is closed
fieldgate user roles NAME [ROLE...] [--config FILE]   other roles, in place of those before
fieldgate user remove NAME [--config FILE]            takes the user away; who is connected is closed

Changes the file that access.usersFile names, as a whole; a running gateway takes it up by itself. At a terminal the password
is asked for twice and not shown; otherwise it is the first line of standard input. It is never an argument.

Examples:
  fieldgate user add boiler-7 sensor
  pass show plant/boiler-7 | fieldgate user passwd boiler-7

Exit codes: 0 done, 2 not done
`,

  async run({ configPath, json, rest }) {
    const [action, name, ...more] = rest;
    const path = await usersFileOf(configPath);
    if (action === "list" && name === undefined) {
      const { users } = await readUsers(path);
      say(json, shown(users), () => screen(users));
      return 0;
    }
    const change = action !== undefined && Object.hasOwn(CHANGES, action) ? CHANGES[action] : null;
    if (!change || name === undefined || (more.length > 0 && !/^(add|roles)$/.test(action ?? ""))) {
      const said = "user knows list, add, passwd, roles and remove, all but list with NAME";
      throw new FieldgateError("ERR_USAGE", `${said}; see fieldgate user --help`);
    }
    await writeUsers(path, await change(await usersOrNone(path, action ?? ""), name, more));
    say(
      json,
      { file: path, user: name, done: action },
      () => `${path}: ${SAID[action ?? ""]} ${name}\n`,
    );
    return 0;
  },
};

type Change = (users: Users, name: string, roles: readonly string[]) => Promise<Users>;

const CHANGES: Readonly<Record<string, Change>> = {
  async add(users, name, roles) {
    const wrong = userNameError(name);
    if (wrong !== null) throw refused(`the name ${wrong}`);
    if (users.has(name)) throw refused(`${name} is there already: fieldgate user passwd ${name}`);
    return withUser(users, name, await newSecret(), roles);
  },
  async passwd(users, name) {
    const { roles } = known(users, name);
    return withUser(users, name, await newSecret(), roles);
  },
  async roles(users, name, roles) {
    return withUser(users, name, known(users, name).secret, roles);
  },
  async remove(users, name) {
    known(users, name);
    return new Map([...users].filter(([each]) => each !== name));
  },
};

const SAID: Readonly<Record<string, string>> = {
  add: "added",
  passwd: "changed the password of",
  roles: "changed the roles of",
  remove: "removed",
};

async function newSecret(): Promise<string> {
  const password = await readPassword(process.stdin, process.stderr);
  if (password.length === 0) throw refused("the password is empty");
  return hashPassword(password);
}

function withUser(users: Users, name: string, secret: string, roles: readonly string[]): Users {
  const wrong = roles.find((role) => !/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(role));
  if (wrong !== undefined) throw refused(`${wrong} cannot be the name of a role`);
  return new Map(users).set(name, { name, secret, password: null, roles });
}

function known(users: Users, name: string) {
  const user = users.get(name);
  if (user === undefined) throw refused(`there is no user ${name}`);
  return user;
}

/** The first user makes the file. */
async function usersOrNone(path: string, action: string): Promise<Users> {
  try {
    return (await readUsers(path)).users;
  } catch (error) {
    const isMissing = error instanceof FieldgateError && isNotThere(error.cause);
    if (action === "add" && isMissing) return parseUsers("# fieldgate users 1\n# end\n");
    throw error;
  }
}

function isNotThere(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && cause.code === "ENOENT";
}

async function usersFileOf(configPath: string): Promise<string> {
  const { access } = await loadConfig(configPath);
  if (access.usersFile !== undefined) return access.usersFile;
  throw refused(`${configPath} names no users file: set access.usersFile`);
}

function refused(message: string): FieldgateError {
  return new FieldgateError("ERR_USERS", message);
}

function shown(users: Users) {
  return [...users.values()].map(({ name, password, roles }) => ({
    name,
    roles,
    hasPassword: password !== null,
  }));
}

function screen(users: Users): string {
  if (users.size === 0) return "no users\n";
  const lines = shown(users).map(({ name, roles, hasPassword }) => {
    const said = roles.length === 0 ? "no roles" : roles.join(", ");
    return `${name.padEnd(24)} ${said}${hasPassword ? "" : "   (no password)"}`;
  });
  return `${lines.join("\n")}\n`;
}
