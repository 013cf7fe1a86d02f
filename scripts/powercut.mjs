/**
 * `npm run powercut -- [OPTIONS]`: cuts the power of a gateway under load, again and again, and checks that what it had
 * acknowledged is there. docs/durability.md says how, and what it shows.
 *
 *   --cuts N            how many (30)
 *   --seed S            chooses the moments and what the disk keeps; printed at the end
 *   --size N            messages of each publisher between two starts of the broker (120)
 *   --broker NAME       fieldgate, or for comparison mosquitto or mosquitto-autosave
 *   --durability NAME   of fieldgate: local or fast
 *   --liar              a disk that answers flushes and does not flush
 *   --keep              leaves images and logs behind and says where
 *   -v                  a line for each cut
 *
 * Exit codes: 0 all survived, 1 something was lost, 77 skipped: it says why. Runs as root on Linux only.
 */
import { bundle } from "./bundle.mjs";
import { runNode } from "./child.mjs";
import { ensureDebianPackages, wishForDebianPackages } from "./debian-packages.mjs";
import { ensureNodeModules } from "./node-modules.mjs";
import { POWERCUT_NEEDS } from "./powercut-needs.mjs";

const STOP_MS_MAX = 20_000;
const SKIPPED = 77;

if (process.getuid?.() === 0) {
  ensureNodeModules();
  const options = process.argv.slice(2);
  const wantsMosquitto = options.some((option) => option.includes("mosquitto"));
  // What is missing after that, main.ts says.
  wishForDebianPackages(POWERCUT_NEEDS);
  if (wantsMosquitto) ensureDebianPackages({ mosquitto: "mosquitto" });
  await bundle();
  const argv = ["--import", "tsx", "test/powercut/main.ts", ...options];
  process.exitCode = await runNode(argv, { stopMsMax: STOP_MS_MAX });
} else {
  console.log("skipped: root is needed, to mount file systems");
  process.exitCode = SKIPPED;
}
