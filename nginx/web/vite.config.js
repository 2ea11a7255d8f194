// The build of the page: `npm ci && npm run build` writes dist/, which nginx serves.
//
// Vite 6, since newer versions do not run with Node.js 18 of Debian 12. package.json replaces Rollup with
// its WebAssembly build, which is the same for every machine.
import { defineConfig } from "vite";

export default defineConfig({
  // The page can be served below another path.
  base: "./",
  build: {
    target: "es2022",
    // File names contain a hash of the content, so that browsers can cache all but index.html for ever.
    assetsDir: "assets",
    // The Content-Security-Policy does not allow data: URLs for scripts and styles.
    assetsInlineLimit: 0,
    // It would be inline, and only browsers that are too old for the page need it.
    modulePreload: { polyfill: false },
    rollupOptions: {
      output: {
        // hls.js changes rarely, so browsers can cache it across updates of the page.
        manualChunks: (id) => (/node_modules\/hls\.js/.test(id) ? "hls" : undefined),
      },
    },
  },
  esbuild: { legalComments: "none" },
});
