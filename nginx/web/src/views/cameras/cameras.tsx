// The view of all cameras: search, add, change, delete, import and export.
import { useCallback, useEffect, useState } from "preact/hooks";

import { hasRight, hasRole } from "../../api/caller";
import { deleteCamera, listCameras, readCamera } from "../../api/cameras";
import { cameraChanges } from "../../api/changes";
import { getFile } from "../../api/client";
import { explain } from "../../api/explanation";
import { type Coded, Problem } from "../../api/problem";
import { type Reading, useReading } from "../../api/reading";
import { streamKey } from "../../api/stream-key";
import { lastFailureOf, streams, useStreams, wasLive } from "../../api/streams";
import type { Camera, CamerasPage } from "../../api/types";
import { saveFile } from "../../ui/browser";
import { FailureText } from "../../ui/failure";
import { dateTime, plural, t } from "../../ui/i18n";
import { Icon, IconButton } from "../../ui/icons";
import { notify } from "../../ui/notice";
import { Empty, Pager } from "../../ui/parts";
import {
  editAddress,
  go,
  isId,
  lastWall,
  place,
  recordingsAddress,
  watchAddress,
} from "../../ui/place";
import { Badge } from "../badge";
import { type Condition, conditionOf, factsOfStream } from "../condition";
import { ErrorAlert, report } from "../error";
import { DeleteDialog } from "./delete";
import { CameraForm } from "./form";
import { Import } from "./import";

const PAGE = 25;
/** Pause between two requests for the list if the service checks whether cameras can be reached. */
const REFRESH_MS = 15_000;
/** The delay of a search after the last keystroke. */
const SEARCH_DELAY_MS = 200;

function useList(search: string, page: number): Reading<CamerasPage> {
  const read = useCallback(
    () => listCameras({ limit: PAGE, offset: page * PAGE, search }),
    [search, page],
  );
  const [hasChecks, setHasChecks] = useState(false);
  const reading = useReading(read, {
    delay: search ? SEARCH_DELAY_MS : 0,
    ...(hasChecks && { every: REFRESH_MS }),
  });
  const isChecked = reading.value?.cameras.some(({ reachability }) => reachability) ?? false;
  useEffect(() => setHasChecks((before) => before || isChecked), [isChecked]);
  return reading;
}

export function Cameras() {
  useStreams();
  const [search, setSearch] = useState("");
  const [page, setPage] = useState(0);
  const [deleted, setDeleted] = useState<Camera | null>(null);
  const { value: list, error } = useList(search, page);
  // If the last page has become empty because its cameras were deleted, shows the new last page.
  useEffect(() => {
    if (list && page > 0 && list.cameras.length === 0) {
      setPage(Math.max(0, Math.ceil(list.total / PAGE) - 1));
    }
  }, [list, page]);
  const { query } = place.value;

  const drop = async (camera: Camera, keepsRecordings: boolean) => {
    setDeleted(null);
    try {
      await deleteCamera(camera.id, keepsRecordings);
      cameraChanges.value += 1;
      notify(t("cameras.deleted", { name: camera.name }));
    } catch (cause) {
      report(cause);
    }
  };
  const isEmpty = list?.total === 0 && !search;

  return (
    <div class="page">
      <div class="bar">
        <h1>{t("nav.cameras")}</h1>
        {list && <span class="quiet">{plural("cameras.count", list.total)}</span>}
        <span class="gap" />
        {hasRole("admin") && <Transfer />}
        {hasRole("user") && (
          <a class="button primary" href="#/cameras?add">
            <Icon name="plus" />
            {t("camera.add")}
          </a>
        )}
      </div>
      <ErrorAlert error={error} />
      {isEmpty ? (
        <Empty icon="camera" title={t("welcome.title")}>
          <p>{t(hasRole("user") ? "welcome.text" : "welcome.viewer")}</p>
        </Empty>
      ) : (
        <>
          <label class="field search">
            <span class="unseen">{t("cameras.search")}</span>
            <input
              type="search"
              placeholder={t("cameras.search")}
              value={search}
              onInput={(event) => {
                setSearch(event.currentTarget.value);
                setPage(0);
              }}
            />
          </label>
          <List list={list} onDelete={setDeleted} />
          <Pager page={page} pages={Math.ceil((list?.total ?? 0) / PAGE)} onPage={setPage} />
        </>
      )}
      {hasRole("user") && (query.has("add") || query.has("edit")) && (
        <Editor
          id={query.get("edit")}
          back={query.get("from") === "wall" ? lastWall.value : "#/cameras"}
        />
      )}
      {deleted && (
        <DeleteDialog
          camera={deleted}
          onClose={() => setDeleted(null)}
          onDelete={(keeps) => void drop(deleted, keeps)}
        />
      )}
    </div>
  );
}

