// The signals of Preact, without Preact. Code outside of this folder's package imports them from here.
export { effect, signal, untracked } from "@preact/signals-core";
