// Loads a module of the page, together with the modules that it imports.
import { fileURLToPath } from "node:url";

import { build } from "vite";

/** The code of the modules that were loaded, by path. */
const built = {};
let pages = 0;

/**
 * Returns the exports of a module below `src/`, such as `player/choice.ts`; with `isFresh`, as in a new page. `alias` has
 * other files for imported modules, as in the settings of Vite.
 */
export async function load(path, isFresh = false, alias = []) {
  built[path] ??= bundle(path, alias);
  const code = await built[path];
  pages += isFresh ? 1 : 0;
  const mark = isFresh ? `// page ${pages}\n` : "";
  return import(`data:text/javascript,${encodeURIComponent(mark + code)}`);
}

async function bundle(path, alias) {
  const entry = fileURLToPath(new URL(`../../src/${path}`, import.meta.url));
  const [{ output }] = await build({
    configFile: false,
    logLevel: "silent",
    resolve: { alias },
    build: {
      write: false,
      minify: false,
      lib: { entry, formats: ["es"] },
      rollupOptions: { output: { inlineDynamicImports: true } },
    },
  });
  return output[0].code;
}
