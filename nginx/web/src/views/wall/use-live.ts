// A hook with the player of a tile. The player plays while the tile is visible, unless the user has stopped
// the tile.
import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { streamKey } from "../../api/stream-key";
import { isReachable, streams } from "../../api/streams";
import type { Profile } from "../../api/types";
import { host, refusals } from "../../playback/host";
import { choiceFor } from "../../playback/preference";
import { LivePlayer } from "../../player/live";
import { watchSight } from "../../player/sight";

interface Options {
  id: string;
  profile: Profile;
  hasSub: boolean;
  isLowLatency: boolean;
  isWall: boolean;
  isWanted: boolean;
  waits: boolean;
}

interface Sight {
  /** The element that is observed. */
  ref: RefObject<HTMLElement>;
  /** Whether the element is visible in a visible tab, or has been a short time ago. */
  isSeen: boolean;
}

function useInSight(): Sight {
  const ref = useRef<HTMLElement>(null);
  // False until the observer reports, because most tiles of a wall are not visible on a phone.
  const [isSeen, setSeen] = useState(false);
  useEffect(() => (ref.current ? watchSight(ref.current, setSeen) : undefined), []);
  return { ref, isSeen };
}

export interface Live {
  tile: RefObject<HTMLElement>;
  video: RefObject<HTMLVideoElement>;
  still: RefObject<HTMLCanvasElement>;
  player: LivePlayer | null;
  /** The key of the stream that the player uses. */
  streamKey: string;
}

export function useLive(options: Options): Live {
  const { id, profile, hasSub, isLowLatency, isWall, isWanted, waits } = options;
  const choice = choiceFor(id);
  const { ref: tile, isSeen } = useInSight();
  const video = useRef<HTMLVideoElement>(null);
  const still = useRef<HTMLCanvasElement>(null);
  const [player, setPlayer] = useState<LivePlayer | null>(null);
  const isUsing = player !== null && player.state.value !== "idle";
  const key = streamKey(id, isUsing ? player.adaptation.profile.value : profile);

  useEffect(() => {
    if (!video.current || !still.current) {
      return;
    }
    const made = new LivePlayer(video.current, still.current, host);
    setPlayer(made);
    return () => made.stop();
  }, []);

  // If the user stops a tile, the next start contacts the camera even after a refusal.
  useEffect(() => {
    if (!isWanted) {
      refusals.forget(key);
    }
  }, [isWanted, key]);

  // Often the page learns only after the start that the camera has a sub stream.
  useEffect(() => player?.adaptation.setHasSub(hasSub), [player, hasSub]);

  const plays = isWanted && isSeen;
  useEffect(() => {
    if (plays) {
      player?.play({ id, profile, choice, isLowLatency, isWall, waits });
    } else {
      player?.stop();
    }
  }, [player, plays, id, profile, choice, isLowLatency, isWall, waits]);

  // The list of streams shows what the player cannot detect: whether a failed stream is live again, and
  // whether the stream of a stuck picture is live.
  const state = streams.value?.get(key)?.state;
  useEffect(() => {
    if (state === "live") {
      refusals.forget(key);
    }
    if (!player) {
      return;
    }
    const isListedLive = () => streams.peek()?.get(key)?.state === "live";
    player.isListedLive = isListedLive;
    player.onStuck = () => isListedLive() && player.restart();
    if (state === "live" && ["failed", "retrying"].includes(player.state.peek())) {
      player.hurry();
    }
  }, [player, key, state]);

  // After an outage of the manager, the player does not wait for its next attempt.
  useEffect(() => isReachable.subscribe((isBack) => isBack && player?.hurry(false)), [player]);

  useEffect(() => {
    const hurry = () => player?.hurry(false);
    addEventListener("online", hurry);
    return () => removeEventListener("online", hurry);
  }, [player]);

  return { tile, video, still, player, streamKey: key };
}
