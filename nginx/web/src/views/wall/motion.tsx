// Boxes around what moves in front of a camera, above the picture of its tile.
import { signal } from "@preact/signals";
import { useCallback, useEffect, useState } from "preact/hooks";

import { hasRole } from "../../api/caller";
import { readMotion } from "../../api/cameras";
import { isAnalysed } from "../../api/motion";
import { useReading } from "../../api/reading";
import type { LivePlayer } from "../../player/live";
import { sizeOf } from "../../player/screen";
import { t } from "../../ui/i18n";
import { IconButton } from "../../ui/icons";
import { userStorage } from "../../ui/storage";
import type { WallCamera } from "./load";

const STORED = "motion";
/** Pause between two requests. The service analyses five pictures per second. */
const EVERY_MS = 1000;
/** Pause while something moves in front of the only visible camera. */
const MOVING_MS = 150;
/** Boxes of pictures that are older than this are hidden, in seconds. */
const MAX_AGE = 2;

/** Whether the tiles show what moves. The browser keeps it. */
const showsMotion = signal(userStorage.getItem(STORED) !== null);

function toggleMotion(): void {
  showsMotion.value = !showsMotion.value;
  if (showsMotion.value) {
    userStorage.setItem(STORED, "1");
  } else {
    userStorage.removeItem(STORED);
  }
}

/** Returns whether the service reports to this caller what moves in front of the camera. */
function canShow(camera: WallCamera): boolean {
  return hasRole("user") && isAnalysed(camera);
}

/** A button that switches the boxes on and off; nothing if motion is detected in front of none of these cameras. */
export function MotionButton({ cameras }: { cameras: WallCamera[] }) {
  return cameras.some(canShow) ? (
    <IconButton
      class="toggle"
      icon="motion"
      label={t("wall.motion")}
      pressed={showsMotion.value}
      onClick={toggleMotion}
    />
  ) : null;
}

interface MotionProps {
  camera: WallCamera;
  player: LivePlayer | null;
  /** Whether the tile is one of many that are visible. */
  isWall: boolean;
}

/** The boxes of a tile with live video, if the user wants to see them. */
export function Motion({ camera, player, isWall }: MotionProps) {
  return player && showsMotion.value && canShow(camera) ? (
    <Boxes id={camera.id} player={player} isWall={isWall} />
  ) : null;
}

function Boxes({ id, player, isWall }: { id: string; player: LivePlayer; isWall: boolean }) {
  const read = useCallback(() => readMotion(id), [id]);
  const [isMoving, setMoving] = useState(false);
  const { value, error } = useReading(read, { every: isMoving && !isWall ? MOVING_MS : EVERY_MS });
  useEffect(() => setMoving(value?.moving ?? false), [value]);
  const { width, height } = sizeOf(player.screen.shown.value);
  const isRecent = error === null && (value?.picture_age_seconds ?? MAX_AGE) < MAX_AGE;
  if (!value || !isRecent || !width || value.boxes.length === 0) {
    return null;
  }
  // Like the picture, the drawing fills the tile as far as its shape permits.
  return (
    <svg class="motion-boxes" viewBox={`0 0 ${width} ${height}`} role="img">
      <title>{t("tile.motion")}</title>
      {value.boxes.map((box, n) => (
        <rect
          // biome-ignore lint/suspicious/noArrayIndexKey: boxes have no identity
          key={n}
          x={box.left * width}
          y={box.top * height}
          width={box.width * width}
          height={box.height * height}
        />
      ))}
    </svg>
  );
}
