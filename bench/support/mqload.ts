import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

/** What a run of the load generator tells: rates a second, latencies in microseconds. */
export interface Load {
  readonly sent_s: number;
  readonly acked_s: number;
  readonly recv_s: number;
  readonly missing: number;
  readonly p50_us: number;
  readonly p99_us: number;
  readonly p999_us: number;
}

const CACHE = "node_modules/.cache/fieldgate";

/** Runs bench/mqload.c with these arguments; compiled once. */
export async function mqload(...argv: readonly (string | number)[]): Promise<Load> {
  const { stdout } = await promisify(execFile)(compiled(), argv.map(String));
  return JSON.parse(stdout);
}

function compiled(): string {
  const program = join(CACHE, "mqload");
  const source = "bench/mqload.c";
  if (!existsSync(program) || statSync(program).mtimeMs < statSync(source).mtimeMs) {
    mkdirSync(CACHE, { recursive: true });
    execFileSync("gcc", ["-O2", "-o", program, source]);
  }
  return program;
}
