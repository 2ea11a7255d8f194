// A tile: one camera on the wall.
import { useEffect, useState } from "preact/hooks";

import type { Coded } from "../../api/problem";
import { streams, wasLive } from "../../api/streams";
import type { Stream } from "../../api/types";
import { setVolume, volume } from "../../playback/volume";
import type { LivePlayer } from "../../player/live";
import { type Picture, sizeOf } from "../../player/screen";
import { saveFile, timeForFile } from "../../ui/browser";
import { bitRate, number, t } from "../../ui/i18n";
import { IconButton } from "../../ui/icons";
import { notify } from "../../ui/notice";
import { Mark } from "../badge";
import {
  ACTION_ICONS,
  type Action,
  APPEARANCES,
  type Condition,
  conditionOf,
  factsOfTile,
} from "../condition";
import { Details } from "./details";
import { useFullScreen } from "./full-screen";
import { useShortcuts } from "./keys";
import type { WallCamera } from "./load";
import { Motion } from "./motion";
import { Message } from "./tile-message";
import { useLive } from "./use-live";
import { usePoster } from "./use-poster";

interface TileProps {
  camera: WallCamera;
  /** Whether the tile is enlarged. */
  isOpen: boolean;
  isLowLatency: boolean;
  /** Whether the tile is one of many that are visible. */
  isWall: boolean;
  /**
   * Whether the page has few tiles, or this tile is enlarged. Such a tile plays the main stream, and its
   * start request waits until the stream is live.
   */
  isFew: boolean;
  onOpen: () => void;
  onClose: () => void;
  /** Takes the camera off a wall of selected cameras; null on the wall of all cameras. */
  onRemove: (() => void) | null;
  /** Called when the service has reported that the camera, or the stream that the tile plays, does not exist. */
  onMissing: () => void;
}

export function Tile({
  camera,
  isOpen,
  isWall,
  isLowLatency,
  isFew,
  onOpen,
  onClose,
  onRemove,
  onMissing,
}: TileProps) {
  const [isWanted, setWanted] = useState(true);
  const [isMuted, setMuted] = useState(true);
  const [hasDetails, setDetails] = useState(false);
  const { id, name } = camera;
  const profile = !isOpen && !isFew && camera.source_sub ? "sub" : "main";
  const { tile, video, still, player, streamKey } = useLive({
    id,
    profile,
    hasSub: Boolean(camera.source_sub),
    isLowLatency,
    isWall,
    isWanted,
    waits: isFew,
  });
  const stream = streams.value?.get(streamKey);
  const state = player?.state.value ?? "idle";
  const { condition, error } = summaryOf(player, isWanted, streamKey);
  const poster = usePoster(camera, profile, state);
  useEffect(() => {
    if (condition === "missing") {
      onMissing();
    }
  }, [condition, onMissing]);

  const { isFilling, toggle } = useFullScreen();
  const fullScreen = () => toggle(tile.current, player?.screen.shown.peek() ?? null);
  const photo = async () => {
    const picture = player && (await snapshot(player.screen.shown.peek()));
    if (picture) {
      saveFile(`${id}_${timeForFile()}.jpg`, picture);
    } else {
      notify(t("tile.no_picture"), true);
    }
  };
  const toggleMute = () => setMuted(!isMuted);
  useEffect(() => player?.setSound(!isMuted), [player, isMuted]);
  const actions: Record<Action, (() => void) | null> = {
    stop: () => setWanted(false),
    start: () => setWanted(true),
    retry: () => player?.hurry(),
    remove: onRemove,
  };
  const { action } = APPEARANCES[condition];
  const onAction = action && actions[action];
  useShortcuts(tile, { f: fullScreen, m: toggleMute, s: photo });

  return (
    <article
      ref={tile as never}
      class={classOf(state, isOpen, isFilling)}
      data-camera={id}
      data-state={isWanted ? state : "stopped"}
      data-condition={condition}
      data-mode={isLowLatency ? "low-latency" : "plain"}
      data-transport={player?.transport}
      aria-label={`${name}, ${t(`condition.${condition}`)}`}
    >
      {/* biome-ignore lint/a11y/noAriaHiddenOnFocusable: a canvas takes no focus */}
      <canvas
        ref={still}
        class={player?.hasStill.value ? "still" : "still none"}
        aria-hidden="true"
      />
      {/* The player adds further elements here, and controls the sound of all of them. */}
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the button of the tile has the same action */}
      <div class={state === "live" ? "screen" : "screen veiled"} onDblClick={fullScreen}>
        <video
          ref={video}
          poster={poster}
          muted
          playsInline
          autoplay
          disableRemotePlayback
          aria-label={t("tile.video", { name })}
        />
      </div>
      {state === "live" && <Motion camera={camera} player={player} isWall={isWall} />}
      <button
        type="button"
        class="tile-open"
        aria-label={t(isOpen ? "tile.shrink" : "tile.enlarge", { name })}
        onClick={isOpen ? onClose : onOpen}
      />
      <Message id={id} condition={condition} error={error} onAction={onAction} />
      {isWanted && <SlowNote player={player} />}
      <div class="tile-head">
        <span class="tile-label">
          <Mark condition={condition} />
          <span class="tile-name" dir="auto" title={name}>
            {name}
          </span>
          <span class="tile-state">{t(`condition.${condition}`)}</span>
        </span>
        <Figures player={player} stream={state === "live" ? stream : undefined} />
      </div>
      <Controls
        name={name}
        action={onAction ? action : null}
        isMuted={isMuted}
        isLive={state === "live"}
        onAction={onAction}
        volume={volume.value}
        onMute={toggleMute}
        onVolume={setVolume}
        onPhoto={photo}
        onDetails={() => setDetails(true)}
        onFullScreen={fullScreen}
      />
      {hasDetails && (
        <Details
          camera={camera}
          profile={profile}
          stream={stream}
          condition={condition}
          error={error}
          player={player}
          onRemove={onRemove}
          onClose={() => setDetails(false)}
        />
      )}
    </article>
  );
}

