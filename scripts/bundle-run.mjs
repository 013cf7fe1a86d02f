/**
 * dist/run.cjs: `fieldgate run`, and nothing else, as one script. Node loads one script quicker than thirty modules, and of a script the
 * compiled code can be kept under every Node that we support (scripts/bundle-entry.cjs).
 *
 * Packages that a gateway needs late, or never, are scripts of their own in dist/packages/, so that they are not read at each start.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fail, root } from "./node-modules.mjs";

/** What only lazily loaded files import. */
const LATE = ["jose", "mqtt", "prom-client", "serialport", "systeminformation"];

/** @param shared esbuild's options that it has in common with the other commands */
export async function bundleRun(build, { plugins, ...shared }) {
  const common = { ...shared, format: "cjs", outExtension: { ".js": ".cjs" } };
  await Promise.all([
    build({
      ...common,
      entryPoints: Object.fromEntries(LATE.map((name) => [`packages/${name}`, name])),
    }),
    build({
      ...common,
      entryPoints: { run: join(root, "src/main.ts") },
      // Node 20 cannot import from a script whose compiled code was kept (ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING): late packages are required.
      supported: { "dynamic-import": false },
      // A script has no URL; createRequire takes its path as well.
      define: { "import.meta.url": "__filename" },
      plugins: [runOnly, lateOnes, streamsOfNode, ...plugins],
      // The function that Node makes of a CommonJS module, in the file itself: what is compiled is the file as it lies there.
      banner: { js: "(function (require, module, exports, __filename) {" },
      footer: { js: "})" },
    }),
  ]);
  // It is read as such, which is quicker.
  const isAscii = readFileSync(join(shared.outdir, "run.cjs")).every((byte) => byte < 0x80);
  if (!isAscii) fail("dist/run.cjs is not plain ASCII");
}

/** The other commands are in main.mjs: this script is asked for nothing but `run`. */
const runOnly = {
  name: "run-only",
  setup({ onLoad, onResolve }) {
    onResolve({ filter: /^\.\// }, ({ path, kind, importer }) => {
      const isOther = importer.endsWith("/src/cli/catalogue.ts") && path !== "./run.ts";
      return kind === "dynamic-import" && isOther ? { path, namespace: "elsewhere" } : undefined;
    });
    onLoad({ filter: /./, namespace: "elsewhere" }, ({ path }) => ({
      contents: `throw new Error("${path} is not in run.cjs")`,
    }));
  },
};

/** After named-exports: what is imported lazily comes here again, as a static import of what that plugin made. */
const lateOnes = {
  name: "late-ones",
  setup({ onResolve }) {
    onResolve({ filter: new RegExp(`^(?:${LATE.join("|")})$`) }, ({ path, kind }) =>
      kind === "dynamic-import" ? undefined : { path: `./packages/${path}.cjs`, external: true },
    );
  },
};

/** readable-stream is a copy of Node's streams for other platforms; bl, which mqtt-packet has, takes either. */
const streamsOfNode = {
  name: "streams-of-node",
  setup({ onResolve }) {
    onResolve({ filter: /^readable-stream$/ }, () => ({ path: "node:stream", external: true }));
  },
};
