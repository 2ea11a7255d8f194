// Follows changes outside of a player that a playing transport needs to know.
import type { Host } from "./host";

/** Connections are replaced within this share of the lifetime of a new permission. */
const RENEW_SPREAD = 0.2;
/** The longest delay of a timer. A longer one would end at once. */
export const MAX_DELAY_MS = 2 ** 31 - 1;

/**
 * Calls `onVolume` at each change of the volume, and `onSession` some time after a new permission was obtained. A
 * connection ends with the permission with which it began, so it must be replaced before that, but the tiles of a wall
 * should not all do so at the same moment. Calls `onOffers` when the service offers other transports than before, which
 * often becomes known only after the beginning. Returns a function that ends this.
 */
export function follow(
  { volume, newestPermission, webRtcOffered }: Host,
  onVolume: () => void,
  onSession: () => void,
  onOffers: () => void,
): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stopVolume = volume.subscribe(onVolume);
  const before = newestPermission.peek();
  const stopSession = newestPermission.subscribe((session) => {
    if (session && session !== before) {
      clearTimeout(timer);
      const delay = Math.random() * RENEW_SPREAD * session.lifetime;
      timer = setTimeout(onSession, Math.min(delay, MAX_DELAY_MS));
    }
  });
  const offered = webRtcOffered.peek();
  const stopOffers = webRtcOffered.subscribe((isOffered) => isOffered !== offered && onOffers());
  return () => {
    clearTimeout(timer);
    stopOffers();
    stopVolume();
    stopSession();
  };
}
