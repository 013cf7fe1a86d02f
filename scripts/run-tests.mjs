/**
 * Runs test files through node:test: two at a time, then those of test/e2e one by one, because they measure time and want
 * the machine for themselves. One report, and one set of totals at its end, covers both. What was skipped is named there, with why.
 */
import { Readable } from "node:stream";
import { run } from "node:test";
import { spec } from "node:test/reporters";

const CONCURRENCY = 2;
/** A file that is not through by then hangs: it is stopped and fails. */
const FILE_TIMEOUT_MS = (process.env["FIELDGATE_TEST_LONG"] ? 60 : 10) * 60_000;
const TOTAL = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) ([\d.]+)$/;

const files = process.argv.slice(2);
const alone = files.filter((file) => file.startsWith("test/e2e/"));
const together = files.filter((file) => !alone.includes(file));
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => stop.abort());

Readable.from(events()).pipe(new spec()).pipe(process.stdout);

async function* events() {
  const totals = new Map();
  const skipped = [];
  yield* phase(together, CONCURRENCY, totals, skipped);
  yield* phase(alone, 1, totals, skipped);
  for (const message of skipped) yield { type: "test:diagnostic", data: { nesting: 0, message } };
  for (const [name, value] of totals) {
    yield { type: "test:diagnostic", data: { nesting: 0, message: `${name} ${value}` } };
  }
}

/** The events of one run; its totals are added to `totals` instead, and what it skips is noted. */
async function* phase(names, concurrency, totals, skipped) {
  if (names.length === 0 || stop.signal.aborted) return;
  const options = { files: names, concurrency, timeout: FILE_TIMEOUT_MS, signal: stop.signal };
  for await (const event of run(options)) {
    const total = event.type === "test:diagnostic" ? TOTAL.exec(event.data.message) : null;
    if (total !== null && event.data.nesting === 0) {
      totals.set(total[1], (totals.get(total[1]) ?? 0) + Number(total[2]));
    } else {
      if (event.type === "test:fail") process.exitCode = 1;
      const { skip, name } = event.data;
      if (event.type === "test:pass" && skip !== undefined)
        skipped.push(`SKIPPED ${name}: ${skip}`);
      yield event;
    }
  }
}