function classOf(state: string, isOpen: boolean, isFilling: boolean): string {
  return `tile ${state} ${isOpen ? "open" : ""} ${isFilling ? "filling" : ""}`;
}

/** Returns the condition of a tile, and the reason why it shows no video; null without such a reason. */
function summaryOf(
  player: LivePlayer | null,
  isWanted: boolean,
  streamKey: string,
): { condition: Condition; error: Coded | null } {
  const stream = streams.value?.get(streamKey);
  const reason = player?.reason.value ?? null;
  const facts = factsOfTile({
    player: player?.state.value ?? "idle",
    isWanted,
    code: reason?.code ?? null,
    stream,
    wasLive: wasLive(streamKey),
  });
  const streamError = stream?.state === "live" ? null : (stream?.last_error ?? null);
  return { condition: conditionOf(facts), error: reason ?? streamError };
}

interface ControlsProps {
  name: string;
  /** The action of the camera's condition; null if the condition has no action. */
  action: Action | null;
  isMuted: boolean;
  isLive: boolean;
  /** The volume of the sound, from 0 to 1. */
  volume: number;
  onAction: (() => void) | null;
  onMute: () => void;
  onVolume: (level: number) => void;
  onPhoto: () => void;
  onDetails: () => void;
  onFullScreen: () => void;
}

function Controls({
  name,
  action,
  isMuted,
  isLive,
  volume: level,
  onAction,
  onMute,
  onVolume,
  onPhoto,
  onDetails,
  onFullScreen,
}: ControlsProps) {
  return (
    <div class="tile-foot">
      {action && onAction && (
        <IconButton icon={ACTION_ICONS[action]} label={t(`action.${action}`)} onClick={onAction} />
      )}
      <IconButton
        icon={isMuted ? "muted" : "sound"}
        label={t(isMuted ? "tile.unmute" : "tile.mute")}
        onClick={onMute}
      />
      {!isMuted && (
        <input
          class="volume"
          type="range"
          min={0}
          max={1}
          step={0.05}
          value={level}
          aria-label={t("tile.volume")}
          onInput={(event) => onVolume(event.currentTarget.valueAsNumber)}
        />
      )}
      <IconButton icon="photo" label={t("tile.snapshot")} disabled={!isLive} onClick={onPhoto} />
      <span class="gap" />
      <IconButton
        class="essential"
        icon="more"
        label={t("tile.more", { name })}
        onClick={onDetails}
      />
      <IconButton icon="full" label={t("tile.full_screen")} onClick={onFullScreen} />
    </div>
  );
}

/**
 * Latency and bit rate. This is a separate component, because the latency changes more often than the rest of
 * the tile.
 */
function Figures({ player, stream }: { player: LivePlayer | null; stream: Stream | undefined }) {
  const latency = player?.latency.value ?? null;
  const rate = stream?.media?.bit_rate;
  return (
    <span class="tile-figures">
      <span class="latency" title={t("tile.latency")}>
        {latency === null ? "" : t("tile.behind", { n: number(latency, latency < 0.1 ? 2 : 1) })}
      </span>
      <span class="rate">{rate ? bitRate(rate) : ""}</span>
    </span>
  );
}

/** A note that the connection is too slow for the requested stream. */
function SlowNote({ player }: { player: LivePlayer | null }) {
  if (!player?.adaptation.isSlow.value || player.state.value === "idle") {
    return null;
  }
  const isVideo = player.state.value !== "pictures";
  return (
    <p class="tile-note" role="status">
      {t(isVideo ? "tile.slow_sub" : "tile.slow_pictures")}
    </p>
  );
}

/** Returns the current picture as a JPEG; null if there is none. */
function snapshot(element: Picture): Promise<Blob> | null {
  const { width, height } = sizeOf(element);
  if (!width) {
    return null;
  }
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d")?.drawImage(element, 0, 0);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
}
