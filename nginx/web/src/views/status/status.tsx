// The view of the service's state: key figures, active streams and playback sessions.
import { hasRight, hasRole } from "../../api/caller";
import { get } from "../../api/client";
import { useReading } from "../../api/reading";
import { isReachable, streams, useStreams } from "../../api/streams";
import type { Health, Stream, StreamState } from "../../api/types";
import { bitRate, duration, number, t } from "../../ui/i18n";
import { Alert } from "../../ui/parts";
import { MotionStatus } from "./motion";
import { Sessions } from "./sessions";
import { RecordingsUsage } from "./storage";
import { Streams } from "./streams";

const EVERY_MS = 5000;

/** The states of listed streams that are not active. */
const INACTIVE: StreamState[] = ["failed", "stopped"];

const readHealth = () => get<Health>("health");

export function Status() {
  useStreams();
  const health = useReading(readHealth, { every: EVERY_MS });
  return (
    <div class="page">
      <div class="bar">
        <h1>{t("nav.status")}</h1>
      </div>
      {!isReachable.value && <Alert>{t("problem.away")}</Alert>}
      <Summary health={health.value} />
      <Streams />
      {hasRole("user") && <MotionStatus />}
      <Sessions />
      {hasRole("admin") && hasRight("recordings") && <RecordingsUsage />}
    </div>
  );
}

function Summary({ health }: { health: Health | null }) {
  const all = [...(streams.value?.values() ?? [])];
  const sum = (of: (stream: Stream) => number | undefined) =>
    all.reduce((total, stream) => total + (of(stream) ?? 0), 0);
  const figures: [string, string][] = [
    // The service's own number also counts the streams of cameras that the caller cannot see.
    [t("status.streams"), number(all.filter(({ state }) => !INACTIVE.includes(state)).length)],
    [t("status.viewers"), number(sum((stream) => stream.viewers))],
    [t("status.traffic"), bitRate(sum((stream) => stream.media?.bit_rate))],
    [t("status.uptime"), health ? duration(health.uptime_seconds) : "–"],
    [t("status.webrtc"), webrtc(health)],
    [t("status.version"), health?.version ?? "–"],
  ];
  return (
    <>
      <dl class="figures">
        {figures.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {health?.webrtc.reason && <p class="hint">WebRTC: {health.webrtc.reason}</p>}
    </>
  );
}

/** Returns the port of WebRTC, or that it is off. */
function webrtc(health: Health | null): string {
  if (!health) {
    return "–";
  }
  const { port } = health.webrtc;
  return port === null ? t("status.webrtc.off") : t("status.webrtc.on", { port: String(port) });
}
