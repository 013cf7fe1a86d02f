/**
 * `npm start`: the demonstration: a gateway on embedded defaults, a simulated field and a stand-in for the cloud.
 * `npm start -- --config FILE`: a gateway on a configuration of one's own. Both end within 5 s of Ctrl-C.
 */
import { bundle, program } from "./bundle.mjs";
import { runNode } from "./child.mjs";
import { ensureNodeModules } from "./node-modules.mjs";

const STOP_MS_MAX = 4000;

ensureNodeModules();
if (await bundle()) console.error("built dist/fieldgate.js");
const options = process.argv.slice(2);
process.exitCode =
  options.length === 0
    ? await runNode(["--import", "tsx", "scripts/demo.ts"], { stopMsMax: STOP_MS_MAX })
    : await runNode([program, "run", ...options], {
        // Where the user stood when he called npm: FILE may be relative to it.
        cwd: process.env["INIT_CWD"] ?? process.cwd(),
        stopMsMax: STOP_MS_MAX,
      });
