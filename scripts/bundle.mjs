/**
 * dist/: src/ and the packages that it uses, in as few files as lazy loading allows. fieldgate.js loads main.js, which is
 * src/main.ts; what that imports lazily lies in chunks/.
 *
 * What stays outside and is loaded from node_modules:
 * - of classic-level what loads the native part, @serialport/bindings-cpp and koffi: native;
 * - etcd3: reads its .proto files from its own folder.
 * So dist/ runs in the checkout, or wherever these packages are installed beside or above it.
 */
import { createHash } from "node:crypto";
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { join } from "node:path";
import { fail, root } from "./node-modules.mjs";

/** What stays outside the bundle, with what it needs itself. */
export const EXTERNAL = ["classic-level", "@serialport/bindings-cpp", "koffi", "etcd3"];
/** The one file of classic-level that must lie beside its prebuilds; the rest of it starts quicker from the bundle. */
const LEVEL_BINDING = "classic-level/binding.js";
const DIST = join(root, "dist");
const STAMP = join(DIST, "built-from");

/** The program: `node ${program} run --config FILE`. */
export const program = join(DIST, "fieldgate.js");

/**
 * Node 22 and later keep compiled code between runs: 10 to 20 % less time until the broker is loaded. The cache lies beside the code
 * and not, as by default, in /tmp, where another user could put code of his own into it. Where dist/ cannot be
 * written, nothing is kept.
 *
 * The heap is kept small: a young generation grows to 32 MiB by default and keeps them, which can be said on the command line only; and an old
 * one is collected when it has grown by two fifths, not fourfold. Said before main.js, because compiled code is kept for the flags it was made with.
 */
const ENTRY = `#!/usr/bin/env -S node --max-semi-space-size=2
import * as module from "node:module";
import { setFlagsFromString } from "node:v8";
setFlagsFromString("--heap-growing-percent=40");
module.enableCompileCache?.(new URL("compile-cache", import.meta.url).pathname);
await import("./main.js");
`;

/**
 * Builds when what is built from has changed: src/, package.json, the lock, this file. Needs node_modules. Ends the
 * process when it cannot: esbuild has printed why.
 * @returns whether it built
 */
export async function bundle() {
  const hash = hashOfInputs();
  if (existsSync(STAMP) && readFileSync(STAMP, "utf8") === hash && existsSync(program)) {
    return false;
  }
  rmSync(DIST, { recursive: true, force: true });
  const { build } = await import("esbuild");
  await build(options()).catch(() => fail("dist/fieldgate.js could not be built"));
  writeFileSync(program, ENTRY);
  chmodSync(program, 0o755);
  writeFileSync(STAMP, hash);
  return true;
}

function options() {
  return {
    entryPoints: { main: join(root, "src/main.ts") },
    outdir: DIST,
    chunkNames: "chunks/[name]-[hash]",
    absWorkingDir: root,
    bundle: true,
    format: "esm",
    // Each `await import()` becomes a chunk that is read when it is reached: a command loads only what it needs.
    splitting: true,
    platform: "node",
    target: "node20",
    external: [...EXTERNAL.filter((name) => name !== "classic-level"), LEVEL_BINDING],
    plugins: [levelBinding, namedExports],
    // CommonJS packages call require() for what Node brings and for what stays outside.
    banner: {
      js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
    },
    // Names stay as they are, for stack traces and profiles. (keepNames would wrap every function, hot ones too.)
    minifySyntax: true,
    minifyWhitespace: true,
    sourcemap: "linked",
    sourcesContent: false,
    logLevel: "warning",
  };
}

const levelBinding = {
  name: "level-binding",
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/binding$/ }, ({ importer }) =>
      importer.includes("/classic-level/") ? { path: LEVEL_BINDING, external: true } : undefined,
    );
  },
};

/**
 * `const { SerialPort } = await import("serialport")` works in Node and in tsx, which find the names that a CommonJS package
 * exports; esbuild gives a lazily imported one nothing but `default`. So the names are spelt out for it.
 */
const namedExports = {
  name: "named-exports",
  setup({ onLoad, onResolve }) {
    onResolve({ filter: /^[^./]/ }, ({ path, kind, importer, resolveDir }) => {
      const ours = importer.startsWith(join(root, "src"));
      if (kind !== "dynamic-import" || !ours || isBuiltin(path) || EXTERNAL.includes(path)) return;
      return { path, namespace: "lazy", pluginData: resolveDir };
    });
    onLoad({ filter: /./, namespace: "lazy" }, async ({ path, pluginData }) => {
      const names = Object.keys(await import(path)).filter((name) => /^\w+$/.test(name));
      const contents = `export { ${names.join(", ")} } from ${JSON.stringify(path)};`;
      return { contents, resolveDir: pluginData };
    });
  },
};

function hashOfInputs() {
  const hash = createHash("sha256");
  const sources = readdirSync(join(root, "src"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const others = ["package.json", "package-lock.json"].map((name) => join(root, name));
  for (const file of [...sources, ...others, import.meta.filename]) {
    hash.update(`${file}\0`).update(readFileSync(file)).update("\0");
  }
  return hash.digest("hex");
}
