// The running and failed streams of the service.
import { useState } from "preact/hooks";

import { hasRole } from "../../api/caller";
import { LONG_MS, post } from "../../api/client";
import { explain } from "../../api/problem";
import { refreshStreams, streamKey, streams } from "../../api/streams";
import type { LastError, Stream } from "../../api/types";
import { type Failure, FailureText } from "../../ui/failure";
import { bitRate, bytes, duration, number, t } from "../../ui/i18n";
import { IconButton } from "../../ui/icons";
import { watchAddress } from "../../ui/place";
import { ScrollBox } from "../../ui/scroll-box";
import { report } from "../error";
import { StateBadge } from "../state-badge";
import { Log } from "./log";

/** The table of streams. */
export function Streams() {
  const [logStream, setLogStream] = useState<Stream | null>(null);
  const all = streams.value ? [...streams.value.entries()] : null;
  const hasProcess = all?.some(([, stream]) => stream.process) ?? false;
  const end = async (stream: Stream) => {
    try {
      await post(
        `cameras/${stream.indicator_id}/stream/stop?profile=${stream.profile}`,
        undefined,
        { within: LONG_MS },
      );
      refreshStreams();
    } catch (error) {
      report(error);
    }
  };
  return (
    <section class="block" aria-labelledby="streams-title">
      <h2 id="streams-title">{t("status.active")}</h2>
      {all?.length === 0 ? (
        <p class="hint">{t("status.no_streams")}</p>
      ) : (
        <ScrollBox class="table-box" label={t("status.active")}>
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
                  onLog={() => setLogStream(stream)}
                />
              ))}
            </tbody>
          </table>
        </ScrollBox>
      )}
      {logStream && <Log stream={logStream} onClose={() => setLogStream(null)} />}
    </section>
  );
}

/** Returns the explanation of a stream's last error, with the time since the error. */
function withAge(error: LastError): Failure {
  const { text, detail } = explain(error);
  return { text: t("status.ago", { what: text, n: duration(error.seconds_ago) }), detail };
}

interface StreamRowProps {
  stream: Stream;
  hasProcess: boolean;
  onEnd: () => void;
  onLog: () => void;
}

function StreamRow({ stream, hasProcess, onEnd, onLog }: StreamRowProps) {
  const { indicator_id: id, profile, media, process } = stream;
  const name = profile === "sub" ? `${id}, ${t("status.sub")}` : id;
  return (
    <tr data-stream={streamKey(id, profile)}>
      <th scope="row">
        <a href={watchAddress(id)}>{id}</a>
        {profile === "sub" && <small> {t("status.sub")}</small>}
        {stream.last_error && (
          <span class="why">
            <FailureText failure={withAge(stream.last_error)} />
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
        {hasRole("user") && (
          <IconButton icon="stop" label={t("status.end_label", { name })} onClick={onEnd} />
        )}
      </td>
    </tr>
  );
}
