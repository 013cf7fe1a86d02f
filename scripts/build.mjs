/** `npm run build`: leaves dist/fieldgate.js. */
import { bundle } from "./bundle.mjs";
import { ensureNodeModules } from "./node-modules.mjs";

ensureNodeModules();
console.log((await bundle()) ? "dist/fieldgate.js: built" : "dist/fieldgate.js: up to date");
