// How much space recordings use, by camera and day, and when the disks will be full.
import { nameOf, useNames } from "../../api/names";
import { useReading } from "../../api/reading";
import { readStorage } from "../../api/recordings";
import type { Storage as RecordingsStorage } from "../../api/types";
import { duration, language, plural, size, t } from "../../ui/i18n";
import { recordingsAddress } from "../../ui/place";
import { ScrollBox } from "../../ui/scroll-box";
import { ErrorAlert } from "../error";

const EVERY_MS = 30_000;
/** The number of days in the chart of a camera. */
const DAYS = 14;
const DAY_SECONDS = 24 * 3600;

export function RecordingsUsage() {
  const { value, error } = useReading(readStorage, { every: EVERY_MS });
  useNames(value?.cameras.map(({ camera }) => camera) ?? []);
  if (!value && error === null) {
    return null;
  }
  return (
    <section class="block" aria-labelledby="storage-title">
      <h2 id="storage-title">{t("storage.title")}</h2>
      <ErrorAlert error={error} />
      {value && <Totals storage={value} />}
      {value && value.cameras.length > 0 && <Cameras storage={value} />}
    </section>
  );
}

function Totals({ storage }: { storage: RecordingsStorage }) {
  const { bytes, bytes_per_day: perDay, full_in_days: days, directories, offsite } = storage;
  return (
    <>
      <p>
        {t("storage.bytes", { size: size(bytes) })}
        {perDay != null && ` · ${t("storage.per_day", { size: size(perDay) })}`}
        {days != null && ` · ${plural("storage.full", days)}`}
      </p>
      <ul class="hint">
        {directories.map(({ path, free_bytes: free, disk_bytes: disk, problem }) => (
          <li key={path}>
            <bdi>{path}</bdi>
            {free != null &&
              disk != null &&
              `: ${t("storage.free", { free: size(free), disk: size(disk) })}`}
            {problem && <strong class="why"> {problem}</strong>}
          </li>
        ))}
      </ul>
      {offsite && <Offsite offsite={offsite} />}
    </>
  );
}

type OffsiteCopies = NonNullable<RecordingsStorage["offsite"]>;

/** How much is copied off-site, how much waits, and why nothing can be copied. */
function Offsite({ offsite }: { offsite: OffsiteCopies }) {
  const { url, bytes, waiting_bytes: waitingBytes, waiting_files: waiting, problem } = offsite;
  return (
    <p class="offsite">
      {t("storage.offsite", { size: size(bytes) })}
      {waiting > 0
        ? ` · ${plural("storage.offsite_waiting", waiting)} (${size(waitingBytes)})`
        : ` · ${t("storage.offsite_complete")}`}
      <small class="detail" dir="auto">
        {url}
      </small>
      {problem && (
        <strong class="why">
          {t("storage.offsite_problem")}
          <small class="detail" lang="en" dir="auto">
            {problem}
          </small>
        </strong>
      )}
    </p>
  );
}

function Cameras({ storage: { cameras, offsite } }: { storage: RecordingsStorage }) {
  const today = Math.floor(Date.now() / 1000 / DAY_SECONDS);
  const days = Array.from({ length: DAYS }, (_, n) =>
    new Date((today - DAYS + 1 + n) * DAY_SECONDS * 1000).toISOString().slice(0, 10),
  );
  const largest = Math.max(
    1,
    ...cameras.flatMap((camera) => camera.days.map(({ bytes }) => bytes)),
  );
  return (
    <ScrollBox class="table-box" label={t("storage.title")}>
      <table>
        <thead>
          <tr>
            <th scope="col">{t("events.camera")}</th>
            <th scope="col">{t("storage.used")}</th>
            {offsite && <th scope="col">{t("storage.copied")}</th>}
            <th scope="col">{t("storage.since")}</th>
            <th scope="col">{plural("storage.days", DAYS)}</th>
          </tr>
        </thead>
        <tbody>
          {cameras.map(
            ({ camera, is_known: isKnown, bytes, offsite_bytes: copied, days: used }) => {
              const byDay = new Map(used.map((each) => [each.day, each.bytes]));
              return (
                <tr key={`${camera} ${isKnown}`}>
                  <th scope="row" class="wide">
                    {isKnown ? (
                      <a href={recordingsAddress([camera])}>
                        <bdi>{nameOf(camera)}</bdi>
                      </a>
                    ) : (
                      t("storage.former", { id: camera })
                    )}
                  </th>
                  <td class="nowrap" data-label={t("storage.used")}>
                    {size(bytes)}
                  </td>
                  {offsite && (
                    <td class="nowrap" data-label={t("storage.copied")}>
                      {size(copied)}
                    </td>
                  )}
                  <td class="nowrap" data-label={t("storage.since")}>
                    {used[0] ? ago(used[0].day) : "–"}
                  </td>
                  <td data-label={plural("storage.days", DAYS)}>
                    <ul class="usage">
                      {days.map((day) => (
                        <li
                          key={day}
                          title={`${dayName(day)}: ${size(byDay.get(day) ?? 0)}`}
                          style={{ height: `${((byDay.get(day) ?? 0) / largest) * 100}%` }}
                        >
                          <span class="unseen">{`${dayName(day)}: ${size(byDay.get(day) ?? 0)}`}</span>
                        </li>
                      ))}
                    </ul>
                  </td>
                </tr>
              );
            },
          )}
        </tbody>
      </table>
    </ScrollBox>
  );
}

function dayName(day: string): string {
  return new Date(day).toLocaleDateString(language.value, { dateStyle: "medium", timeZone: "UTC" });
}

function ago(day: string): string {
  const seconds = (Date.now() - Date.parse(day)) / 1000;
  return seconds < DAY_SECONDS ? t("storage.today") : duration(seconds);
}
