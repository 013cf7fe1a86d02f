/** What makes files a Debian package: its place in the system, its documents, its control files. */
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { gzipSync } from "node:zlib";
import { program } from "./bundle.mjs";
import { root } from "./node-modules.mjs";
import { run } from "./package-registry.mjs";
import { closure } from "./package-tree.mjs";

const DEBIAN = join(root, "deploy/debian");
/** Whoever builds for others names himself, as Debian's own tools have it. */
const { DEBFULLNAME = "fieldgate project", DEBEMAIL = "fieldgate@packages.invalid" } = process.env;
const MAINTAINER = `${DEBFULLNAME} <${DEBEMAIL}>`;
/** Where Node is not inside: the floor that the tests run under. */
const SYSTEM_NODE = ", nodejs (>= 20.15)";
const SCRIPTS = ["postinst", "prerm", "postrm"];
const COMPLETIONS = {
  bash: "usr/share/bash-completion/completions/fieldgate",
  zsh: "usr/share/zsh/vendor-completions/_fieldgate",
  fish: "usr/share/fish/vendor_completions.d/fieldgate.fish",
};

/** All outside /usr/lib/fieldgate. @param stamp seconds since 1970, of the changelog's entry */
export function laySystem(tree, machine, { version, stamp }) {
  const node = machine.node === null ? "/usr/bin/node" : "/usr/lib/fieldgate/bin/node";
  const wrapper = readFileSync(join(DEBIAN, "wrapper"), "utf8").replace("@NODE@", node);
  put(tree, "usr/bin/fieldgate", wrapper, 0o755);
  put(tree, "usr/lib/fieldgate/warm-up", readFileSync(join(DEBIAN, "warm-up")), 0o755);
  put(tree, "etc/fieldgate/fieldgate.yaml", readFileSync(join(DEBIAN, "fieldgate.yaml")));
  for (const name of readdirSync(join(root, "systemd"))) {
    put(tree, `usr/lib/systemd/system/${name}`, readFileSync(join(root, "systemd", name)));
  }
  for (const [shell, place] of Object.entries(COMPLETIONS)) {
    put(tree, place, run(process.execPath, [program, "completion", shell]));
  }
  put(tree, "usr/share/man/man1/fieldgate.1.gz", zipped(manual(version, stamp)));
  put(
    tree,
    "usr/share/lintian/overrides/fieldgate",
    readFileSync(join(DEBIAN, "lintian-overrides")),
  );
  layDocuments(tree, version, stamp);
}

/** DEBIAN/: who needs what, the scripts, what is configuration, sums. */
export function layControl(tree, name, { depends, node }, version) {
  const files = filesBelow(tree).filter((path) => !path.startsWith("DEBIAN/"));
  const bytes = files.reduce((sum, path) => sum + lstatSync(join(tree, path)).size, 0);
  const fields = {
    Package: "fieldgate",
    Version: version,
    Architecture: name,
    Maintainer: MAINTAINER,
    "Installed-Size": String(Math.ceil(bytes / 1024)),
    Depends: `adduser, init-system-helpers (>= 1.54), ${depends}${node === null ? SYSTEM_NODE : ""}`,
    Recommends: "systemd",
    Section: "net",
    Priority: "optional",
    Description: [
      "MQTT broker for gateways at the edge",
      " What it has acknowledged is on disk. Messages of sensors, over MQTT and over",
      " serial lines, are kept in a journal and carried to a broker in the cloud, once.",
      " A command line tells a technician what is wrong and why.",
    ].join("\n"),
  };
  const lines = Object.entries(fields).map(([key, value]) => `${key}: ${value}\n`);
  put(tree, "DEBIAN/control", lines.join(""));
  put(tree, "DEBIAN/conffiles", "/etc/fieldgate/fieldgate.yaml\n");
  const sums = files
    .filter((path) => !path.startsWith("etc/"))
    .map((path) => `${md5(join(tree, path))}  ${path}\n`);
  put(tree, "DEBIAN/md5sums", sums.join(""));
  for (const script of SCRIPTS) {
    put(tree, `DEBIAN/${script}`, readFileSync(join(DEBIAN, script)), 0o755);
  }
  return bytes;
}

