// The videos of the recordings, side by side.
import { useSignalEffect } from "@preact/signals";
import type { ComponentChildren, RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import type { InStep } from "../../playback/recordings/in-step";
import type { RecordedPlayer } from "../../playback/recordings/recorded-player";
import { duration, t } from "../../ui/i18n";
import { IconButton } from "../../ui/icons";
import { ErrorText } from "../error";
import type { Footage } from "./footage";
import { isRecorded } from "./gaps";
import type { RecordedCamera, Session } from "./session";

/** The time for which the length of a gap is shown. */
const JUMP_SHOWN_MS = 4000;

interface StageProps {
  session: Session;
  footage: ReadonlyMap<string, Footage> | null;
  /** Chosen cameras without recordings. */
  empty: RecordedCamera[];
  /** The element that full screen shows. */
  box: RefObject<HTMLDivElement>;
  /** The id of the enlarged camera; null for all cameras. */
  open: string | null;
  onOpen: (id: string | null) => void;
  /** Whether the videos fill the page. */
  isFilling: boolean;
  onFullScreen: () => void;
}

export function Stage(props: StageProps) {
  const { session, footage, empty, box, open, onOpen, isFilling, onFullScreen } = props;
  const { cameras, group, boxes } = session;
  const count = cameras.length + empty.length;
  const columns = open ? 1 : Math.ceil(Math.sqrt(count));
  const rows = open ? 1 : Math.ceil(count / columns);
  const frame = (id: string, name: string) => ({
    id,
    name: count > 1 ? name : null,
    isOpen: id === open,
    onToggle: count > 1 ? () => onOpen(open ? null : id) : onFullScreen,
  });
  return (
    <div
      ref={box}
      class={`stage ${open ? "one" : ""} ${isFilling ? "filling" : ""}`}
      style={{ "--columns": columns, "--rows": rows }}
    >
      {cameras.map(({ id, name }, n) => (
        <Picture key={id} {...frame(id, name)} stream={session.streams[n]}>
          <div
            class="recorded-video"
            ref={(element) => {
              boxes[n] = element;
            }}
          />
          <Overlay player={group?.players[n] ?? null} />
          <SearchedGap session={session} spans={footage?.get(session.streams[n] ?? "")?.spans} />
        </Picture>
      ))}
      {empty.map(({ id, name }) => (
        <Picture key={id} {...frame(id, name)}>
          <p class="recorded-note veil">{t("recordings.none_of", { name })}</p>
        </Picture>
      ))}
      {group && <JumpNote group={group} />}
    </div>
  );
}

interface PictureProps {
  id: string;
  /** The name of the camera; null if there is only one. */
  name: string | null;
  stream?: string | undefined;
  isOpen: boolean;
  onToggle: () => void;
  children: ComponentChildren;
}

function Picture({ id, name, stream, isOpen, onToggle, children }: PictureProps) {
  return (
    <figure
      class={isOpen ? "recorded open" : "recorded"}
      data-camera={id}
      data-stream={stream}
      onDblClick={({ target }) => {
        if (!(target as Element).closest("button")) {
          onToggle();
        }
      }}
    >
      {children}
      {name !== null && (
        <>
          <figcaption class="tile-label">
            <span class="tile-name" dir="auto" title={name}>
              {name}
            </span>
          </figcaption>
          <IconButton
            class="recorded-open"
            icon={isOpen ? "close" : "enlarge"}
            label={t(isOpen ? "recordings.shrink" : "tile.enlarge", { name })}
            onClick={onToggle}
          />
        </>
      )}
    </figure>
  );
}

/** What a video shows instead of a picture, or in front of it. */
function Overlay({ player }: { player: RecordedPlayer | null }) {
  const state = player?.state.value ?? "loading";
  const [isSlow, setSlow] = useState(false);
  useEffect(() => {
    setSlow(false);
    const timer = state === "loading" ? setTimeout(() => setSlow(true), 400) : undefined;
    return () => clearTimeout(timer);
  }, [state]);
  if (state === "gap") {
    return <p class="recorded-note veil">{t("recordings.gap")}</p>;
  }
  if (state === "none") {
    return <p class="recorded-note veil">{t("recordings.none_later")}</p>;
  }
  if (state === "end") {
    return <p class="recorded-note">{t("recordings.end")}</p>;
  }
  if (state === "failed" && player?.problem.value) {
    return (
      <p class="recorded-note veil" role="alert">
        <ErrorText error={player.problem.value} />
      </p>
    );
  }
  return isSlow && state === "loading" ? (
    <p class="recorded-note" role="status">
      <span class="spinner" /> <span class="unseen">{t("recordings.loading")}</span>
    </p>
  ) : null;
}

interface SearchedGapProps {
  session: Session;
  spans: Footage["spans"] | undefined;
}

/** Hides the last keyframe while the user searches at a time without recordings. */
function SearchedGap({ session: { scrubbed }, spans }: SearchedGapProps) {
  const date = scrubbed.value;
  return date !== null && spans && !isRecorded(spans, date) ? (
    <p class="recorded-note veil">{t("recordings.gap")}</p>
  ) : null;
}

/** Shows for some seconds how long the gap was that was left out. */
function JumpNote({ group }: { group: InStep }) {
  const [seconds, setSeconds] = useState<number | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>();
  useSignalEffect(() => {
    const jump = group.jump.value;
    if (jump) {
      setSeconds((jump.to - jump.from) / 1000);
      clearTimeout(timer.current);
      timer.current = setTimeout(() => setSeconds(null), JUMP_SHOWN_MS);
    }
  });
  return (
    <p class="jump" role="status">
      {seconds !== null && <span>{t("recordings.skipped", { n: duration(seconds) })}</span>}
    </p>
  );
}
