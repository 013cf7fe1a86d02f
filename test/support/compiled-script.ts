import { rmSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";

const ROOT = join(import.meta.dirname, "../..");

/**
 * A script of this directory as one file that a bare node runs: a test that starts it hundreds of times does not compile it each
 * time. @param name without its ending
 */
export function compiledScript(name: string): string {
  const outfile = join(ROOT, `node_modules/.cache/fieldgate-test/${name}-${process.pid}.mjs`);
  buildSync({
    entryPoints: [join(import.meta.dirname, `${name}.ts`)],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
    sourcemap: "inline",
  });
  process.once("exit", () => rmSync(outfile, { force: true }));
  return outfile;
}
