// What the service does now: its streams, and who may watch.
import { useEffect, useState } from "preact/hooks";

import { may } from "../../api/caller";
import { get, LONG_MS, post, remove, words } from "../../api/client";
import { isReachable, refreshStreams, streamKey, streams, useStreams } from "../../api/streams";
import type { Health, Session, Stream } from "../../api/types";
import { bitRate, bytes, duration, number, t } from "../../ui/i18n";
import { Icon, IconButton } from "../../ui/icons";
import { Alert, Confirm, tell } from "../../ui/parts";
import { watchAddress } from "../../ui/place";
import { Log } from "./log";
import { StateBadge } from "../state-badge";

const EVERY_MS = 5000;

/** Reads something again and again while it is looked at; what was read last stays when it fails. */
function usePolled<T>(read: () => Promise<T>): { value: T | null; again: () => void } {
  const [value, setValue] = useState<T | null>(null);
  const [count, setCount] = useState(0);
  useEffect(() => {
    let isOver = false;
    let timer: ReturnType<typeof setTimeout>;
    const ask = async () => {
      try {
        const answer = document.hidden ? null : await read();
        if (answer && !isOver) {
          setValue(answer);
        }
      } catch {
        // The banner of the streams tells that nobody answers.
      }
      if (!isOver) {
        timer = setTimeout(ask, EVERY_MS);
      }
    };
    void ask();
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [count]);
  return { value, again: () => setCount((before) => before + 1) };
}

export function Status() {
  useStreams();
  const health = usePolled(() => get<Health>("health"));
  return (
    <div class="page">
      <div class="bar">
        <h1>{t("nav.status")}</h1>
      </div>
      {!isReachable.value && <Alert>{t("problem.away")}</Alert>}
      <Summary health={health.value} />
      <Streams />
      <Sessions />
    </div>
  );
}

function Summary({ health }: { health: Health | null }) {
  const all = [...(streams.value?.values() ?? [])];
  const sum = (of: (stream: Stream) => number | undefined) =>
    all.reduce((total, one) => total + (of(one) ?? 0), 0);
  const figures: [string, string][] = [
    [t("status.streams"), number(health?.active_streams ?? 0)],
    [t("status.viewers"), number(sum((one) => one.viewers))],
    [t("status.traffic"), bitRate(sum((one) => one.media?.bit_rate))],
    [t("status.uptime"), health ? duration(health.uptime_seconds) : "–"],
    [t("status.version"), health?.version ?? "–"],
  ];
  return (
    <dl class="figures">
      {figures.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Streams() {
  const [log, setLog] = useState<Stream | null>(null);
  const all = streams.value ? [...streams.value.entries()] : null;
  const hasProcess = all?.some(([, one]) => one.process) ?? false;
  const end = async (stream: Stream) => {
    try {
      await post(
        `cameras/${stream.indicator_id}/stream/stop?profile=${stream.profile}`,
        undefined,
        { within: LONG_MS },
      );
      refreshStreams();
    } catch (error) {
      tell(words(error), true);
    }
  };
  return (
    <section class="block" aria-labelledby="streams-title">
      <h2 id="streams-title">{t("status.active")}</h2>
      {all?.length === 0 ? (
        <p class="hint">{t("status.no_streams")}</p>
      ) : (
        <div class="table-box" tabIndex={0} role="region" aria-labelledby="streams-title">
          <table aria-busy={!all}>
            <thead>
              <tr>
                <th scope="col">{t("status.camera")}</th>
                <th scope="col">{t("fact.state")}</th>
                <th scope="col" class="right">
                  {t("status.viewers")}
                </th>
                <th scope="col" class="right">
                  {t("fact.bit_rate")}
                </th>
                <th scope="col" class="right">
                  {t("fact.uptime")}
                </th>
                <th scope="col" class="right">
                  {t("status.restarts")}
                </th>
                {hasProcess && (
                  <th scope="col" class="right">
                    {t("status.cpu")}
                  </th>
                )}
                {hasProcess && (
                  <th scope="col" class="right">
                    {t("status.memory")}
                  </th>
                )}
                <td />
              </tr>
            </thead>
            <tbody>
              {all?.map(([key, stream]) => (
                <StreamRow
                  key={key}
                  stream={stream}
                  hasProcess={hasProcess}
                  onEnd={() => void end(stream)}
                  onLog={() => setLog(stream)}
                />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {log && <Log stream={log} onClose={() => setLog(null)} />}
    </section>
  );
}

interface StreamRowProps {
  stream: Stream;
  hasProcess: boolean;
  onEnd: () => void;
  onLog: () => void;
}

function StreamRow({ stream, hasProcess, onEnd, onLog }: StreamRowProps) {
  const { indicator_id: id, profile, media, process } = stream;
  const name = streamKey(id, profile);
  return (
    <tr data-stream={name}>
      <th scope="row">
        <a href={watchAddress(id)}>{id}</a>
        {profile === "sub" && <small> {t("status.sub")}</small>}
        {stream.last_error && (
          <span class="why">
            {t("status.ago", {
              what: stream.last_error.detail,
              n: duration(stream.last_error.seconds_ago),
            })}
          </span>
        )}
      </th>
      <td>
        <StateBadge state={stream.state} />
      </td>
      <td class="right">{number(stream.viewers ?? 0)}</td>
      <td class="right">{media ? bitRate(media.bit_rate) : "–"}</td>
      <td class="right">{stream.uptime_seconds != null ? duration(stream.uptime_seconds) : "–"}</td>
      <td class="right">{number(stream.restarts ?? 0)}</td>
      {hasProcess && <td class="right">{process ? `${number(process.cpu_percent, 1)} %` : "–"}</td>}
      {hasProcess && <td class="right">{process ? bytes(process.memory_bytes) : "–"}</td>}
      <td class="right nowrap">
        <IconButton icon="list" label={t("status.log_label", { name })} onClick={onLog} />
        {may("user") && (
          <IconButton icon="stop" label={t("status.end_label", { name })} onClick={onEnd} />
        )}
      </td>
    </tr>
  );
}

/** As people say it: when, in words, relative to now. */
function ago(time: string | null): string {
  return time
    ? t("sessions.ago", { n: duration((Date.now() - Date.parse(time)) / 1000) })
    : t("sessions.never");
}

function Sessions() {
  const { value, again } = usePolled(() => get<{ sessions: Session[] }>("playback/sessions"));
  const [ending, setEnding] = useState<Session | null>(null);
  const active = value?.sessions.filter((one) => one.state === "active");
  active?.sort((a, b) => (b.last_seen ?? b.created_at).localeCompare(a.last_seen ?? a.created_at));
  const end = async (session: Session) => {
    setEnding(null);
    try {
      await remove(`playback/sessions/${session.session_id}`);
      tell(t("sessions.ended", { user: session.user }));
    } catch (error) {
      tell(words(error), true);
    }
    again();
  };
  return (
    <section class="block" aria-labelledby="sessions-title">
      <h2 id="sessions-title">{t("sessions.title")}</h2>
      <p class="hint">{t("sessions.text")}</p>
      {active && active.length > 0 && (
        <div class="table-box" tabIndex={0} role="region" aria-labelledby="sessions-title">
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
              {active.map((one) => (
                <tr key={one.session_id} data-session={one.session_id}>
                  <th scope="row">{one.user}</th>
                  <td class="wide">
                    {one.cameras.includes("*") ? t("sessions.all") : one.cameras.join(", ")}
                  </td>
                  <td class="nowrap">{ago(one.last_seen)}</td>
                  <td class="nowrap">
                    {t("sessions.in", {
                      n: duration((Date.parse(one.expires_at) - Date.now()) / 1000),
                    })}
                  </td>
                  <td>{one.made_by ?? "–"}</td>
                  <td class="right">
                    <button
                      type="button"
                      aria-label={t("sessions.end_label", { user: one.user })}
                      onClick={() => setEnding(one)}
                    >
                      <Icon name="close" />
                      {t("sessions.end")}
                    </button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
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
