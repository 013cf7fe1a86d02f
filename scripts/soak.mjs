/**
 * `npm run soak -- [OPTIONS]`: the real program under a steady load, with a bad line to the cloud, for long. At the end everything
 * acknowledged is in the cloud and at a part-time subscriber, in order, the books balance, and memory has not grown.
 *
 *   --minutes N   how long (10)
 *   --seed S      chooses the faults; printed at the end
 *   --rate N      QoS 1 messages a second (600)
 *   --kills       kills and stops the gateway too; its memory is not judged then
 *
 * Exit codes: 0 all well, 1 something was lost, out of order, or grew.
 */
import { bundle } from "./bundle.mjs";
import { runNode } from "./child.mjs";
import { ensureDebianPackages } from "./debian-packages.mjs";
import { ensureNodeModules } from "./node-modules.mjs";

ensureNodeModules();
ensureDebianPackages({ mosquitto: "mosquitto" });
await bundle();
const argv = ["--import", "tsx", "test/soak/main.ts", ...process.argv.slice(2)];
process.exitCode = await runNode(argv, { stopMsMax: 5000 });
