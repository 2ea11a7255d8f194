// The running and failed streams of the service.
import { useState } from "preact/hooks";

import { hasRole } from "../../api/caller";
import { LONG_MS, post } from "../../api/client";
import { explain } from "../../api/explanation";
import { nameOf, useNames } from "../../api/names";
import { streamKey } from "../../api/stream-key";
import { refreshStreams, streams, wasLive } from "../../api/streams";
import type { LastError, Stream } from "../../api/types";
import { type Failure, FailureText } from "../../ui/failure";
import { bitRate, bytes, duration, number, t } from "../../ui/i18n";
import { IconButton } from "../../ui/icons";
import { watchAddress } from "../../ui/place";
import { ScrollBox } from "../../ui/scroll-box";
import { Badge } from "../badge";
import { ACTION_ICONS, APPEARANCES, conditionOf, factsOfStream } from "../condition";
import { report } from "../error";
import { Log } from "./log";

/** The table of streams. */
export function Streams() {
  const [logStream, setLogStream] = useState<Stream | null>(null);
  const all = streams.value ? [...streams.value.entries()] : null;
  useNames(all?.map(([, { indicator_id }]) => indicator_id) ?? []);
  const hasProcess = all?.some(([, stream]) => stream.process) ?? false;
  const change = async ({ indicator_id: id, profile }: Stream, action: "start" | "stop") => {
    try {
      const path = `cameras/${id}/stream/${action}?profile=${profile}&wait=${action === "stop"}`;
      await post(path, undefined, { within: LONG_MS });
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
                  onChange={(action) => void change(stream, action)}
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
  onChange: (action: "start" | "stop") => void;
  onLog: () => void;
}

function StreamRow({ stream, hasProcess, onChange, onLog }: StreamRowProps) {
  const { indicator_id: id, profile, media, process } = stream;
  const key = streamKey(id, profile);
  const camera = nameOf(id);
  const name = profile === "sub" ? `${camera}, ${t("status.sub")}` : camera;
  const condition = conditionOf(factsOfStream(stream, wasLive(key)));
  const { action } = APPEARANCES[condition];
  return (
    <tr data-stream={key}>
      <th scope="row">
        <a href={watchAddress(id)} class="name" title={camera === id ? undefined : id}>
          <bdi>{camera}</bdi>
        </a>
        {profile === "sub" && <small> {t("status.sub")}</small>}
        {stream.last_error && (
          <span class="why">
            <FailureText failure={withAge(stream.last_error)} />
          </span>
        )}
      </th>
      <td data-label={t("fact.state")}>
        <Badge condition={condition} />
      </td>
      <td class="right" data-label={t("status.viewers")}>
        {number(stream.viewers ?? 0)}
      </td>
      <td class="right" data-label={t("fact.bit_rate")}>
        {media ? bitRate(media.bit_rate) : "–"}
      </td>
      <td class="right" data-label={t("fact.uptime")}>
        {stream.uptime_seconds != null ? duration(stream.uptime_seconds) : "–"}
      </td>
      <td class="right" data-label={t("status.restarts")}>
        {number(stream.restarts ?? 0)}
      </td>
      {hasProcess && (
        <td class="right" data-label={t("status.cpu")}>
          {process ? `${number(process.cpu_percent, 1)} %` : "–"}
        </td>
      )}
      {hasProcess && (
        <td class="right" data-label={t("status.memory")}>
          {process ? bytes(process.memory_bytes) : "–"}
        </td>
      )}
      <td class="right nowrap">
        <IconButton icon="list" label={t("status.log_label", { name })} onClick={onLog} />
        {action === "stop" && hasRole("user") && (
          <IconButton
            icon={ACTION_ICONS.stop}
            label={t("status.end_label", { name })}
            onClick={() => onChange("stop")}
          />
        )}
        {action === "retry" && (
          <IconButton
            icon={ACTION_ICONS.retry}
            label={t("status.retry_label", { name })}
            onClick={() => onChange("start")}
          />
        )}
      </td>
    </tr>
  );
}
