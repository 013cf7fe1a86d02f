/**
 * dist/: src/ and the packages that it uses, in as few files as lazy loading allows. fieldgate.js (bundle-entry.cjs) loads run.cjs for
 * `run` (bundle-run.mjs), and main.mjs for all other commands, which is src/main.ts; what that imports lazily lies in chunks/.
 *
 * What stays outside and is loaded from node_modules:
 * - of classic-level what loads the native part, @serialport/bindings-cpp and koffi: native;
 * - etcd3: reads its .proto files from its own folder.
 * So dist/ runs in the checkout, or wherever these packages are installed beside or above it.
 */
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { isBuiltin } from "node:module";
import { join } from "node:path";
import { bundleRun } from "./bundle-run.mjs";
import { fail, root } from "./node-modules.mjs";

/** What stays outside the bundle, with what it needs itself. */
export const EXTERNAL = ["classic-level", "@serialport/bindings-cpp", "koffi", "etcd3"];
/** The one file of classic-level that must lie beside its prebuilds; the rest of it starts quicker from the bundle. */
const LEVEL_BINDING = "classic-level/binding.js";
const DIST = join(root, "dist");
const STAMP = join(DIST, "built-from");
const ENTRY = join(import.meta.dirname, "bundle-entry.cjs");

/** The program: `node ${program} run --config FILE`. */
export const program = join(DIST, "fieldgate.js");

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
  const shared = options(await writtenSchema(build));
  await Promise.all([
    build({ ...shared, ...COMMANDS, plugins: [runElsewhere, ...shared.plugins] }),
    bundleRun(build, shared),
  ]).catch(() => fail("dist/fieldgate.js could not be built"));
  copyFileSync(ENTRY, program);
  chmodSync(program, 0o755);
  // The modules are called .mjs.
  writeFileSync(join(DIST, "package.json"), '{ "type": "commonjs" }\n');
  writeFileSync(STAMP, hash);
  return true;
}

/** What all commands but `run` are made as. */
const COMMANDS = {
  entryPoints: { main: join(root, "src/main.ts") },
  outExtension: { ".js": ".mjs" },
  chunkNames: "chunks/[name]-[hash]",
  format: "esm",
  // Each `await import()` becomes a chunk that is read when it is reached: a command loads only what it needs.
  splitting: true,
  // CommonJS packages call require() for what Node brings and for what stays outside.
  banner: {
    js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
  },
};

function options(schema) {
  return {
    outdir: DIST,
    absWorkingDir: root,
    bundle: true,
    platform: "node",
    target: "node20",
    external: [...EXTERNAL.filter((name) => name !== "classic-level"), LEVEL_BINDING],
    plugins: [levelBinding, schema, namedExports],
    // Names stay as they are, for stack traces and profiles. (keepNames would wrap every function, hot ones too.)
    minifySyntax: true,
    minifyWhitespace: true,
    sourcemap: "linked",
    sourcesContent: false,
    logLevel: "warning",
  };
}

/** The schema is the same at each start, so it is made now; what it is made with, and the time, are saved. */
async function writtenSchema(build) {
  const path = join(root, "src/config/schema.ts");
  const entry = { entryPoints: [path], bundle: true, format: "esm", write: false };
  const { outputFiles } = await build(entry);
  const url = `data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`;
  const { configShape } = await import(url);
  const contents = `export const configShape = JSON.parse(${JSON.stringify(JSON.stringify(configShape))});`;
  return {
    name: "written-schema",
    setup({ onLoad }) {
      onLoad({ filter: /\/src\/config\/schema\.ts$/ }, () => ({ contents }));
    },
  };
}

/** fieldgate.js takes run.cjs for it. */
const runElsewhere = {
  name: "run-elsewhere",
  setup({ onLoad }) {
    onLoad({ filter: /\/src\/cli\/run-gateway\.ts$/ }, () => ({
      contents: 'throw new Error("fieldgate run is in run.cjs")',
    }));
  },
};

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
  const scripts = ["bundle.mjs", "bundle-run.mjs", "bundle-entry.cjs"].map((name) =>
    join(import.meta.dirname, name),
  );
  for (const file of [...sources, ...others, ...scripts]) {
    hash.update(`${file}\0`).update(readFileSync(file)).update("\0");
  }
  return hash.digest("hex");
}