function List({
  list,
  onDelete,
}: {
  list: CamerasPage | null;
  onDelete: (camera: Camera) => void;
}) {
  if (!list) {
    return <div class="list waiting" aria-busy="true" />;
  }
  if (list.cameras.length === 0) {
    return <p class="hint">{t("cameras.none_found")}</p>;
  }
  return (
    <ul class="list">
      {list.cameras.map((camera) => (
        <Row key={camera.id} camera={camera} onDelete={() => onDelete(camera)} />
      ))}
    </ul>
  );
}

/**
 * Returns the condition of a camera and the error that explains the condition. Both describe the main stream, or the
 * sub stream if only the sub stream runs or has failed.
 */
function summaryOf({ id, reachability }: Camera): { condition: Condition; error: Coded | null } {
  const keys = [streamKey(id, "main"), streamKey(id, "sub")];
  for (const key of keys) {
    const stream = streams.value?.get(key);
    if (stream) {
      const error = stream.state === "live" ? null : (stream.last_error ?? null);
      return { condition: conditionOf(factsOfStream(stream, wasLive(key))), error };
    }
  }
  if (reachability?.reachable === false) {
    return { condition: "offline", error: null };
  }
  const error = keys.map(lastFailureOf).find((failure) => failure) ?? null;
  return { condition: conditionOf({ state: "stopped", code: error?.code ?? null }), error };
}

function Row({ camera, onDelete }: { camera: Camera; onDelete: () => void }) {
  const { id, name } = camera;
  const { condition, error } = summaryOf(camera);
  const isUnreachable = condition !== "live" && camera.reachability?.reachable === false;
  return (
    <li class="row" data-camera={id}>
      <div class="row-main">
        <strong class="name" title={name}>
          <bdi>{name}</bdi>
        </strong>
        <span class="quiet">
          {[
            name === id ? null : id,
            camera.source ?? t("cameras.no_source"),
            camera.source_sub && t("cameras.with_sub"),
          ]
            .filter(Boolean)
            .join(" · ")}
        </span>
        {isUnreachable && <Unreachable reachability={camera.reachability} />}
        {error && !isUnreachable && (
          <span class="why">
            <FailureText failure={explain(error)} />
          </span>
        )}
      </div>
      <Badge condition={condition} />
      <div class="row-actions">
        <a class="button" href={watchAddress(id)} aria-label={t("cameras.watch_label", { name })}>
          <Icon name="play" />
          {t("cameras.watch")}
        </a>
        {hasRight("recordings") && (
          <a
            class="icon-button"
            href={recordingsAddress([id])}
            aria-label={t("recordings.open", { name })}
            title={t("recordings.open", { name })}
          >
            <Icon name="history" />
          </a>
        )}
        {hasRole("user") && (
          <a
            class="icon-button"
            href={editAddress(id)}
            aria-label={t("cameras.edit_label", { name })}
            title={t("camera.edit")}
          >
            <Icon name="edit" />
          </a>
        )}
        {hasRole("user") && (
          <IconButton icon="trash" label={t("cameras.delete_label", { name })} onClick={onDelete} />
        )}
      </div>
    </li>
  );
}

/** The time since which a camera cannot be reached, and the reason. */
function Unreachable({ reachability }: { reachability: Camera["reachability"] }) {
  const { since, last_error: error } = reachability ?? {};
  const failure = error ? explain(error) : null;
  if (failure && since && error?.code === "source_unreachable") {
    // The first sentence already says this.
    failure.text = "";
  }
  return (
    <span class="why">
      {since && t("cameras.offline_since", { time: dateTime(since) })}{" "}
      {failure && <FailureText failure={failure} />}
    </span>
  );
}

/** The form for the camera with this id, or for a new camera if the id is null. */
function Editor({ id, back }: { id: string | null; back: string }) {
  const [camera, setCamera] = useState<Camera | null>(null);
  useEffect(() => {
    setCamera(null);
    const refuse = (error: unknown) => {
      report(error);
      go(back);
    };
    if (id && !isId(id)) {
      refuse(new Problem(404, "unknown_camera"));
    } else if (id) {
      readCamera(id).then(setCamera, refuse);
    }
  }, [id, back]);
  if (id && !camera) {
    return null;
  }
  const onSaved = (saved: Camera, watches: boolean) => {
    notify(t("cameras.saved", { name: saved.name }));
    go(watches ? watchAddress(saved.id) : back);
  };
  return (
    <CameraForm key={id ?? "new"} camera={camera} onClose={() => go(back)} onSaved={onSaved} />
  );
}

/**
 * Buttons for export and import. Only a service with the same encryption key can import the sources.
 */
function Transfer() {
  const exported = async () => {
    try {
      saveFile("cameras.json", await getFile("cameras.json"));
    } catch (cause) {
      report(cause);
    }
  };
  return (
    <>
      <Import />
      <button type="button" title={t("cameras.export_hint")} onClick={exported}>
        <Icon name="download" />
        {t("cameras.export")}
      </button>
    </>
  );
}
