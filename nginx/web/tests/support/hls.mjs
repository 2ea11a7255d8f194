// Replaces the module hls.js. See recorded.mjs.
export default globalThis.Hls;
