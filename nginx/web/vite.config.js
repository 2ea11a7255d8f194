// Configures the build of the page: `npm ci && npm run build` writes dist/, which nginx serves.
//
// The version is Vite 6, because newer versions do not run with Node.js 18 of Debian 12. package.json
// replaces Rollup with Rollup's WebAssembly build, which is the same for every machine.
import { defineConfig } from "vite";

export default defineConfig({
  // Relative, so that the page finds its files at any path of a server.
  base: "./",
  build: {
    target: "es2022",
    // Except for index.html, file names contain a hash of the content, so that browsers can cache these files
    // forever.
    assetsDir: "assets",
    // The Content-Security-Policy does not allow data: URLs for scripts and styles.
    assetsInlineLimit: 0,
    // Without this option, Vite adds a polyfill for browsers that are too old for the page anyway.
    modulePreload: { polyfill: false },
    rollupOptions: {
      output: {
        // hls.js changes rarely, so browsers can cache it across updates of the page. Only the view of recordings loads
        // the full build.
        manualChunks: (id) => {
          if (!/node_modules\/hls\.js/.test(id)) {
            return;
          }
          return id.includes("hls.light") ? "hls" : "hls-full";
        },
      },
    },
  },
  esbuild: { legalComments: "none" },
});
