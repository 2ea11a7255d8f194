// The dialog with the details of a camera on the wall, and links to the camera.
import { type ComponentChildren, Fragment } from "preact";
import { useState } from "preact/hooks";

import { hasRight, hasRole } from "../../api/caller";
import { explain } from "../../api/explanation";
import type { Coded } from "../../api/problem";
import { streamKey } from "../../api/stream-key";
import type { Profile, Stream } from "../../api/types";
import { addressFor } from "../../playback/permission";
import type { LivePlayer } from "../../player/live";
import { copyText, saveFile } from "../../ui/browser";
import { FailureText } from "../../ui/failure";
import { bitRate, duration, number, t } from "../../ui/i18n";
import { Icon } from "../../ui/icons";
import { notify } from "../../ui/notice";
import { Dialog } from "../../ui/parts";
import { editAddress, recordingsAddress } from "../../ui/place";
import { Badge } from "../badge";
import type { Condition } from "../condition";
import { report } from "../error";
import type { WallCamera } from "./load";
import { Playback } from "./playback";

interface DetailsProps {
  camera: WallCamera;
  profile: Profile;
  stream: Stream | undefined;
  /** The condition of the tile. */
  condition: Condition;
  /** The reason why the tile shows no video; null without such a reason. */
  error: Coded | null;
  player: LivePlayer | null;
  onRemove: (() => void) | null;
  onClose: () => void;
}

export function Details(props: DetailsProps) {
  const { camera, profile, condition, onRemove, onClose } = props;
  const exists = condition !== "missing";
  const [isBusy, setBusy] = useState(false);
  const key = streamKey(camera.id, profile);
  const source = profile === "sub" ? camera.source_sub : camera.source;

  const copy = async (text: string) => {
    const isDone = await copyText(text);
    notify(isDone ? t("copied") : text, !isDone);
  };
  const withAddress = (use: (address: string) => void | Promise<void>) => async () => {
    setBusy(true);
    try {
      await use(await addressFor(camera.id, key));
    } catch (error) {
      report(error);
    }
    setBusy(false);
  };
  const openInVlc = (address: string) => {
    const text = `#EXTM3U\n#EXTINF:-1,${camera.name}\n${address}\n`;
    saveFile(`${camera.id}.m3u`, new Blob([text], { type: "audio/x-mpegurl" }));
  };

  return (
    <Dialog title={camera.name} onClose={onClose} class="narrow">
      <Facts {...props} />
      <Playback id={camera.id} player={props.player} />
      <ul class="menu">
        {source && (
          <li>
            <button type="button" onClick={() => copy(withoutSecrets(source))}>
              <Icon name="copy" />
              {t("details.copy_rtsp")}
            </button>
          </li>
        )}
        {exists && (
          <li>
            <button type="button" disabled={isBusy} onClick={withAddress(copy)}>
              <Icon name="link" />
              {t("details.copy_hls")}
            </button>
          </li>
        )}
        {exists && (
          <li>
            <button type="button" disabled={isBusy} onClick={withAddress(openInVlc)}>
              <Icon name="play" />
              {t("details.vlc")}
            </button>
          </li>
        )}
        {exists && hasRole("user") && (
          <li>
            <a href={editAddress(camera.id, "wall")}>
              <Icon name="edit" />
              {t("camera.edit")}
            </a>
          </li>
        )}
        {exists && hasRight("recordings") && (
          <li>
            <a href={recordingsAddress([camera.id])}>
              <Icon name="history" />
              {t("nav.recordings")}
            </a>
          </li>
        )}
        {onRemove && (
          <li>
            <button type="button" onClick={onRemove}>
              <Icon name="close" />
              {t("action.remove")}
            </button>
          </li>
        )}
      </ul>
    </Dialog>
  );
}

/** Removes the placeholder of hidden credentials, as in rtsp://***@host. Players prompt for credentials. */
function withoutSecrets(source: string): string {
  return source.replace("***@", "");
}

function Facts({ camera, stream, condition, error }: DetailsProps) {
  const media = stream?.media;
  const lastError = error ?? stream?.last_error;
  const facts: [string, ComponentChildren][] = [
    [t("fact.id"), camera.id],
    [t("fact.owner"), camera.owner],
    [t("fact.source"), stream?.source ?? camera.source],
    [
      t("fact.picture"),
      media && `${media.width} × ${media.height}, ${number(media.frame_rate)} fps`,
    ],
    [t("fact.codec"), media && [media.video_codec, media.audio_codec].filter(Boolean).join(", ")],
    [t("fact.transcoded"), media?.transcoded ? t("fact.transcoded_why") : null],
    [t("fact.bit_rate"), media && bitRate(media.bit_rate)],
    [
      t("fact.keyframes"),
      media?.gop_seconds != null ? t("fact.every", { n: number(media.gop_seconds, 1) }) : null,
    ],
    [t("fact.viewers"), stream?.viewers != null ? number(stream.viewers) : null],
    [t("fact.uptime"), stream?.uptime_seconds != null ? duration(stream.uptime_seconds) : null],
    [t("fact.last_error"), lastError && <FailureText failure={explain(lastError)} />],
  ];
  return (
    <dl class="facts">
      <dt>{t("fact.state")}</dt>
      <dd>
        <Badge condition={condition} />
      </dd>
      {facts
        .filter(([, value]) => value)
        .map(([name, value]) => (
          <Fragment key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </Fragment>
        ))}
    </dl>
  );
}
