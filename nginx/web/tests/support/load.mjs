// Loads a module of the page, together with the modules that it imports.
import { fileURLToPath } from "node:url";

import { build } from "vite";

/** The code of the modules that were loaded, by path. */
const built = {};
let pages = 0;

/** Returns the exports of a module below `src/`, such as `player/choice.ts`; with `isFresh`, as in a new page. */
export async function load(path, isFresh = false) {
  built[path] ??= bundle(path);
  const code = await built[path];
  pages += isFresh ? 1 : 0;
  const mark = isFresh ? `// page ${pages}\n` : "";
  return import(`data:text/javascript,${encodeURIComponent(mark + code)}`);
}

async function bundle(path) {
  const entry = fileURLToPath(new URL(`../../src/${path}`, import.meta.url));
  const [{ output }] = await build({
    configFile: false,
    logLevel: "silent",
    build: {
      write: false,
      minify: false,
      lib: { entry, formats: ["es"] },
      rollupOptions: { output: { inlineDynamicImports: true } },
    },
  });
  return output[0].code;
}
