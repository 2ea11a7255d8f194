// The recordings of a share link, which users without a key can watch and export.
import { useEffect, useMemo, useState } from "preact/hooks";

import type { Timeline } from "../../api/types";
import { readFile, type Source, sharedSource, timeText } from "../../playback/recordings/source";
import { dateTimeSeconds, t } from "../../ui/i18n";
import { Empty } from "../../ui/parts";
import { place } from "../../ui/place";
import { ErrorText } from "../error";
import type { View } from "./scale";
import type { RecordedCamera } from "./session";
import { type SharedPlace, sharedPlace } from "./shared-address";
import { Viewer } from "./viewer";

export function Shared() {
  const shared = sharedPlace(place.value.query);
  if (!shared) {
    return (
      <Empty icon="alert" title={t("shared.invalid_title")}>
        <h1 class="unseen">{t("nav.shared")}</h1>
        <p>{t("shared.invalid")}</p>
      </Empty>
    );
  }
  return <SharedRecordings key={shared.token} {...shared} />;
}

function SharedRecordings({ token, camera, name, limit }: SharedPlace) {
  const [found, setFound] = useState<RecordedCamera | null>(null);
  const [error, setError] = useState<unknown>(null);
  const { from, to } = limit;
  const source = useMemo(() => sharedSource(token, { from, to }), [token, from, to]);
  useEffect(() => {
    document.title = `${t("nav.shared")} – stream-manager`;
    streamsOf(source, camera, { from, to }).then(
      (streams) => setFound({ id: camera, name, streams }),
      setError,
    );
  }, [source, camera, name, from, to]);
  if (error !== null) {
    return (
      <Empty icon="alert" title={t("shared.refused")}>
        <h1 class="unseen">{t("nav.shared")}</h1>
        <p>
          <ErrorText error={error} />
        </p>
      </Empty>
    );
  }
  if (!found) {
    return <div class="list waiting" aria-busy="true" />;
  }
  return (
    <Viewer
      source={source}
      cameras={[found]}
      at={from}
      limit={limit}
      seconds={null}
      onPlace={() => undefined}
      head={
        <>
          <h1 class="bar-title" dir="auto" title={name}>
            {name}
          </h1>
          <span class="quiet">
            {dateTimeSeconds(timeText(from))} – {dateTimeSeconds(timeText(to))}
          </span>
        </>
      }
    />
  );
}

/** Returns the streams that have recordings in the shared time. */
async function streamsOf(
  source: Source,
  camera: string,
  { from, to }: View,
): Promise<RecordedCamera["streams"]> {
  const query = { from: timeText(from), to: timeText(to) };
  const has = async (stream: string) => {
    const { spans } = await readFile<Timeline>(source, stream, "timeline.json", query);
    return spans.length > 0 ? stream : null;
  };
  const main = await has(camera);
  const sub = await has(`${camera}~sub`).catch(() => null);
  return main || sub ? { main, sub } : { main: camera, sub: null };
}
