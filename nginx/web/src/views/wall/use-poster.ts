// A hook with the poster of a tile: the last picture of its camera, which is visible until the video plays.
import { useEffect, useState } from "preact/hooks";

import { addressOf } from "../../api/address";
import { streamKey } from "../../api/stream-key";
import type { Profile } from "../../api/types";
import { obtainPermission, withToken } from "../../playback/permission";
import type { State } from "../../player/request";
import type { WallCamera } from "./load";

/** Greatest width of a poster in pixels. */
const WIDTH = 640;
/**
 * Greatest age of a poster in seconds while the stream runs. A poster is a reminder of what the camera shows,
 * so a new one is rarely worth the work.
 */
const MAX_AGE = 600;

/**
 * Returns the URL of the last picture of a stream; undefined if no picture is known, and while the player shows
 * single pictures. A request for a poster never starts a stream. A picture is also requested when the video
 * begins to play, so that the service has a poster for the next time.
 */
export function usePoster(camera: WallCamera, profile: Profile, state: State): string | undefined {
  const [poster, setPoster] = useState<string>();
  const { id } = camera;
  const key = streamKey(id, profile);
  const hasPicture = (profile === "sub" ? camera.picture_sub_at : camera.picture_at) != null;
  const isLive = state === "live";
  // A poster would cover the single pictures that the player shows on a slow connection.
  const isCovering = state === "pictures";
  const isNeeded = isLive || (hasPicture && state !== "idle" && !isCovering);
  useEffect(() => {
    let isCurrent = isNeeded;
    const show = () => {
      if (isCurrent) {
        const query = `start=false&width=${WIDTH}&max_age=${MAX_AGE}&live=${isLive}`;
        setPoster(withToken(addressOf(`streams/${key}/snapshot.jpg?${query}`)));
      }
    };
    if (isNeeded) {
      // Without permission there is no poster; the player reports the reason.
      obtainPermission(id).then(show, () => undefined);
    }
    return () => {
      isCurrent = false;
    };
  }, [id, key, isNeeded, isLive]);
  return isCovering ? undefined : poster;
}
