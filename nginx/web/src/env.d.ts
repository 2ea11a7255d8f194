/// <reference types="vite/client" />

// The light build of hls.js has what a camera needs (low latency, sound within the same file) and
// no captions, no DRM; its types are the whole build's.
declare module "hls.js/dist/hls.light.min.mjs" {
  export * from "hls.js";
  export { default } from "hls.js";
}
