// The wall: live video of several cameras side by side, or of one camera.
import { useEffect, useRef, useState } from "preact/hooks";

import { hasRight, hasRole } from "../../api/caller";
import { isReachable, useStreams } from "../../api/streams";
import { copyText, fillScreen } from "../../ui/browser";
import { t } from "../../ui/i18n";
import { Icon, IconButton } from "../../ui/icons";
import { notify } from "../../ui/notice";
import { Alert, Empty, Pager } from "../../ui/parts";
import { recordingsAddress } from "../../ui/place";
import { ErrorText } from "../error";
import { useKeys } from "./keys";
import { capacity, change, FEW_TILES, GRIDS, type Grid, layout, shape } from "./layout";
import { useCameras, type WallCamera } from "./load";
import { MotionButton } from "./motion";
import { Picker } from "./picker";
import { Tile } from "./tile";

/** Returns whether the page was loaded over HTTP/1, or over an unknown protocol. */
function isHttp1(): boolean {
  const [entry] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
  return !entry || /^(http\/|$)/.test(entry.nextHopProtocol);
}

/** Returns from a single camera to the wall, and moves the focus to that camera's tile. */
function closeCamera(): void {
  const id = layout.peek().open;
  change({ open: null });
  requestAnimationFrame(() =>
    document.querySelector<HTMLElement>(`[data-camera="${id}"] .tile-open`)?.focus(),
  );
}

/** Returns from a single camera to the wall, unless Esc ends the browser's full screen. */
function onEscape(): void {
  if (layout.peek().open && !document.fullscreenElement) {
    closeCamera();
  }
}

export function Wall() {
  useStreams();
  const wall = useRef<HTMLDivElement>(null);
  const [isPicking, setPicking] = useState(false);
  const now = layout.value;
  const { value, error, again } = useCameras(now);
  const cameras = value?.cameras;
  const total = value?.total ?? 0;
  const size = capacity(now.grid);
  const pages = Math.ceil(total / size);
  const isPastEnd = cameras?.length === 0 && total > 0 && now.page > 0;
  const open = cameras?.find(({ id }) => id === now.open) ?? null;
  const tiles = cameras ?? [];
  const { columns, rows } = shape(now.grid, tiles.length || 1);
  const isFew = tiles.length <= FEW_TILES;

  // If this page of the wall no longer exists, for example because cameras were removed, shows the last page.
  useEffect(() => {
    if (isPastEnd) {
      change({ page: pages - 1 }, true);
    }
  }, [isPastEnd, pages]);

  useKeys(wall, onEscape);

  const show = (id: string) => change({ open: id });
  const remove = (id: string) => {
    const left = now.cameras?.filter((other) => other !== id) ?? [];
    change({ cameras: left.length > 0 ? left : null, open: null });
  };

  if (cameras && total === 0) {
    return <Welcome />;
  }
  return (
    <div class="wall-view">
      <h1 class="unseen">{t("nav.wall")}</h1>
      {open ? (
        <OpenBar
          camera={open}
          ids={tiles.map(({ id }) => id)}
          onClose={closeCamera}
          onShow={show}
        />
      ) : (
        <WallBar
          grid={now.grid}
          page={now.page}
          pages={pages}
          cameras={tiles}
          onPick={() => setPicking(true)}
          wall={wall}
        />
      )}
      {(error !== null || !isReachable.value) && (
        <Alert>{error === null ? t("problem.away") : <ErrorText error={error} />}</Alert>
      )}
      <div
        ref={wall}
        class={`wall ${open ? "one" : ""}`}
        data-grid={now.grid}
        aria-busy={!cameras}
        style={{ "--columns": open ? 1 : columns, "--rows": open ? 1 : rows }}
      >
        {tiles.map((camera) => (
          <Tile
            key={camera.id}
            camera={camera}
            isOpen={camera === open}
            isWall={tiles.length > 1 && camera !== open}
            isFew={isFew || camera === open}
            isLowLatency={isFew || camera === open || !isHttp1()}
            onOpen={() => show(camera.id)}
            onClose={closeCamera}
            onRemove={now.cameras ? () => remove(camera.id) : null}
            onMissing={again}
          />
        ))}
      </div>
      {isPicking && (
        <Picker
          shown={tiles}
          ids={now.cameras}
          onClose={() => setPicking(false)}
          onSelect={(ids) => {
            setPicking(false);
            change({ cameras: ids, page: 0, open: null });
          }}
        />
      )}
    </div>
  );
}

