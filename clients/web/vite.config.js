// Configures the build of <stream-camera>: `npm run build` in nginx/web writes dist/, which is the content of the npm
// package, and copies the scripts to the page's dist/player/, from where nginx serves them. The packages come from
// nginx/web/node_modules.
import { cpSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const PACKAGES = ["@preact/signals-core", "hls.js"];

/** Writes the licences of the project and of the packages in the bundle. */
function licences() {
  const text = (path) => readFileSync(here(path), "utf8");
  return {
    name: "licences",
    generateBundle() {
      const own = `stream-manager\n\n${text("../../LICENSE")}`;
      const others = PACKAGES.map(
        (name) => `${name}\n\n${text(`../../nginx/web/node_modules/${name}/LICENSE`)}`,
      );
      this.emitFile({
        type: "asset",
        fileName: "LICENSES.txt",
        source: [own, ...others].join("\n\n"),
      });
    },
  };
}

/** Copies the files to the folder that nginx serves. */
function copies() {
  return {
    name: "copies",
    closeBundle: () =>
      cpSync(here("dist"), here("../../nginx/web/dist/player"), { recursive: true }),
  };
}

export default {
  root: here("."),
  // Relative, so that the scripts find each other at any address.
  base: "./",
  build: {
    target: "es2022",
    modulePreload: false,
    rollupOptions: {
      input: here("src/index.ts"),
      preserveEntrySignatures: "strict",
      output: {
        // The entry has the same name in all versions, so browsers check whether it has changed. It only imports the
        // other files, whose names contain a hash of the content.
        entryFileNames: "stream-camera.js",
        chunkFileNames: "[name]-[hash].js",
        manualChunks: (id) => (/node_modules\/hls\.js/.test(id) ? "hls" : undefined),
      },
    },
  },
  esbuild: { legalComments: "none" },
  plugins: [licences(), copies()],
};
