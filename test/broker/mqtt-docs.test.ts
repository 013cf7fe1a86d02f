import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** The normative statements of MQTT 3.1.1, as its appendix B lists them: how many each section has. */
const ALL = [
  ...["1.5.3 3", "2.2.2 2", "2.3.1 7", "3.1.0 2", "3.1.2 24", "3.1.3 11", "3.1.4 5", "3.2.0 1"],
  ...["3.2.2 6", "3.3.1 12", "3.3.2 3", "3.3.4 1", "3.3.5 2", "3.6.1 1", "3.8.1 1", "3.8.3 3"],
  ...["3.8.4 6", "3.9.3 2", "3.10.1 1", "3.10.3 2", "3.10.4 6", "3.12.4 1", "3.14.1 1", "3.14.4 3"],
  ...["4.1.0 2", "4.3.1 1", "4.3.2 2", "4.3.3 2", "4.4.0 1", "4.5.0 2", "4.6.0 6", "4.7.1 3"],
  ...["4.7.2 1", "4.7.3 4", "4.8.0 2", "6.0.0 4", "7.0.0 2", "7.1.1 1", "7.1.2 1"],
]
  .map((section) => section.split(" "))
  .flatMap(([section, count]) =>
    Array.from({ length: Number(count) }, (_, i) => `MQTT-${section}-${i + 1}`),
  )
  .concat("MQTT-3-8.3-4"); // so it stands there

/** Those about what a server must refuse. */
const REFUSALS = [
  ...["1.5.3-1", "1.5.3-2", "2.2.2-1", "2.2.2-2", "2.3.1-1", "3.1.0-1", "3.1.0-2"],
  ...["3.1.2-1", "3.1.2-2", "3.1.2-3", "3.1.2-9", "3.1.2-11", "3.1.2-12", "3.1.2-13", "3.1.2-14"],
  ...["3.1.2-15", "3.1.2-18", "3.1.2-19", "3.1.2-20", "3.1.2-21", "3.1.2-22", "3.1.2-24"],
  ...["3.1.3-1", "3.1.3-3", "3.1.3-4", "3.1.3-7", "3.1.3-8", "3.1.3-9", "3.1.3-10", "3.1.3-11"],
  ...["3.1.4-1", "3.1.4-2", "3.1.4-5", "3.2.2-4", "3.2.2-5", "3.2.2-6", "3.3.1-2", "3.3.1-4"],
  ...["3.3.2-1", "3.3.2-2", "3.3.5-2", "3.6.1-1", "3.8.1-1", "3.8.3-1", "3.8.3-3", "3-8.3-4"],
  ...[
    "3.10.1-1",
    "3.10.3-1",
    "3.10.3-2",
    "3.14.1-1",
    "3.14.4-2",
    "3.14.4-3",
    "4.7.1-1",
    "4.7.1-2",
    "4.7.1-3",
    "4.7.3-1",
  ],
  ...["4.7.3-2", "4.7.3-3", "4.8.0-1", "6.0.0-1", "6.0.0-3"],
].map((number) => `MQTT-${number}`);

const page = await text("docs/mqtt.md");
const reasonsElsewhere = (await text("docs/listeners.md")) + (await text("docs/security.md"));

