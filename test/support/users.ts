import type { AccessTools } from "../../src/access/access.ts";
import { hashPassword } from "../../src/access/phc.ts";
import { UserBook } from "../../src/access/user-book.ts";
import { parseUsers } from "../../src/access/users-text.ts";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/system-clock.ts";

/** Cheap, so that tests are quick; the strength is not what they are about. */
const CHEAP = { ln: 10, r: 8, p: 1 };

/** A users file in memory. A user's password is its name and "-secret". */
export class TestUsers {
  text = "# fieldgate users 1\n# end\n";
  book: UserBook | null = null;

  static async of(roles: Readonly<Record<string, readonly string[]>>): Promise<TestUsers> {
    const users = new TestUsers();
    await users.write(roles);
    return users;
  }

  /** For a broker's access. */
  get tools(): Pick<AccessTools, "users"> {
    return {
      users: (changed) => {
        const source = {
          read: async () => ({ users: parseUsers(this.text), stamp: this.text, isOpen: false }),
          stamp: async () => this.text,
        };
        this.book = new UserBook(source, { clock: systemClock, log: silentLog, changed });
        return this.book;
      },
    };
  }

  /** The file as it is from now on. Those who are named in `keep` keep their password's hash. */
  async write(roles: Readonly<Record<string, readonly string[]>>): Promise<void> {
    const lines = await Promise.all(
      Object.entries(roles).map(async ([name, of]) => {
        const known = new RegExp(`^${name}:([^:]*)`, "m").exec(this.text)?.[1];
        return `${name}:${known ?? (await hashPassword(Buffer.from(`${name}-secret`), CHEAP))}:${of.join(",")}`;
      }),
    );
    this.text = ["# fieldgate users 1", ...lines, "# end", ""].join("\n");
    await this.book?.look();
  }
}

/** How a user says who it is. */
export function login(name: string, password = `${name}-secret`) {
  return { username: name, password: Buffer.from(password) };
}
