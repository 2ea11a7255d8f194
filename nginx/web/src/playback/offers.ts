// What the service offers beside HLS and the live socket.
import { signal } from "@preact/signals";

import { get } from "../api/client";
import type { Health } from "../api/types";

/** A tile does not wait longer than this to know what the service offers, in milliseconds. */
const PATIENCE_MS = 300;
/** The service is asked again after this time, because it may have been restarted with other settings. */
const KNOWN_MS = 300_000;

/** Whether the service offers WebRTC, as far as it is known. */
export const webRtcOffered = signal(false);
let askedAt = Number.NEGATIVE_INFINITY;
let asking: Promise<void> | null = null;

/**
 * Resolves when it is known what the service offers, or after a short time, unless the tile depends on the answer. All
 * tiles share one request.
 */
export async function learnOffers(dependsOnIt = false): Promise<void> {
  const now = performance.now();
  if (now - askedAt > KNOWN_MS) {
    askedAt = now;
    asking = ask();
  }
  const patience = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
  await (dependsOnIt ? asking : Promise.race([asking, patience]));
}

async function ask(): Promise<void> {
  try {
    const { webrtc } = await get<Health & { webrtc?: { port?: number | null } }>("health");
    webRtcOffered.value = webrtc?.port != null;
  } catch {
    // The tile reports that the service does not respond. The next tile asks again.
    askedAt = Number.NEGATIVE_INFINITY;
  }
}
