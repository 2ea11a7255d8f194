// What the parts of the view of recordings share: the cameras, the players, and what the user has chosen.
import { type Signal, signal } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { InStep } from "../../playback/recordings/in-step";
import type { Recording } from "../../playback/recordings/recorded-player";
import { Scrubber } from "../../playback/recordings/scrubber";
import { cameraOf, type Source } from "../../playback/recordings/source";

/** A camera with recordings. */
export interface RecordedCamera {
  id: string;
  name: string;
  /** The streams with recordings: the main stream, the sub stream, or both. */
  streams: { main: string | null; sub: string | null };
}

/** With more cameras than this, the sub streams are played. */
const FEW = 3;

/**
 * Returns what is played of a camera. A browser that cannot play the video, such as H.265, gets the other stream instead,
 * or the video converted to H.264. `unplayable` are the streams that the browser could not play.
 */
export function playedOf(
  { streams: { main, sub } }: RecordedCamera,
  isFew: boolean,
  unplayable: readonly string[],
): Recording {
  const order = isFew ? [main, sub] : [sub, main];
  const streams = order.filter((stream) => stream !== null);
  const playable = streams.find((stream) => !unplayable.includes(stream));
  return { stream: playable ?? streams[0] ?? "", isConverted: playable === undefined };
}

/** Returns the stream whose keyframes are shown while the user searches: the one with the smaller pictures. */
export function scrubbedStream({ streams: { main, sub } }: RecordedCamera): string {
  return sub ?? main ?? "";
}

export interface Session {
  source: Source;
  cameras: RecordedCamera[];
  /** The played stream of each camera. */
  streams: string[];
  /** The players; null until the boxes of the videos exist. */
  group: InStep | null;
  /** The boxes of the videos. */
  boxes: (HTMLElement | null)[];
  /** The date that is searched for; null while the user does not search. */
  scrubbed: Signal<number | null>;
  /** Shows the keyframes of a date while the user searches. */
  scrub: (date: number) => void;
  /** Ends the search, and shows the pictures of a date. */
  seek: (date: number) => Promise<void>;
}

/** Creates the players of the cameras, which show the date `at` first. */
export function useSession(source: Source, cameras: RecordedCamera[], at: number): Session {
  const boxes = useRef<(HTMLElement | null)[]>([]);
  const [group, setGroup] = useState<InStep | null>(null);
  const [unplayable, setUnplayable] = useState<readonly string[]>([]);
  const scrubbed = useMemo(() => signal<number | null>(null), []);
  const scrubbers = useRef<Scrubber[]>([]);
  /** What the next players show first. */
  const next = useRef({ date: at, rate: 1, isPlaying: false });
  const isFew = cameras.length <= FEW;
  const played = cameras.map((camera) => playedOf(camera, isFew, unplayable));
  const streams = played.map(({ stream }) => stream);
  const key = JSON.stringify(played);
  const searched = JSON.stringify(
    cameras.map((camera): Recording => {
      const stream = scrubbedStream(camera);
      return { stream, isConverted: unplayable.includes(stream) };
    }),
  );
  useEffect(() => {
    const elements = boxes.current.filter((box) => box !== null);
    const list: Recording[] = JSON.parse(key);
    const releases = list.map(({ stream }) => source.hold(cameraOf(stream)));
    const created = new InStep(source, list, elements);
    const stops = created.players.map((player) =>
      player.problem.subscribe((problem) => {
        const { stream, isConverted } = player.recording;
        if (problem?.code === "codec_unsupported" && !isConverted) {
          next.current.isPlaying = created.isPlaying.value;
          setUnplayable((before) => [...before, stream]);
        }
      }),
    );
    const { date, rate, isPlaying } = next.current;
    void created.seek(date);
    created.setRate(rate);
    if (isPlaying) {
      created.play();
    }
    setGroup(created);
    return () => {
      next.current.date = created.date.value;
      next.current.rate = created.rate.value;
      for (const stop of [...stops, ...releases]) {
        stop();
      }
      created.destroy();
      setGroup(null);
    };
  }, [source, key]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the scrubbers belong to these streams
  useEffect(
    () => () => {
      for (const scrubber of scrubbers.current) {
        scrubber.destroy();
      }
      scrubbers.current = [];
    },
    [source, searched],
  );
  const scrub = (date: number) => {
    if (scrubbers.current.length === 0) {
      const recordings: Recording[] = JSON.parse(searched);
      scrubbers.current = recordings.map(
        (recording, n) => new Scrubber(source, recording, boxes.current[n] as HTMLElement),
      );
    }
    scrubbed.value = date;
    for (const scrubber of scrubbers.current) {
      scrubber.show(date);
    }
  };
  const seek = async (date: number) => {
    scrubbed.value = null;
    next.current.date = date;
    await group?.seek(date);
    if (scrubbed.value === null) {
      for (const scrubber of scrubbers.current) {
        scrubber.hide();
      }
    }
  };
  return { source, cameras, streams, group, boxes: boxes.current, scrubbed, scrub, seek };
}
