#!/usr/bin/env -S node --max-semi-space-size=2
"use strict";
/*
 * dist/fieldgate.js. `run` is one script, run.cjs, whose compiled code is kept after the first start; all other commands are main.mjs
 * and its chunks, whose compiled code Node 22 and later keep. It lies beside the code, in compile-cache/, and not in /tmp, where another user could put
 * code of his own into it; where dist/ cannot be written, nothing is kept.
 *
 * The heap is kept small: a young generation grows to 32 MiB by default and keeps them, which can be said on the command line only.
 */
const { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } = require("node:fs");
const { createRequire, enableCompileCache } = require("node:module");
const { join } = require("node:path");
const { parseArgs } = require("node:util");

const KEPT = join(__dirname, "compile-cache");
/** Until then a gateway has gone through its start, and has something else to do than to wait for this. */
const KEEP_AFTER_MS = 3000;

const { positionals } = parseArgs({
  args: process.argv.slice(2),
  allowPositionals: true,
  strict: false,
  options: { config: { type: "string", short: "c" }, socket: { type: "string" } },
});
if (positionals[0] === "run") {
  run(join(__dirname, "run.cjs"));
} else {
  enableCompileCache?.(KEPT);
  void import("./main.mjs");
}

function run(path) {
  const { cachedDataVersionTag, setFlagsFromString } = require("node:v8");
  const { Script, constants } = require("node:vm");
  // The old generation is collected when it has grown by two fifths, not fourfold. Said first: compiled code is for the flags it was made with.
  setFlagsFromString("--heap-growing-percent=40");
  const text = readFileSync(path);
  const kept = { path: join(KEPT, `run-${process.arch}-${cachedDataVersionTag()}`), of: sum(text) };
  const cachedData = compiled(kept);
  const script = new Script(text.latin1Slice(), {
    filename: path,
    cachedData,
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  if (cachedData === undefined || script.cachedDataRejected) {
    setTimeout(() => keep(kept, script), KEEP_AFTER_MS).unref();
  }
  const exports = {};
  script.runInThisContext()(createRequire(path), { exports }, exports, path);
}

/** What `keep` has written there, of that very text; nothing when it is not there or damaged: V8 looks at the length of the text, and no further. */
function compiled({ path, of }) {
  try {
    const bytes = readFileSync(path);
    const code = bytes.subarray(8);
    return bytes.readUInt32LE(0) === of && bytes.readUInt32LE(4) === sum(code) ? code : undefined;
  } catch {
    return undefined;
  }
}

/** A file appears whole or not at all. That it cannot be written is no fault: the next start takes longer, no more. */
function keep({ path, of }, script) {
  const part = `${path}.${process.pid}`;
  try {
    if (!existsSync(KEPT)) mkdirSync(KEPT);
    writeFileSync(part, "");
    const code = script.createCachedData();
    const head = Buffer.alloc(8);
    head.writeUInt32LE(of, 0);
    head.writeUInt32LE(sum(code), 4);
    writeFileSync(part, Buffer.concat([head, code]));
    renameSync(part, path);
  } catch {}
}

function sum(bytes) {
  return require("node:zlib").crc32(bytes);
}
