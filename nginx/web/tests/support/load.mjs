// Loads a module of the page, together with the modules that it imports.
import { fileURLToPath } from "node:url";

import { build } from "vite";

/** Returns the exports of a module below `src/`, such as `player/choice.ts`. */
export async function load(path) {
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
  return import(`data:text/javascript,${encodeURIComponent(output[0].code)}`);
}
