// Other programs' servers, which this service is compared with or stands behind.
import { writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";

import { Child } from "../../tests/browser/support/child.mjs";
import { freePort } from "../../tests/browser/support/port.mjs";
import { until } from "../../tests/browser/support/until.mjs";

/** nginx with the given locations, and nothing logged; `/` answers 204. */
export async function startNginx(directory, locations) {
  const port = await freePort();
  return startConfigured(directory, port, nginxConfig(directory, port, locations));
}

/** nginx with a whole configuration, which has it listen on the port. */
export async function startConfigured(directory, port, configuration) {
  const config = join(directory, "nginx.conf");
  writeFileSync(config, configuration);
  const child = new Child("nginx", ["-e", "stderr", "-c", config, "-g", "daemon off;"]);
  return answers(child, `http://localhost:${port}`);
}

/** MediaMTX with its defaults for these paths, but for what would be in the way of others. */
export async function startMediaMtx(directory, settings, paths) {
  const port = await freePort();
  const config = join(directory, "mediamtx.yml");
  writeFileSync(config, mediaMtxConfig(port, settings, paths));
  return answers(new Child(process.env.MEDIAMTX_BIN, [config]), `http://localhost:${port}`);
}

/** Waits until a server that was just started answers anything. */
async function answers(child, origin) {
  await until(`an answer of ${child.program}`, 20, async () => {
    if (child.hasEnded) {
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

/** Every path is taken over TCP. */
function mediaMtxConfig(port, settings, paths) {
  const lines = (all, indent) => {
    return Object.entries(all).map(([name, value]) => `${indent}${name}: ${value}`);
  };
  return [
    ...["logLevel: warn", "rtsp: no", "rtmp: no", "webrtc: no", "srt: no"],
    ...[`hlsAddress: 127.0.0.1:${port}`, "hlsVariant: lowLatency", ...lines(settings, "")],
    "paths:",
    ...Object.entries(paths).flatMap(([name, path]) => {
      return [`  ${name}:`, ...lines({ rtspTransport: "tcp", ...path }, "    ")];
    }),
    "",
  ].join("\n");
}
