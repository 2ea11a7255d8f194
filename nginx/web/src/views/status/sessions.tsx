// The active playback sessions that the caller is permitted to see.
import { useState } from "preact/hooks";

import { get, remove } from "../../api/client";
import { nameOf, useNames } from "../../api/names";
import { useReading } from "../../api/reading";
import { isReachable } from "../../api/streams";
import type { Session, SessionList } from "../../api/types";
import { duration, t } from "../../ui/i18n";
import { Icon } from "../../ui/icons";
import { notify } from "../../ui/notice";
import { Confirm } from "../../ui/parts";
import { ScrollBox } from "../../ui/scroll-box";
import { ErrorAlert, report } from "../error";

const EVERY_MS = 5000;

const readSessions = () => get<SessionList>("playback/sessions");

/** Returns how long ago a time was, in words; "not yet" if there is no time. */
function ago(time: string | null | undefined): string {
  return time
    ? t("sessions.ago", { n: duration((Date.now() - Date.parse(time)) / 1000) })
    : t("sessions.never");
}

/** Returns who has requested a session: the name of a key, or a dash for a session of a back end's own token. */
function makerOf({ made_by: name }: Session): string {
  // The service uses this name if no key is needed.
  return name === "anybody" ? t("sessions.no_key") : (name ?? "–");
}

/** The table of sessions. */
export function Sessions() {
  const { value, error, again } = useReading(readSessions, { every: EVERY_MS });
  const [ending, setEnding] = useState<Session | null>(null);
  const active = value?.sessions.filter((session) => session.state === "active");
  active?.sort((a, b) => (b.last_seen ?? b.created_at).localeCompare(a.last_seen ?? a.created_at));
  useNames(active?.flatMap(({ cameras }) => cameras.filter((id) => id !== "*")) ?? []);
  const end = async (session: Session) => {
    setEnding(null);
    try {
      await remove(`playback/sessions/${session.session_id}`);
      notify(t("sessions.ended", { user: session.user }));
    } catch (cause) {
      report(cause);
    }
    again();
  };
  return (
    <section class="block" aria-labelledby="sessions-title">
      <h2 id="sessions-title">{t("sessions.title")}</h2>
      <p class="hint">{t("sessions.text")}</p>
      <ErrorAlert error={isReachable.value ? error : null} />
      {active && active.length > 0 && (
        <ScrollBox class="table-box" label={t("sessions.title")}>
          <table>
            <thead>
              <tr>
                <th scope="col">{t("sessions.user")}</th>
                <th scope="col">{t("sessions.cameras")}</th>
                <th scope="col">{t("sessions.seen")}</th>
                <th scope="col">{t("sessions.expires")}</th>
                <th scope="col">{t("sessions.made_by")}</th>
                <td />
              </tr>
            </thead>
            <tbody>
              {active.map((session) => (
                <tr key={session.session_id} data-session={session.session_id}>
                  <th scope="row" class="wide">
                    <bdi>{session.user}</bdi>
                  </th>
                  <td class="wide" data-label={t("sessions.cameras")}>
                    {session.cameras.includes("*")
                      ? t("sessions.all")
                      : session.cameras.map(nameOf).join(", ")}
                  </td>
                  <td class="nowrap" data-label={t("sessions.seen")}>
                    {ago(session.last_seen)}
                  </td>
                  <td class="nowrap" data-label={t("sessions.expires")}>
                    {t("sessions.in", {
                      n: duration((Date.parse(session.expires_at) - Date.now()) / 1000),
                    })}
                  </td>
                  <td data-label={t("sessions.made_by")}>{makerOf(session)}</td>
                  <td class="right">
                    <button
                      type="button"
                      aria-label={t("sessions.end_label", { user: session.user })}
                      onClick={() => setEnding(session)}
                    >
                      <Icon name="close" />
                      {t("sessions.end")}
                    </button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </ScrollBox>
      )}
      {ending && (
        <Confirm
          title={t("sessions.end_label", { user: ending.user })}
          text={t("sessions.end_text")}
          action={t("sessions.end")}
          onClose={() => setEnding(null)}
          onConfirm={() => void end(ending)}
        />
      )}
    </section>
  );
}