/** Modes as they are to be installed, whatever the umask of who builds. */
export function setModes(tree) {
  for (const entry of readdirSync(tree, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const isProgram = entry.isDirectory() || (lstatSync(path).mode & 0o100) !== 0;
    const isAddon = entry.name.endsWith(".node");
    chmodSync(path, isProgram && !isAddon ? 0o755 : 0o644);
  }
  chmodSync(tree, 0o755);
}

function layDocuments(tree, version, stamp) {
  const place = "usr/share/doc/fieldgate";
  for (const name of readdirSync(join(root, "docs")).filter((file) => file.endsWith(".md"))) {
    put(tree, `${place}/${name}`, readFileSync(join(root, "docs", name)));
  }
  for (const name of ["fieldgate.example.yaml", "fieldgate.schema.json"]) {
    put(tree, `${place}/examples/${name}`, readFileSync(join(root, "deploy", name)));
  }
  const entry = `fieldgate (${version}) stable; urgency=medium\n\n  * What has changed: NEWS.md beside this file.\n\n -- ${MAINTAINER}  ${rfc2822(stamp)}\n`;
  put(tree, `${place}/changelog.gz`, zipped(entry));
  put(tree, `${place}/NEWS.md`, readFileSync(join(root, "CHANGELOG.md")));
  put(tree, `${place}/copyright`, copyright());
}

/** The licence of each package in the bundle or beside it, and of Node. */
function copyright() {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const others = closure(lock, Object.keys(dependencies)).map((path) => {
    const { version, license } = lock[path];
    return `${path.slice(path.lastIndexOf("node_modules/") + 13)} ${version}: ${license}\n${licenceText(path)}`;
  });
  const head =
    "fieldgate is licensed under the Apache License, Version 2.0: /usr/share/common-licenses/Apache-2.0\n" +
    "Copyright: the authors of fieldgate\n\n" +
    "It brings Node.js (https://nodejs.org, MIT and the licences of what it contains: `node -p process.versions`)\n" +
    "and these packages of npm:\n";
  return [head, ...others].join("\n");
}

function licenceText(path) {
  const names = existsSync(join(root, path)) ? readdirSync(join(root, path)) : [];
  const name = names.find((file) => /^licen[cs]e/i.test(file));
  if (name === undefined) return "";
  const text = readFileSync(join(root, path, name), "utf8");
  return /Apache License\s+Version 2\.0/.test(text)
    ? "/usr/share/common-licenses/Apache-2.0\n"
    : text;
}

/** What `fieldgate --help` says, as a manual page. */
function manual(version, stamp) {
  const help = run(process.execPath, [program, "--help"]);
  const text = help
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll(/^([.'])/gm, "\\&$1");
  const day = new Date(stamp * 1000).toISOString().slice(0, 10);
  return `.TH FIELDGATE 1 ${day} "fieldgate ${version}"
.SH NAME
fieldgate \\- MQTT broker for gateways at the edge
.SH SYNOPSIS
.B fieldgate
COMMAND [ARGUMENTS] [\\-\\-config FILE] [\\-\\-socket PATH] [\\-\\-json]
.SH DESCRIPTION
.nf
${text}.fi
.SH FILES
/etc/fieldgate/fieldgate.yaml, /etc/fieldgate/secrets/, /var/lib/fieldgate/, /run/fieldgate/control.sock
.SH SEE ALSO
/usr/share/doc/fieldgate/field\\-guide.md, /usr/share/doc/fieldgate/service.md
`;
}

function put(tree, place, content, mode = 0o644) {
  const path = join(tree, place);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  chmodSync(path, mode);
}

function filesBelow(tree) {
  return readdirSync(tree, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(tree, join(entry.parentPath, entry.name)))
    .sort();
}

function zipped(text) {
  return gzipSync(text, { level: 9 });
}

function md5(path) {
  return createHash("md5").update(readFileSync(path)).digest("hex");
}

function rfc2822(stamp) {
  return new Date(stamp * 1000).toUTCString().replace("GMT", "+0000");
}
