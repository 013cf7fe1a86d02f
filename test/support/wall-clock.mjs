/**
 * Loaded before the program (`node --import`): its wall clock is off by as many milliseconds as the file FIELDGATE_TEST_WALL holds, and
 * is set when the file is written. Its monotonic clock and its timers are the machine's: just as when a time server sets the clock.
 */
import { readFileSync } from "node:fs";

const path = process.env["FIELDGATE_TEST_WALL"] ?? "";
const now = Date.now;
const LOOK_MS = 20;
let offsetMs = Number(readFileSync(path, "utf8"));
Date.now = () => now() + offsetMs;
setInterval(() => {
  const said = readFileSync(path, "utf8");
  if (said !== "") offsetMs = Number(said);
}, LOOK_MS).unref();
