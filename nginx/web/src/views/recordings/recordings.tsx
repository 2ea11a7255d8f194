// The view of recordings: the choice of the cameras, or why there is nothing to see.
import { useCallback, useState } from "preact/hooks";

import { hasRight, hasRole } from "../../api/caller";
import { readCamera } from "../../api/cameras";
import { useReading } from "../../api/reading";
import { listRecorded } from "../../api/recordings";
import type { RecordedStream } from "../../api/types";
import { ownSource } from "../../playback/recordings/source";
import { copyText } from "../../ui/browser";
import { t } from "../../ui/i18n";
import { Icon, IconButton } from "../../ui/icons";
import { notify } from "../../ui/notice";
import { Empty } from "../../ui/parts";
import { editAddress, go, isId, place, recordingsAddress, wallOf } from "../../ui/place";
import { ErrorAlert } from "../error";
import { Picker } from "../wall/picker";
import { Help } from "./help";
import { RecordNow } from "./record-now";
import type { RecordedCamera } from "./session";
import { ShareDialog } from "./shares";
import { Viewer } from "./viewer";

/** The largest number of cameras that are shown in step. */
const MAX_CAMERAS = 9;
const RETRY_MS = 3000;
/** Pause between requests while there are no recordings. */
const EMPTY_MS = 5000;
/** Without a date in the address, the view begins this much before the end of the recordings, in milliseconds. */
const BEFORE_END_MS = 10_000;

interface Found {
  /** The ids for which the cameras were searched. */
  asked: string;
  /** The ids of the cameras. */
  ids: string;
  cameras: RecordedCamera[];
  /** The end of the last recording of these cameras; null without recordings. */
  last: number | null;
}

/** Returns the cameras with these ids and their recordings; without ids, the first camera with recordings. */
async function find(ids: string[]): Promise<Found> {
  const streams = await listRecorded();
  const shown = ids.length > 0 ? ids : streams.slice(0, 1).map(({ camera }) => camera);
  const cameras = await Promise.all(shown.map((id) => cameraWith(id, streams)));
  const ends = streams
    .filter(({ camera }) => shown.includes(camera))
    .map(({ to }) => Date.parse(to));
  return { asked: ids.join(), ids: shown.join(), cameras, last: ends.length > 0 ? Math.max(...ends) : null };
}

async function cameraWith(id: string, streams: RecordedStream[]): Promise<RecordedCamera> {
  const has = (stream: string) => (streams.some((each) => each.id === stream) ? stream : null);
  const { name } = await readCamera(id);
  return { id, name, streams: { main: has(id), sub: has(`${id}~sub`) } };
}

export function Recordings() {
  const { query } = place.value;
  const ids = (query.get("cameras") ?? "").split(",").filter(isId).slice(0, MAX_CAMERAS);
  const key = ids.join();
  const read = useCallback(() => find(key ? key.split(",") : []), [key]);
  const [isEmpty, setEmpty] = useState(true);
  const { value: latest, error } = useReading(read, {
    retry: RETRY_MS,
    ...(isEmpty && { every: EMPTY_MS }),
  });
  // After a change of the address, the latest response is at first that of other cameras.
  const value = latest?.asked === key || latest?.ids === key ? latest : null;
  const has = value?.cameras.some(({ streams: { main, sub } }) => main || sub) ?? false;
  if (has === isEmpty) {
    setEmpty(!has);
  }
  if (!hasRight("recordings")) {
    return (
      <Empty icon="lock" title={t("recordings.no_right_title")}>
        <h1 class="unseen">{t("nav.recordings")}</h1>
        <p>{t("recordings.no_right")}</p>
      </Empty>
    );
  }
  if (!value) {
    return (
      <div class="page">
        <h1>{t("nav.recordings")}</h1>
        <ErrorAlert error={error} />
        {error === null && <div class="list waiting" aria-busy="true" />}
      </div>
    );
  }
  return has ? (
    <Chosen key={value.ids} found={value} at={query.get("at")} />
  ) : (
    <None cameras={value.cameras} />
  );
}

