// The cameras in front of which motion is detected: the analysed stream, the age of its last picture, and failures.
import { useCallback, useState } from "preact/hooks";

import { listCameras, readMotion } from "../../api/cameras";
import { isAnalysed } from "../../api/motion";
import { useReading } from "../../api/reading";
import { streamKey } from "../../api/stream-key";
import { streams } from "../../api/streams";
import type { Camera, MotionNow } from "../../api/types";
import { duration, number, plural, t } from "../../ui/i18n";
import { Pager } from "../../ui/parts";
import { watchAddress } from "../../ui/place";
import { ScrollBox } from "../../ui/scroll-box";
import { ErrorAlert } from "../error";

/** Number of cameras in a request for the list: the API's limit. */
const MANY = 1000;
/** Pause between two requests for the list of cameras. */
const LIST_MS = 60_000;
const EVERY_MS = 5000;
/** Number of cameras on a page. The state of each of them is requested separately. */
const PAGE = 10;
/** Ages of pictures from this on are shown in whole seconds. */
const WHOLE_SECONDS = 10;

interface Analysed {
  cameras: Camera[];
  /** Whether there are more cameras than one request returns. */
  isCut: boolean;
}

async function readAnalysed(): Promise<Analysed> {
  const { cameras, total } = await listCameras({ limit: MANY });
  return { cameras: cameras.filter(isAnalysed), isCut: total > cameras.length };
}

/** The table of analysed cameras; nothing if there are none. */
export function MotionStatus() {
  const { value, error } = useReading(readAnalysed, { every: LIST_MS });
  const [page, setPage] = useState(0);
  if (!value?.cameras.length) {
    return null;
  }
  const { cameras, isCut } = value;
  const pages = Math.ceil(cameras.length / PAGE);
  const first = Math.min(page, pages - 1) * PAGE;
  return (
    <section class="block" aria-labelledby="motion-title">
      <h2 id="motion-title">{t("form.motion")}</h2>
      <p class="hint">{`${plural("motion.count", cameras.length)} ${t("motion.cost")}`}</p>
      {isCut && <p class="hint">{t("motion.cut", { n: number(MANY) })}</p>}
      <ErrorAlert error={error} />
      <Table cameras={cameras.slice(first, first + PAGE)} />
      <Pager page={first / PAGE} pages={pages} onPage={setPage} />
    </section>
  );
}

function Table({ cameras }: { cameras: Camera[] }) {
  const ids = cameras.map(({ id }) => id).join();
  const read = useCallback(
    () => Promise.all(ids.split(",").map((id) => readMotion(id).catch(() => null))),
    [ids],
  );
  const { value } = useReading(read, { every: EVERY_MS });
  return (
    <ScrollBox class="table-box" label={t("form.motion")}>
      <table>
        <thead>
          <tr>
            <th scope="col">{t("status.camera")}</th>
            <th scope="col">{t("motion.stream")}</th>
            <th scope="col" class="right">
              {t("motion.rate")}
            </th>
            <th scope="col" class="right">
              {t("motion.picture")}
            </th>
            <th scope="col" class="right">
              {t("status.cpu")}
            </th>
            <th scope="col">{t("motion.now")}</th>
          </tr>
        </thead>
        <tbody>
          {cameras.map((camera, n) => (
            <Row key={camera.id} camera={camera} now={value?.[n] ?? null} />
          ))}
        </tbody>
      </table>
    </ScrollBox>
  );
}

function Row({ camera: { id, name }, now }: { camera: Camera; now: MotionNow | null }) {
  const stream = now?.profile ? streams.value?.get(streamKey(id, now.profile)) : undefined;
  const cpu = stream?.process?.pictures_cpu_percent;
  return (
    <tr data-motion={id}>
      <th scope="row">
        <a href={watchAddress(id)} class="name" title={name}>
          <bdi>{name}</bdi>
        </a>
        {now?.reduced && <span class="why">{t("motion.busy")}</span>}
        {now?.error && (
          <span class="why">
            {t("motion.no_pictures")}
            <small class="detail" lang="en" dir="auto">
              {now.error}
            </small>
          </span>
        )}
      </th>
      <td data-label={t("motion.stream")}>
        {now?.profile ? t(`motion.stream.${now.profile}`) : "–"}
      </td>
      <td class="right" data-label={t("motion.rate")}>
        {now?.pictures_per_second != null ? number(now.pictures_per_second, 1) : "–"}
      </td>
      <td class="right" data-label={t("motion.picture")}>
        {now?.picture_age_seconds != null ? age(now.picture_age_seconds) : "–"}
      </td>
      <td class="right" data-label={t("status.cpu")}>
        {cpu == null ? "–" : `${number(cpu, 1)} %`}
      </td>
      <td data-label={t("motion.now")}>{now ? state(now) : "–"}</td>
    </tr>
  );
}

function age(seconds: number): string {
  return seconds < WHOLE_SECONDS
    ? t("duration.seconds", { n: number(seconds, 1) })
    : duration(seconds);
}

function state({ profile, moving }: MotionNow): string {
  if (profile == null) {
    return "–";
  }
  return t(moving ? "motion.moving" : "motion.still");
}
