import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { root } from "./node-modules.mjs";

/** What a child started may end a moment after it, as esbuild's service does. */
const LEFTOVERS_MS_MAX = 500;

/**
 * Runs Node with `args` in the foreground until it ends, and everything that it started with it.
 *
 * The child gets a session of its own, so that a Ctrl-C reaches it once, from here, and not also from the terminal and
 * from npm. SIGINT, SIGTERM and SIGHUP are passed on; whatever of its session is left after `stopMsMax` is killed.
 *
 * @returns its exit code; 128 and the number of the signal when one ended it
 */
export async function runNode(args, { cwd = root, env = process.env, stopMsMax }) {
  const child = spawn(process.execPath, args, {
    cwd,
    env,
    detached: true,
    stdio: ["ignore", "inherit", "inherit"],
  });
  let deadline;
  const passOn = (signal) => {
    if (deadline !== undefined) return;
    child.kill(signal);
    deadline = setTimeout(() => {
      console.error(`not ended ${stopMsMax} ms after ${signal}: killed`);
      signalSession(child.pid, "SIGKILL");
    }, stopMsMax);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, passOn);
  const [code, signal] = await once(child, "exit");
  clearTimeout(deadline);
  await endLeftovers(child.pid);
  return code ?? 128 + constants.signals[signal];
}

async function endLeftovers(leader) {
  for (let waitedMs = 0; waitedMs < LEFTOVERS_MS_MAX; waitedMs += 20) {
    if (!signalSession(leader, 0)) return;
    await sleep(20);
  }
  if (signalSession(leader, "SIGKILL")) console.error("it left processes behind: killed");
}

/** Whether there was anyone in the session to receive the signal; 0 only asks. */
function signalSession(leader, signal) {
  try {
    process.kill(-leader, signal);
    return true;
  } catch (error) {
    if (error.code === "ESRCH") return false;
    throw error;
  }
}
