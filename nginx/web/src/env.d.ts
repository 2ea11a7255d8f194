/// <reference types="vite/client" />

// The light build of hls.js has low latency and audio in the same file, but no captions and no DRM. Its
// types are those of the full build.
declare module "hls.js/dist/hls.light.min.mjs" {
  export * from "hls.js";
  export { default } from "hls.js";
}
