/// <reference types="vite/client" />

// The light build of hls.js supports low latency and muxed audio, but no captions and no DRM. The light
// build has the types of the full build.
declare module "hls.js/dist/hls.light.min.mjs" {
  export * from "hls.js";
  export { default } from "hls.js";
}

// The full build also has the player of keyframes.
declare module "hls.js/dist/hls.min.mjs" {
  export * from "hls.js";
  export { default } from "hls.js";
}