/** The recordings of the chosen cameras that have any. */
function Chosen({ found: { cameras, last }, at }: { found: Found; at: string | null }) {
  const [dialog, setDialog] = useState<"pick" | "help" | "shares" | null>(null);
  const recorded = cameras.filter(({ streams: { main, sub } }) => main || sub);
  const [shown] = useState(recorded);
  const ids = shown.map(({ id }) => id);
  const [end] = useState((last ?? Date.now()) - BEFORE_END_MS);
  const date = Date.parse(at ?? "");
  const copy = async () => {
    const isDone = await copyText(location.href);
    notify(t(isDone ? "recordings.link_copied" : "copied"), !isDone);
  };
  const key = ids.join();
  const onDate = useCallback(
    (next: number) => go(recordingsAddress(key.split(","), next), true),
    [key],
  );
  const title = shown.length === 1 ? (shown[0]?.name ?? "") : t("nav.recordings");
  return (
    <>
      <Viewer
        source={ownSource}
        cameras={shown}
        at={date || end}
        limit={null}
        onDate={onDate}
        head={
          <>
            <h1 class="bar-title" dir="auto" title={title}>
              {title}
            </h1>
            <button type="button" onClick={() => setDialog("pick")} aria-label={t("wall.choose")}>
              <Icon name="list" />
              <span class="words">{t("wall.choose")}</span>
            </button>
          </>
        }
        tail={
          <>
            {shown.length === 1 && shown[0] && hasRole("user") && (
              <RecordNow camera={shown[0].id} />
            )}
            <a class="button" href={wallOf(ids)} aria-label={t("recordings.live")}>
              <Icon name="play" />
              <span class="words">{t("recordings.live")}</span>
            </a>
            <IconButton icon="link" label={t("recordings.copy_link")} onClick={() => void copy()} />
            {shown.length === 1 && (
              <IconButton
                icon="list"
                label={t("recordings.links")}
                onClick={() => setDialog("shares")}
              />
            )}
            <IconButton
              icon="help"
              label={t("recordings.help")}
              onClick={() => setDialog("help")}
            />
          </>
        }
      />
      {dialog === "pick" && (
        <Picker
          shown={shown}
          ids={ids}
          max={MAX_CAMERAS}
          onClose={() => setDialog(null)}
          onSelect={(chosen) => {
            setDialog(null);
            go(recordingsAddress(chosen ?? [], date || undefined));
          }}
        />
      )}
      {dialog === "help" && <Help onClose={() => setDialog(null)} />}
      {dialog === "shares" && shown[0] && (
        <ShareDialog camera={shown[0]} selection={null} onClose={() => setDialog(null)} />
      )}
    </>
  );
}

/** Says that nothing was recorded, and how to change that. */
function None({ cameras }: { cameras: RecordedCamera[] }) {
  const [isPicking, setPicking] = useState(false);
  const camera = cameras[0];
  const canRecord = hasRole("user");
  return (
    <>
      <Empty
        icon="history"
        title={
          cameras.length === 1 && camera
            ? t("recordings.none_of", { name: camera.name })
            : t("recordings.none_title")
        }
      >
        <h1 class="unseen">{t("nav.recordings")}</h1>
        <p>{t(canRecord ? "recordings.none" : "recordings.none_viewer")}</p>
        <div class="actions centered">
          {canRecord && camera && (
            <a class="button primary" href={editAddress(camera.id)}>
              <Icon name="edit" />
              {t("recordings.set_up")}
            </a>
          )}
          {canRecord && camera && cameras.length === 1 && <RecordNow camera={camera.id} />}
          {canRecord && !camera && (
            <a class="button primary" href="#/cameras">
              <Icon name="camera" />
              {t("nav.cameras")}
            </a>
          )}
          <button type="button" onClick={() => setPicking(true)}>
            <Icon name="list" />
            {t("wall.choose")}
          </button>
        </div>
      </Empty>
      {isPicking && (
        <Picker
          shown={cameras}
          ids={cameras.map(({ id }) => id)}
          max={MAX_CAMERAS}
          onClose={() => setPicking(false)}
          onSelect={(chosen) => {
            setPicking(false);
            go(recordingsAddress(chosen ?? []));
          }}
        />
      )}
    </>
  );
}