/** The largest number of cameras whose recordings are shown in step. */
const MAX_RECORDED = 9;

/** A link to the recordings of these cameras; nothing if the caller is not permitted to watch recordings. */
function RecordingsLink({ ids, label }: { ids: string[]; label: string }) {
  if (!hasRight("recordings") || ids.length === 0) {
    return null;
  }
  return (
    <a
      class="icon-button"
      href={recordingsAddress(ids.slice(0, MAX_RECORDED))}
      aria-label={label}
      title={label}
    >
      <Icon name="history" />
    </a>
  );
}

interface WallBarProps {
  cameras: WallCamera[];
  grid: Grid;
  page: number;
  pages: number;
  onPick: () => void;
  wall: { current: HTMLElement | null };
}

function WallBar({ cameras, grid, page, pages, onPick, wall }: WallBarProps) {
  const share = async () => {
    const isDone = await copyText(location.href);
    notify(isDone ? t("wall.link_copied") : location.href, !isDone);
  };
  return (
    <div class="bar">
      <fieldset class="segments" aria-label={t("wall.grid")}>
        {GRIDS.map((choice) => (
          <button
            type="button"
            key={choice}
            class={Number(choice) > 2 ? "large" : ""}
            aria-pressed={choice === grid}
            onClick={() => change({ grid: choice, page: 0 })}
            title={choice === "auto" ? t("wall.auto_title") : undefined}
          >
            {choice === "auto" ? t("wall.auto") : `${choice}×${choice}`}
          </button>
        ))}
      </fieldset>
      <Pager page={page} pages={pages} onPage={(next) => change({ page: next })} />
      <span class="gap" />
      <button type="button" onClick={onPick} aria-label={t("wall.choose")}>
        <Icon name="list" />
        <span class="words">{t("wall.choose")}</span>
      </button>
      <MotionButton cameras={cameras} />
      <RecordingsLink ids={cameras.map(({ id }) => id)} label={t("recordings.open_wall")} />
      <IconButton icon="link" label={t("wall.share")} onClick={share} />
      {document.fullscreenEnabled && (
        <IconButton
          icon="full"
          label={t("wall.full_screen")}
          onClick={() => wall.current && fillScreen(wall.current)}
        />
      )}
    </div>
  );
}

interface OpenBarProps {
  /** The enlarged camera. */
  camera: WallCamera;
  ids: string[];
  onClose: () => void;
  onShow: (id: string) => void;
}

function OpenBar({ camera, ids, onClose, onShow }: OpenBarProps) {
  const { id, name } = camera;
  const index = ids.indexOf(id);
  const step = (by: number) => {
    const next = ids[(index + by + ids.length) % ids.length];
    if (next) {
      onShow(next);
    }
  };
  return (
    <div class="bar">
      <button type="button" onClick={onClose} aria-label={t("wall.back")}>
        <Icon name="back" />
        <span class="words">{t("wall.back")}</span>
      </button>
      <strong class="bar-title" dir="auto" title={name}>
        {name}
      </strong>
      <span class="gap" />
      <MotionButton cameras={[camera]} />
      <RecordingsLink ids={[id]} label={t("recordings.open", { name })} />
      {ids.length > 1 && (
        <IconButton icon="previous" label={t("wall.previous")} onClick={() => step(-1)} />
      )}
      {ids.length > 1 && <IconButton icon="next" label={t("wall.next")} onClick={() => step(1)} />}
    </div>
  );
}

/** The message in place of the wall while there are no cameras. */
function Welcome() {
  return (
    <Empty icon="camera" title={t("welcome.title")}>
      <h1 class="unseen">{t("nav.wall")}</h1>
      {hasRole("user") ? (
        <>
          <p>{t("welcome.text")}</p>
          <div class="actions centered">
            <a class="button primary" href="#/cameras?add">
              <Icon name="plus" />
              {t("camera.add")}
            </a>
            <a class="button" href="#/discovery">
              <Icon name="search" />
              {t("welcome.discover")}
            </a>
          </div>
        </>
      ) : (
        <p>{t("welcome.viewer")}</p>
      )}
    </Empty>
  );
}
