// Boxes around what moves in front of a camera, above the picture of its tile.
import { signal } from "@preact/signals";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import { readMotion } from "../../api/cameras";
import { isAnalysed } from "../../api/motion";
import { useReading } from "../../api/reading";
import type { MotionBox } from "../../api/types";
import type { LivePlayer } from "../../player/live";
import { sizeOf } from "../../player/screen";
import { t } from "../../ui/i18n";
import { IconButton } from "../../ui/icons";
import { userStorage } from "../../ui/storage";
import type { WallCamera } from "./load";

const STORED = "motion";
/** Pauses between two requests. The service analyses five pictures per second. */
const PAUSES = {
  /** The only visible camera. */
  one: { still: 200, moving: 50 },
  /** Each of many visible cameras. */
  many: { still: 1000, moving: 250 },
};
/** Boxes disappear after this time without newer ones, in milliseconds. */
const MAX_AGE_MS = 2000;

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

/** A button that switches the boxes on and off; nothing if motion is detected in front of none of these cameras. */
export function MotionButton({ cameras }: { cameras: WallCamera[] }) {
  return cameras.some(isAnalysed) ? (
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
  return player && showsMotion.value && isAnalysed(camera) ? (
    <Boxes id={camera.id} player={player} isWall={isWall} />
  ) : null;
}

/** The boxes of an analysed picture. */
interface Found {
  boxes: MotionBox[];
  isMoving: boolean;
  /** The time at which the picture arrived at the service, as a value of `performance.now()`. */
  arrivedAt: number;
}

async function find(id: string): Promise<Found> {
  const sentAt = performance.now();
  const { boxes, moving, picture_age_seconds: age } = await readMotion(id);
  const answeredAt = (sentAt + performance.now()) / 2;
  return {
    boxes,
    isMoving: moving,
    arrivedAt: answeredAt - (age ?? Number.POSITIVE_INFINITY) * 1000,
  };
}

function Boxes({ id, player, isWall }: { id: string; player: LivePlayer; isWall: boolean }) {
  const read = useCallback(() => find(id), [id]);
  const [isMoving, setMoving] = useState(false);
  const pauses = isWall ? PAUSES.many : PAUSES.one;
  const { value } = useReading(read, { every: isMoving ? pauses.moving : pauses.still });
  useEffect(() => setMoving(value?.isMoving ?? false), [value]);
  const boxes = useBoxesOfPicture(value, player);
  const { width, height } = sizeOf(player.screen.shown.value);
  if (!width || boxes.length === 0) {
    return null;
  }
  // Like the picture, the drawing fills the tile as far as its shape permits.
  return (
    <svg class="motion-boxes" viewBox={`0 0 ${width} ${height}`} role="img">
      <title>{t("tile.motion")}</title>
      {boxes.map((box, n) => (
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

/**
 * Returns the boxes of the picture that the player shows now. The picture is older than the boxes if the transport has a
 * buffer, so boxes wait until the player shows their picture.
 */
function useBoxesOfPicture(found: Found | null, player: LivePlayer): MotionBox[] {
  const [shown, setShown] = useState<Found | null>(null);
  const timers = useRef(new Set<ReturnType<typeof setTimeout>>());
  useEffect(() => {
    if (!found) {
      return;
    }
    const latency = (player.latency.peek() ?? 0) * 1000;
    const age = performance.now() - found.arrivedAt;
    if (age > latency + MAX_AGE_MS) {
      return;
    }
    const timer = setTimeout(
      () => {
        timers.current.delete(timer);
        setShown((before) => (before && before.arrivedAt > found.arrivedAt ? before : found));
      },
      Math.max(0, latency - age),
    );
    timers.current.add(timer);
  }, [found, player]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: newer boxes are visible for the same time
  useEffect(() => {
    const timer = setTimeout(() => setShown(null), MAX_AGE_MS);
    return () => clearTimeout(timer);
  }, [shown]);
  useEffect(() => () => timers.current.forEach(clearTimeout), []);
  return shown?.boxes ?? [];
}
