// Starts other programs for benchmarks: nginx, and the programs that the service is compared with.
import { writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";

import { Child } from "../../tests/browser/support/child.mjs";
import { freePort } from "../../tests/browser/support/port.mjs";
import { until } from "../../tests/browser/support/until.mjs";

/** Starts nginx with these locations and without an access log. The response for `/` is 204. */
export async function startNginx(directory, locations) {
  const port = await freePort();
  return startConfigured(directory, port, nginxConfig(directory, port, locations));
}

/** Starts nginx with a complete configuration, in which it listens on `port`. */
export async function startConfigured(directory, port, configuration) {
  const config = join(directory, "nginx.conf");
  writeFileSync(config, configuration);
  const child = new Child("nginx", ["-e", "stderr", "-c", config, "-g", "daemon off;"]);
  return waitForResponse(child, `http://localhost:${port}`);
}

/** Starts an FFmpeg that writes HLS files. `codec` has the arguments for the codecs. */
export function startFfmpegHls(link, codec, playlist) {
  const input = ["-nostdin", "-loglevel", "error", "-rtsp_transport", "tcp", "-i", link];
  const list = ["-hls_time", "2", "-hls_list_size", "5", "-hls_flags", "delete_segments"];
  return new Child("ffmpeg", [...input, ...codec, "-f", "hls", ...list, playlist]);
}

/**
 * Starts MediaMTX with these settings and paths. Only the HLS server is enabled, or with `isWebrtc` only WebRTC, and
 * cameras are read over TCP.
 */
export async function startMediaMtx(directory, settings, paths, isWebrtc = false) {
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  const server = isWebrtc
    ? { hls: "no", webrtc: "yes", webrtcAddress: address, ...(await mediaMtxMedia()) }
    : { hls: "yes", hlsAddress: address, hlsVariant: "lowLatency", webrtc: "no" };
  const config = join(directory, "mediamtx.yml");
  writeFileSync(config, mediaMtxConfig({ ...server, ...settings }, paths));
  return waitForResponse(new Child(process.env.MEDIAMTX_BIN, [config]), `http://localhost:${port}`);
}

/** Returns the settings of the port for the media of WebRTC. */
async function mediaMtxMedia() {
  const port = await freePort();
  return { webrtcLocalUDPAddress: `127.0.0.1:${port}`, webrtcAdditionalHosts: "[127.0.0.1]" };
}

/** Starts go2rtc with these streams: links by name. Only its API and WebRTC are enabled. */
export async function startGo2rtc(directory, streams) {
  const [port, media] = [await freePort(), await freePort()];
  const config = join(directory, "go2rtc.yaml");
  const settings = {
    api: { listen: `127.0.0.1:${port}` },
    rtsp: { listen: "" },
    webrtc: { listen: `127.0.0.1:${media}`, candidates: [`127.0.0.1:${media}`] },
    log: { level: "warn" },
    streams,
  };
  // JSON is valid YAML.
  writeFileSync(config, JSON.stringify(settings));
  const child = new Child(process.env.GO2RTC_BIN, ["-config", config]);
  return waitForResponse(child, `http://localhost:${port}`);
}

/** Waits until a new server responds to a request. Returns the process and the origin. */
async function waitForResponse(child, origin) {
  await until(`a response of ${child.program}`, 20, async () => {
    if (child.hasExited) {
      throw new Error(`${child.program} ended: ${child.output}`);
    }
    return fetch(origin).then(() => true, () => false);
  });
  return { child, origin };
}

function nginxConfig(directory, port, locations) {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `
user ${userInfo().username};
worker_processes auto;
pid ${directory}/nginx.pid;
error_log stderr warn;
events { worker_connections 8192; }
http {
  ${temporary.map((name) => `${name}_temp_path ${directory}/${name};`).join("\n  ")}
  types { application/vnd.apple.mpegurl m3u8; video/mp2t ts; video/mp4 mp4 m4s; }
  access_log off;
  log_not_found off;
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  server {
    listen 127.0.0.1:${port};
    location = / { return 204; }
    ${locations}
  }
}
`;
}

/** Returns the configuration of MediaMTX. All paths use RTSP over TCP. */
function mediaMtxConfig(settings, paths) {
  const lines = (values, indent) => {
    return Object.entries(values).map(([name, value]) => `${indent}${name}: ${value}`);
  };
  return [
    ...["logLevel: warn", "rtsp: no", "rtmp: no", "srt: no", ...lines(settings, "")],
    "paths:",
    ...Object.entries(paths).flatMap(([name, path]) => {
      return [`  ${name}:`, ...lines({ rtspTransport: "tcp", ...path }, "    ")];
    }),
    "",
  ].join("\n");
}
