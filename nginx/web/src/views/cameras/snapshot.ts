// A hook with a picture of a saved camera, for example to draw zones on it.
import { useEffect, useState } from "preact/hooks";

import { addressOf } from "../../api/address";
import { streamKey } from "../../api/stream-key";
import type { Camera } from "../../api/types";
import { addPlayer, obtainPermission, removePlayer, withToken } from "../../playback/permission";

/** The largest width of the picture in pixels. */
const WIDTH = 1280;
/** The largest age of the first picture in seconds. */
const MAX_AGE = 60;

export interface Snapshot {
  /** The URL of the picture; null before the service has permitted it, and after a failure. */
  url: string | null;
  hasFailed: boolean;
  onError: () => void;
  /** Requests a new picture. */
  again: () => void;
}

/** Returns a picture of the stream in which motion is detected. The request starts the stream. */
export function useSnapshot(camera: Camera | null): Snapshot {
  const [url, setUrl] = useState<string | null>(null);
  const [hasFailed, setFailed] = useState(false);
  const [attempt, setAttempt] = useState(0);
  const id = camera?.id;
  const key = id && streamKey(id, camera.source_sub ? "sub" : "main");
  useEffect(() => {
    if (!id) {
      return;
    }
    let isOver = false;
    const show = () => {
      const age = attempt > 0 ? 0 : MAX_AGE;
      const path = `streams/${key}/snapshot.jpg?width=${WIDTH}&max_age=${age}&attempt=${attempt}`;
      if (!isOver) {
        setUrl(withToken(addressOf(path)));
      }
    };
    addPlayer(id);
    setFailed(false);
    obtainPermission(id).then(show, () => setFailed(true));
    return () => {
      isOver = true;
      removePlayer(id);
    };
  }, [id, key, attempt]);
  const onError = () => {
    setUrl(null);
    setFailed(true);
  };
  return { url, hasFailed, onError, again: () => setAttempt((before) => before + 1) };
}
