// Chooses which transport is started next.
import type { Reason, TransportName } from "./transport";

/** The transports that have the same connection to the service. If one of them gets nothing, so does the other. */
const SAME_CONNECTION: TransportName[][] = [
  ["webcodecs", "mse"],
  ["hls", "native"],
];

export interface Running {
  /** The transport that plays; undefined while none does. */
  playing: TransportName | undefined;
  /** The transports that have been started and are not visible. */
  started: TransportName[];
  /** Whether the visible picture has stopped. */
  isStalled: boolean;
}

/** Returns the best of these transports that is not in use; undefined if all are in use. */
export function nextOf(
  names: TransportName[],
  { playing, started, isStalled }: Running,
  isPausing: (name: TransportName) => boolean,
): TransportName | undefined {
  const used = [playing, ...started];
  const free = names.filter((name) => !used.includes(name) && !isPausing(name));
  const isSilent = (name: TransportName) =>
    SAME_CONNECTION.some((same) => same.includes(name) && same.some((one) => used.includes(one)));
  const isWaiting = isStalled || started.length > 0;
  // Live pictures cost the service much more than video, so they are the last choice.
  const other = free.find((name) => name !== "mjpeg" && !isSilent(name));
  return isWaiting ? (other ?? free[0]) : free[0];
}

/** Returns whether a transport can have sound. */
export function hasSound(name: TransportName): boolean {
  return name !== "mjpeg";
}

/** Returns why transports that could be used do not play, from the best to the worst. */
export function reasonsAgainst(
  usable: TransportName[],
  current: TransportName | undefined,
  failureOf: (name: TransportName) => Reason | undefined,
): Map<TransportName, Reason> {
  const reasons = new Map<TransportName, Reason>();
  const rank = current ? usable.indexOf(current) : -1;
  for (const [index, name] of usable.entries()) {
    const isWorse = index > rank;
    const other = current && (isWorse ? "not_needed" : "not_ready");
    const reason = failureOf(name) ?? other;
    if (name !== current && reason) {
      reasons.set(name, reason);
    }
  }
  return reasons;
}
