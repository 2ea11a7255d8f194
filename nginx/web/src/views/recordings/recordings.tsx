// The view of recordings: the choice of the cameras, or why there is nothing to see.
import { useCallback, useEffect, useLayoutEffect, useMemo, useState } from "preact/hooks";

import { hasRight, hasRole } from "../../api/caller";
import { useReading } from "../../api/reading";
import { ownSource } from "../../playback/recordings/source";
import { copyText } from "../../ui/browser";
import { t } from "../../ui/i18n";
import { Icon, IconButton } from "../../ui/icons";
import { notify } from "../../ui/notice";
import { Alert, Empty } from "../../ui/parts";
import { editAddress, go, isId, place, recordingsAddress, wallOf } from "../../ui/place";
import { ErrorAlert } from "../error";
import { Picker, type PickerTexts } from "../wall/picker";
import { type Found, findCameras, remember } from "./find";
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
const PICKER_TEXTS: PickerTexts = {
  title: "recordings.pick",
  order: "recordings.pick_order",
  none: "recordings.pick_none",
};

export function Recordings() {
  const { query } = place.value;
  const ids = (query.get("cameras") ?? "").split(",").filter(isId).slice(0, MAX_CAMERAS);
  const key = ids.join();
  const read = useCallback(() => findCameras(key ? key.split(",") : []), [key]);
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
  return has ? <Chosen key={value.ids} found={value} query={query} /> : <None found={value} />;
}

/** The recordings of the chosen cameras. */
function Chosen({ found, query }: { found: Found; query: URLSearchParams }) {
  const [dialog, setDialog] = useState<"pick" | "help" | "shares" | null>(null);
  // Further responses, for example after a change of a camera, must not interrupt the players.
  const [{ ids: key, cameras, unknown, last }] = useState(found);
  const [shown, empty] = useMemo(() => {
    const has = ({ streams: { main, sub } }: RecordedCamera) => main !== null || sub !== null;
    return [cameras.filter(has), cameras.filter((camera) => !has(camera))];
  }, [cameras]);
  const [end] = useState((last ?? Date.now()) - BEFORE_END_MS);
  const at = Date.parse(query.get("at") ?? "") || end;
  const seconds = Math.round(Number(query.get("seconds"))) || null;
  const addressAt = (date: number) => recordingsAddress(key.split(","), date, seconds);
  const onPlace = useCallback(
    (date: number, length: number | null) =>
      go(recordingsAddress(key.split(","), date, length), true),
    [key],
  );
  // The address has the cameras and the moment from the beginning.
  const isComplete = query.has("cameras") && query.get("at") === new Date(at).toISOString();
  useLayoutEffect(() => {
    if (!isComplete) {
      onPlace(at, seconds);
    }
  }, [isComplete, at, seconds, onPlace]);
  useEffect(() => remember(key), [key]);
  const copy = async (date: number) => {
    const address = new URL(addressAt(date), location.href).href;
    const isDone = await copyText(address);
    notify(isDone ? t("recordings.link_copied") : address, !isDone);
  };
  const only = cameras.length === 1 ? cameras[0] : undefined;
  const title = only?.name ?? t("nav.recordings");
  return (
    <>
      {unknown.length > 0 && <Unknown ids={unknown} />}
      <Viewer
        source={ownSource}
        cameras={shown}
        empty={empty}
        at={at}
        limit={null}
        seconds={seconds}
        onPlace={onPlace}
        head={
          <>
            <h1 class="bar-title" dir="auto" title={title}>
              {title}
            </h1>
            <button type="button" onClick={() => setDialog("pick")} aria-label={t("wall.choose")}>
              <Icon name="camera" />
              <span class="words">{t("wall.choose")}</span>
            </button>
          </>
        }
        tail={(now) => (
          <>
            {only && hasRole("user") && <RecordNow camera={only.id} />}
            <a
              class="button"
              href={wallOf(cameras.map(({ id }) => id))}
              aria-label={t("recordings.live")}
            >
              <Icon name="play" />
              <span class="words">{t("recordings.live")}</span>
            </a>
            <IconButton
              icon="link"
              label={t("recordings.copy_link")}
              onClick={() => void copy(now())}
            />
            {only && (
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
        )}
      />
      {dialog === "pick" && (
        <Picker
          shown={cameras}
          ids={cameras.map(({ id }) => id)}
          texts={PICKER_TEXTS}
          max={MAX_CAMERAS}
          onClose={() => setDialog(null)}
          onSelect={(chosen) => {
            setDialog(null);
            go(recordingsAddress(chosen ?? [], at, seconds));
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

/** Says that some cameras in the address do not exist. */
function Unknown({ ids }: { ids: string[] }) {
  return <Alert>{t("recordings.unknown", { ids: ids.join(", ") })}</Alert>;
}

/** Says that nothing was recorded, and how to change that. */
function None({ found: { cameras, unknown } }: { found: Found }) {
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
        {unknown.length > 0 && <Unknown ids={unknown} />}
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
            <Icon name="camera" />
            {t("wall.choose")}
          </button>
        </div>
      </Empty>
      {isPicking && (
        <Picker
          shown={cameras}
          ids={cameras.map(({ id }) => id)}
          texts={PICKER_TEXTS}
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
