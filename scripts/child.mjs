import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:os";
import { root } from "./node-modules.mjs";

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
      killSession(child.pid);
    }, stopMsMax);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, passOn);
  const [code, signal] = await once(child, "exit");
  clearTimeout(deadline);
  killSession(child.pid);
  return code ?? 128 + constants.signals[signal];
}

function killSession(leader) {
  try {
    process.kill(-leader, "SIGKILL");
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}
