// The player of a tile. It plays while the tile is in sight and not stopped by the user.
import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { streamKey, streams } from "../../api/streams";
import type { Profile } from "../../api/types";
import { LivePlayer } from "../../player/live";
import { forget } from "../../player/refused";

/** Time that a tile plays out of sight, so that a short look at another tab does not cost a start. */
const LEAVE_AFTER_MS = 10_000;

interface Options {
  id: string;
  profile: Profile;
  isLowLatency: boolean;
  isWanted: boolean;
  waits: boolean;
}

interface Sight {
  /** The element that is observed. */
  ref: RefObject<HTMLElement>;
  /** Whether it is, or was until a moment ago, in sight on a visible tab. */
  isSeen: boolean;
}

function useInSight(): Sight {
  const ref = useRef<HTMLElement>(null);
  // False until the observer reports, since most tiles of a wall are out of sight on a phone.
  const [isSeen, setSeen] = useState(false);
  useEffect(() => {
    let isNear = false;
    let leaving: ReturnType<typeof setTimeout> | undefined;
    const update = () => {
      clearTimeout(leaving);
      if (isNear && !document.hidden) {
        setSeen(true);
      } else {
        leaving = setTimeout(() => setSeen(false), LEAVE_AFTER_MS);
      }
    };
    const observer = new IntersectionObserver((entries) => {
      isNear = entries.at(-1)?.isIntersecting ?? true;
      update();
    });
    if (ref.current) {
      observer.observe(ref.current);
    }
    document.addEventListener("visibilitychange", update);
    return () => {
      observer.disconnect();
      clearTimeout(leaving);
      document.removeEventListener("visibilitychange", update);
    };
  }, []);
  return { ref, isSeen };
}

export interface Live {
  tile: RefObject<HTMLElement>;
  video: RefObject<HTMLVideoElement>;
  still: RefObject<HTMLCanvasElement>;
  player: LivePlayer | null;
}

export function useLive({ id, profile, isLowLatency, isWanted, waits }: Options): Live {
  const { ref: tile, isSeen } = useInSight();
  const video = useRef<HTMLVideoElement>(null);
  const still = useRef<HTMLCanvasElement>(null);
  const [player, setPlayer] = useState<LivePlayer | null>(null);
  const key = streamKey(id, profile);

  useEffect(() => {
    if (!video.current || !still.current) {
      return;
    }
    const made = new LivePlayer(video.current, still.current);
    setPlayer(made);
    return () => made.stop();
  }, []);

  // A user who stops and starts a tile wants the camera to be contacted again.
  useEffect(() => {
    if (!isWanted) {
      forget(key);
    }
  }, [isWanted, key]);

  const plays = isWanted && isSeen;
  useEffect(() => {
    if (plays) {
      player?.play({ id, profile, isLowLatency, waits });
    } else {
      player?.stop();
    }
  }, [player, plays, id, profile, isLowLatency, waits]);

  // The service knows more than the player: a failed stream may be live again, or a live stream may have
  // a picture that is stuck.
  const state = streams.value?.get(key)?.state;
  useEffect(() => {
    if (state === "live") {
      forget(key);
    }
    if (!player) {
      return;
    }
    player.onStuck = () => {
      if (streams.peek()?.get(key)?.state === "live") {
        player.restart();
      }
    };
    if (state === "live" && player.state.peek() === "failed") {
      player.hurry();
    }
  }, [player, key, state]);

  useEffect(() => {
    const hurry = () => player?.hurry(false);
    addEventListener("online", hurry);
    return () => removeEventListener("online", hurry);
  }, [player]);

  return { tile, video, still, player };
}
