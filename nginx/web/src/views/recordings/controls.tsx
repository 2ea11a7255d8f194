// The buttons below the videos.
import { useLayoutEffect, useState } from "preact/hooks";

import { saveFile, timeForFile } from "../../ui/browser";
import { clock, language, t } from "../../ui/i18n";
import { IconButton } from "../../ui/icons";
import { notify } from "../../ui/notice";
import type { Session } from "./session";

export const RATES = [0.25, 0.5, 1, 2, 4, 8];
/** The length of a jump in milliseconds. */
export const JUMP_MS = 10_000;

export interface Actions {
  toggle: () => void;
  jump: (by: number) => void;
  step: (direction: 1 | -1) => void;
}

interface ControlsProps {
  session: Session;
  actions: Actions;
  onFullScreen: () => void;
}

export function Controls({ session, actions, onFullScreen }: ControlsProps) {
  const { group, cameras } = session;
  const [isMuted, setMuted] = useState(true);
  const isPlaying = group?.isPlaying.value ?? false;
  // The players are replaced if the browser cannot play the video. A browser may permit sound only while it handles the
  // click, so this cannot wait for the next frame.
  useLayoutEffect(() => group?.players[0]?.setSound(isMuted, 1), [group, isMuted]);
  return (
    <div class="recorded-controls">
      <IconButton
        icon="earlier"
        label={t("recordings.back")}
        onClick={() => actions.jump(-JUMP_MS)}
      />
      <IconButton
        icon="frame_back"
        label={t("recordings.frame_back")}
        onClick={() => actions.step(-1)}
      />
      <IconButton
        class="primary"
        icon={isPlaying ? "pause" : "play"}
        label={t(isPlaying ? "recordings.pause" : "recordings.play")}
        onClick={actions.toggle}
      />
      <IconButton
        icon="frame_on"
        label={t("recordings.frame_on")}
        onClick={() => actions.step(1)}
      />
      <IconButton icon="later" label={t("recordings.on")} onClick={() => actions.jump(JUMP_MS)} />
      <select
        aria-label={t("recordings.speed")}
        value={String(group?.rate.value ?? 1)}
        onChange={(event) => group?.setRate(Number(event.currentTarget.value))}
      >
        {RATES.map((rate) => (
          <option key={rate} value={String(rate)}>
            {rate.toLocaleString(language.value)}×
          </option>
        ))}
      </select>
      <Clock session={session} />
      <span class="gap" />
      {cameras.length === 1 && (
        <IconButton
          icon={isMuted ? "muted" : "sound"}
          label={t(isMuted ? "tile.unmute" : "tile.mute")}
          onClick={() => setMuted(!isMuted)}
        />
      )}
      {cameras.length === 1 && (
        <IconButton
          icon="photo"
          label={t("tile.snapshot")}
          onClick={() => void savePicture(session)}
        />
      )}
      <IconButton icon="full" label={t("tile.full_screen")} onClick={onFullScreen} />
    </div>
  );
}

/** The date of the picture. This is a separate component, because it changes often. */
function Clock({ session: { group, scrubbed } }: { session: Session }) {
  const date = scrubbed.value ?? group?.date.value;
  if (!date) {
    return <time class="recorded-clock" />;
  }
  const time = new Date(date);
  const day = time.toLocaleDateString(language.value, { dateStyle: "medium" });
  return (
    <time class="recorded-clock" dateTime={time.toISOString()} data-date={Math.round(date)}>
      <span class="quiet">{day}</span> <strong>{clock(date)}</strong>{" "}
      <span class="quiet">{zoneOf(time)}</span>
    </time>
  );
}

/** Returns the short name of the time zone, such as CET. */
function zoneOf(time: Date): string {
  const format = new Intl.DateTimeFormat(language.value, { timeZoneName: "short" });
  return format.formatToParts(time).find(({ type }) => type === "timeZoneName")?.value ?? "";
}

async function savePicture({ cameras, group }: Session): Promise<void> {
  const video = group?.players[0]?.video.value;
  if (!video?.videoWidth) {
    notify(t("tile.no_picture"), true);
    return;
  }
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  canvas.getContext("2d")?.drawImage(video, 0, 0);
  const picture = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
  saveFile(`${cameras[0]?.id}_${timeForFile(new Date(group?.date.value ?? 0))}.jpg`, picture);
}
