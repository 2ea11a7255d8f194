// How the page is built: `npm ci && npm run build` writes dist/, which nginx serves.
//
// Vite 6 and not a newer one because it runs with Node.js 18, which Debian 12 has; package.json puts
// the WebAssembly build of Rollup in its place, the same file for every machine.
import { defineConfig } from "vite";

export default defineConfig({
  // The page may be served below another path.
  base: "./",
  build: {
    target: "es2022",
    // Names hold a hash of the content, so that browsers may keep all but index.html for ever.
    assetsDir: "assets",
    // The Content-Security-Policy allows no data: URLs for scripts and styles.
    assetsInlineLimit: 0,
    // A helper for browsers that are too old for the page anyway; it would be inline.
    modulePreload: { polyfill: false },
    rollupOptions: {
      output: {
        // hls.js changes rarely, so that browsers keep it over updates of the page.
        manualChunks: (id) => (/node_modules\/hls\.js/.test(id) ? "hls" : undefined),
      },
    },
  },
  esbuild: { legalComments: "none" },
});
