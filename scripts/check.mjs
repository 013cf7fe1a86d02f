/** `npm run check`: format and lint, types, dead code, freshness of the generated documents. All are run; one that fails fails all. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ensureNodeModules, root } from "./node-modules.mjs";

const CHECKS = [
  { name: "format and lint", command: ["biome", "ci", "--error-on-warnings", "--colors=off"] },
  { name: "types", command: ["tsc", "-p", "."] },
  { name: "dead code", command: ["knip", "--no-progress"] },
  { name: "documents", command: ["tsx", "scripts/write-docs.ts", "--check"] },
];

ensureNodeModules();
const results = CHECKS.map(({ name, command: [tool, ...args] }) => {
  const started = performance.now();
  const { status, stdout, stderr, error } = spawnSync(join(root, "node_modules/.bin", tool), args, {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 2 ** 26,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const passed = status === 0;
  if (!passed) console.log(`── ${name}\n${stdout ?? ""}${stderr ?? ""}${error?.message ?? ""}`);
  return { name, passed, seconds: (performance.now() - started) / 1000 };
});
for (const { name, passed, seconds } of results) {
  console.log(
    `${passed ? "pass" : "FAIL"}  ${name.padEnd(16)} ${seconds.toFixed(1).padStart(5)} s`,
  );
}
process.exitCode = results.every(({ passed }) => passed) ? 0 : 1;
