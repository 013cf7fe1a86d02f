/**
 * Runs test files through node:test: two at a time, then those of test/e2e that measure time, or load the machine, one by one: they want
 * it for themselves. One report, and one set of totals at its end, covers both. What was skipped is named there, with why,
 * and which files took longest.
 */
import { relative } from "node:path";
import { Readable } from "node:stream";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { root } from "./node-modules.mjs";

const CONCURRENCY = 2;
/** Of test/e2e those that wait until they see what they want to see: another beside them makes them slower, and nothing else. */
const PATIENT = [
  "access",
  "bundle",
  "command-line",
  "commands",
  "compiled-code",
  "config-trial",
  "device-boards",
  "device-commands",
  "disk-full",
  "field-guide",
  "help-examples",
  "json",
  "late-address",
  "lines",
  "mqtt-sensors",
  "secrets",
  "shared-device",
  "site-bad-input",
  "technician",
].map((name) => `test/e2e/${name}.test.ts`);
/** These take longest. One that began last would have the second place empty beside it. */
const FIRST = ["uplink/rabbitmq", "service/package", "service/package-install", "service/systemd"];
const LONGEST_SHOWN = 10;
/** A file that is not through by then hangs: it is stopped and fails. */
const FILE_TIMEOUT_MS = (process.env["FIELDGATE_TEST_LONG"] ? 60 : 10) * 60_000;
const TOTAL = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) ([\d.]+)$/;

const files = process.argv.slice(2);
const alone = files.filter((file) => file.startsWith("test/e2e/") && !PATIENT.includes(file));
const together = files.filter((file) => !alone.includes(file));
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => stop.abort());

Readable.from(events()).pipe(new spec()).pipe(process.stdout);

async function* events() {
  const seen = { totals: new Map(), skipped: [], fileMs: new Map() };
  yield* phase(longestFirst(together), CONCURRENCY, seen);
  yield* phase(alone, 1, seen);
  const longest = [...seen.fileMs].toSorted(([, a], [, b]) => b - a).slice(0, LONGEST_SHOWN);
  const messages = [
    ...seen.skipped,
    ...longest.map(([file, ms]) => `took ${(ms / 1000).toFixed(1)} s: ${relative(root, file)}`),
    ...[...seen.totals].map(([name, value]) => `${name} ${value}`),
  ];
  for (const message of messages) yield { type: "test:diagnostic", data: { nesting: 0, message } };
}

/** What takes longest comes first, the rest in the order of their names. */
function longestFirst(names) {
  const first = FIRST.map((name) => `test/${name}.test.ts`).filter((name) => names.includes(name));
  return [...first, ...names.filter((name) => !first.includes(name))];
}

/** The events of one run, but its totals, which are added to those seen. */
async function* phase(names, concurrency, seen) {
  if (names.length === 0 || stop.signal.aborted) return;
  const options = { files: names, concurrency, timeout: FILE_TIMEOUT_MS, signal: stop.signal };
  for await (const event of run(options)) {
    const total = event.type === "test:diagnostic" ? TOTAL.exec(event.data.message) : null;
    if (total !== null && event.data.nesting === 0) add(seen.totals, total[1], Number(total[2]));
    else {
      if (event.type === "test:pass" || event.type === "test:fail") note(event, seen);
      yield event;
    }
  }
}

/** What failed, what was skipped, how long its file takes. */
function note({ type, data: { name, skip, file, nesting, details } }, { skipped, fileMs }) {
  if (type === "test:fail") process.exitCode = 1;
  else if (skip !== undefined) skipped.push(`SKIPPED ${name}: ${skip}`);
  if (nesting === 0) add(fileMs, file, details.duration_ms);
}

function add(sums, name, value) {
  sums.set(name, (sums.get(name) ?? 0) + value);
}
