// What is compared. Each candidate has:
//
//   name, title   on the command line and in the table
//   prepare()     starts what runs all the time
//   origin        where its page is, then
//   start         what the page does to get the stream; see begin() in page.js
//   settings      what its viewers are told to give hls.js, on top of what all get
//   begin()       starts the stream, when the page asks for that
//   end()         ends the stream
//   close()       ends everything
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { Child } from "../../tests/browser/support/child.mjs";
import { startMediaMtx, startNginx } from "../support/servers.mjs";

const RUN = fileURLToPath(new URL("../../deploy/run", import.meta.url));
/** What the service's own page gives hls.js. */
const PAGE_SETTINGS = new URL("../../nginx/web/src/player/low-latency.json", import.meta.url);
/** The first start may have to install and to build. */
const RUN_SECONDS = 900;
const ID = "benchmark";

/** This service, as people start it. */
class Service {
  name = "service";
  title = "this service";

  constructor({ camera, directory }) {
    this.camera = camera;
    this.directory = join(directory, this.name);
  }

  async prepare() {
    mkdirSync(this.directory);
    const env = { PORT: "0", NGINX_PORT: "0", STREAM_DIR: join(this.directory, "streams") };
    this.child = new Child(RUN, ["--no-demo"], { ...env, TMPDIR: this.directory });
    const [, page] = await this.child.says(/^open (http:\S+)$/m, RUN_SECONDS);
    this.origin = new URL(page).origin;
    const body = { indicator_id: ID, rtsp_link: this.camera.link };
    this.start = { post: { path: "/api/stream/start", body } };
    await this.#post("start", body);
    this.settings = JSON.parse(readFileSync(PAGE_SETTINGS, "utf8"));
    await this.end();
  }

  async #post(action, body) {
    const answer = await fetch(`${this.origin}/api/stream/${action}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!answer.ok) {
      throw new Error(`${action}: ${await answer.text()}`);
    }
  }

  end() {
    return this.#post("stop", { indicator_id: ID });
  }

  async close() {
    await this.child?.end();
  }
}

/** FFmpeg's own HLS, in files that nginx serves. */
class FfmpegHls {
  constructor({ camera, directory }, name, title, codec) {
    this.name = name;
    this.title = title;
    this.codec = codec;
    this.camera = camera;
    this.directory = join(directory, name);
    this.media = join(this.directory, "hls");
    this.start = { isPolled: true, playlist: "/hls/stream.m3u8" };
  }

  async prepare() {
    mkdirSync(this.media, { recursive: true });
    const files = `location /hls/ { root ${this.directory}; add_header Cache-Control no-store always; }`;
    const { child, origin } = await startNginx(this.directory, files);
    Object.assign(this, { nginx: child, origin });
  }

  begin() {
    const list = ["-hls_time", "2", "-hls_list_size", "5", "-hls_flags", "delete_segments"];
    this.ffmpeg = new Child("ffmpeg", [
      ...["-nostdin", "-loglevel", "error", "-rtsp_transport", "tcp", "-i", this.camera.link],
      ...[...this.codec, "-f", "hls", ...list, join(this.media, "stream.m3u8")],
    ]);
  }

  async end() {
    await this.ffmpeg?.end();
    this.ffmpeg = null;
    rmSync(this.media, { recursive: true, force: true });
    mkdirSync(this.media);
  }

  async close() {
    await this.ffmpeg?.end();
    await this.nginx?.end();
  }
}

/** MediaMTX, which gets the camera on demand and serves low-latency HLS. */
class MediaMtx {
  name = "mediamtx";
  title = "MediaMTX, LL-HLS";
  start = { playlist: `/${ID}/index.m3u8` };

  constructor({ camera, directory }) {
    this.camera = camera;
    this.directory = join(directory, this.name);
  }

  async prepare() {
    mkdirSync(this.directory);
    const onDemand = { sourceOnDemand: "yes", sourceOnDemandCloseAfter: "1s" };
    const path = { source: this.camera.link, ...onDemand };
    const settings = { hlsMuxerCloseAfter: "3s" };
    Object.assign(this, await startMediaMtx(this.directory, settings, { [ID]: path }));
  }

  /** It ends the stream by itself, after nobody has watched for a while. */
  end() {}

  async close() {
    await this.child?.end();
  }
}

/** All candidates, by name. */
export const CANDIDATES = {
  service: (bench) => new Service(bench),
  "ffmpeg-copy": (bench) => {
    return new FfmpegHls(bench, "ffmpeg-copy", "FFmpeg's HLS, copied", ["-c", "copy"]);
  },
  usual: (bench) => {
    const codec = ["-c:v", "libx264", "-preset", "ultrafast"];
    return new FfmpegHls(bench, "usual", "FFmpeg's HLS, libx264", codec);
  },
  mediamtx: (bench) => new MediaMtx(bench),
};
