/** `npm run build`: leaves dist/fieldgate.js. */
import { bundle } from "./bundle.mjs";
import { ensureNodeModules, fail } from "./node-modules.mjs";

ensureNodeModules();
try {
  console.log((await bundle()) ? "dist/fieldgate.js: built" : "dist/fieldgate.js: up to date");
} catch (error) {
  fail(`the bundle could not be built: ${error.message}`);
}