describe("docs/mqtt.md", () => {
  it("has every key of the section mqtt, with the default that docs/config.md has", async () => {
    const reference = rowsOf(await text("docs/config.md"), "## mqtt", 7);
    const defaults = reference.map(([key, , , standard]) => `${key} ${standard}`);
    assert.ok(defaults.length > 30, `only ${defaults.length} keys found`);
    const limits = rowsOf(page, "## Limits", 5).map(([, key, standard]) => `${key} ${standard}`);
    assert.deepEqual(limits.toSorted(), defaults.toSorted());
  });

  it("has every statement about what a server must refuse, and no other", () => {
    const found = statementsOf(rowsOf(page, "## Refusals of the standard", 4));
    assert.deepEqual([...found].sort(), REFUSALS.toSorted());
    assert.deepEqual(
      REFUSALS.filter((each) => !ALL.includes(each)),
      [],
    );
  });

  it("has a test named after each of the 141 statements, save those of which it says why there is none", async () => {
    const without = statementsOf(rowsOf(page, "## Statements without a test", 2));
    const tests = (await sources("test")).map(withoutComments).join("\n");
    const isNamed = (statement: string) => new RegExp(`${statement}(?!\\d)`).test(tests);
    assert.equal(ALL.length, 141);
    assert.deepEqual(
      ALL.filter((each) => !isNamed(each)),
      ALL.filter((each) => without.has(each)),
    );
    assert.deepEqual(
      [...without].filter((each) => !ALL.includes(each) || REFUSALS.includes(each)),
      [],
    );
  });

  it("leaves out no reason that the source counts, save where another page has it", async () => {
    const counted = await reasons();
    assert.ok(counted.size > 70, `only ${counted.size} reasons found in the source`);
    const known = `${page}${reasonsElsewhere}`.toLowerCase();
    const missing = [...counted].filter(
      (reason) => !known.includes(reason.toLowerCase()) && !/^token /.test(reason),
    );
    assert.deepEqual(missing, []);
  });

  it("names no reason that nothing in the source says", async () => {
    const source = (await sources("src")).map(withoutComments).join("\n");
    const isSaid = (reason: string) => source.includes(`"${reason}"`);
    const rows = [
      ...rowsOf(page, "## Limits", 5).map((row) => row[4] ?? ""),
      ...rowsOf(page, "## Refusals of the standard", 4).map((row) => row[3] ?? ""),
      ...rowsOf(page, "## Refusals of our own", 3).map((row) => row[2] ?? ""),
    ];
    const named = rows
      .flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, reason]) => reason ?? ""))
      .filter((reason) => reason.includes(" ") && !/^(fieldgate|token …)/.test(reason));
    assert.ok(named.length > 60, `only ${named.length} reasons found on the page`);
    const unknown = named.filter(
      (reason) => !isSaid(reason) && !PREFIXES.some((prefix) => isSaid(reason.replace(prefix, ""))),
    );
    assert.deepEqual(unknown, []);
  });
});

/** The statements that the first cells name. */
function statementsOf(rows: readonly string[][]): ReadonlySet<string> {
  const cells = rows.map(([first = ""]) => first).join(" ");
  return new Set([...cells.matchAll(/\[(MQTT-[\d.-]+)\]/g)].map(([, each]) => each as string));
}

/** Before a reason that is said of several things. */
const PREFIXES = [
  /^topic filter /,
  /^will topic /,
  /^topic /,
  /^client id /,
  /^user name /,
  /^will /,
];

/** Calls that count a reason, and functions that return one. */
const COUNTED =
  /(?:closed|dropped|refused?|unexpected|close|broken|break)\((?:[^()"]*, )?"([^"]+)"/g;
const RETURNED = /(?:return|\?|null :) "([^"]*)"/g;
const RETURNING = [
  "client-packet.ts",
  "connect-frame.ts",
  "publish-frame.ts",
  "overdue.ts",
  "arrivals.ts",
];

async function reasons(): Promise<Set<string>> {
  const found = new Set<string>();
  for (const part of ["broker", "access", "mqtt"]) {
    for (const file of await readdir(join(root, "src", part))) {
      const source = withoutComments(await text(`src/${part}/${file}`));
      const matches = [
        ...source.matchAll(COUNTED),
        ...(RETURNING.includes(file) ? source.matchAll(RETURNED) : []),
      ];
      for (const [, reason = ""] of matches) found.add(reason);
    }
  }
  return found;
}

/** The cells of the tables below a heading, those of the head of the table left out. */
function rowsOf(markdown: string, heading: string, columns: number): string[][] {
  const from = markdown.indexOf(`\n${heading}\n`);
  assert.notEqual(from, -1, `no ${heading}`);
  const end = markdown.indexOf("\n## ", from + heading.length);
  return markdown
    .slice(from, end === -1 ? undefined : end)
    .split("\n")
    .filter((line) => line.startsWith("| ") && !line.startsWith("| ---"))
    .slice(1)
    .map((line) => {
      const cells = line.slice(1, -1).split("|");
      assert.equal(cells.length, columns, line);
      return cells.map((cell) => cell.trim());
    });
}

function withoutComments(source: string): string {
  return source.replace(/\/\*\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, "");
}

async function sources(folder: string): Promise<string[]> {
  const files = await readdir(join(root, folder), { recursive: true });
  const wanted = files.filter((file) => file.endsWith(folder === "test" ? ".test.ts" : ".ts"));
  return Promise.all(
    wanted
      .filter((file) => !file.endsWith("mqtt-docs.test.ts"))
      .map((file) => text(join(folder, file))),
  );
}

function text(path: string): Promise<string> {
  return readFile(join(root, path), "utf8");
}
