// The programs that are compared. Each candidate has:
//
//   name       name on the command line
//   title      name in the table
//   prepare()  starts the processes that run during the whole benchmark
//   origin     origin of the page, known after prepare()
//   start      how the page starts the stream; see begin() and openTransport() in page.js
//   settings   additional settings of hls.js
//   isPaced    whether the page adjusts the speed of the video, as the service's own page does
//   begin()    starts the stream; called by the page if start.isPolled is set
//   end()      ends the stream
//   close()    ends all processes
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { Child } from "../../tests/browser/support/child.mjs";
import { post as send } from "../support/api.mjs";
import { startFfmpegHls, startGo2rtc, startMediaMtx, startNginx } from "../support/servers.mjs";

const RUN = fileURLToPath(new URL("../../deploy/run", import.meta.url));
/** The settings of hls.js in the service's own page. */
const PAGE_SETTINGS = new URL("../../nginx/web/src/player/low-latency.json", import.meta.url);
/** Time limit for the start of deploy/run, which can install packages and build the service first. */
const RUN_SECONDS = 900;
const ID = "benchmark";
/** A pause between two pictures is a stall if it is longer than this many pictures last, and than GAP_MILLISECONDS. */
const GAP_PICTURES = 5;
const GAP_MILLISECONDS = 200;
/** Largest number of pictures per second that the page requests as MJPEG. It is the service's default. */
const MJPEG_FPS = 10;

/** This service, started with deploy/run. */
class Service {
  name = "service";
  title = "this service";
  isPaced = true;

  constructor({ camera, directory }) {
    this.camera = camera;
    this.directory = join(directory, this.name);
  }

  async prepare() {
    mkdirSync(this.directory);
    const streams = join(this.directory, "streams");
    const paths = { STREAM_DIR: streams, DATABASE_URL: `sqlite:${streams}.db` };
    const ports = { PORT: "0", NGINX_PORT: "0", WEBRTC_PORT: "0", WEBRTC_ADDRESSES: "127.0.0.1" };
    const env = { ...ports, ALLOW_ANONYMOUS: "true", ...paths };
    this.child = new Child(RUN, ["--no-demo"], { ...env, TMPDIR: this.directory });
    const [, page] = await this.child.waitForOutput(/^open (http:\S+)$/m, RUN_SECONDS);
    this.origin = new URL(page).origin;
    const body = { indicator_id: ID, rtsp_link: this.camera.link };
    this.start = { post: { path: "/api/stream/start", body } };
    await this.post("start", body);
    this.settings = JSON.parse(readFileSync(PAGE_SETTINGS, "utf8"));
    await this.end();
  }

  post(action, body) {
    return send(`${this.origin}/api/stream/${action}`, body);
  }

  end() {
    return this.post("stop", { indicator_id: ID });
  }

  async close() {
    await this.child?.end();
  }
}

/** Returns the longest pause between two pictures that is no stall, in milliseconds. */
const gapOf = (fps) => Math.max(GAP_MILLISECONDS, (GAP_PICTURES * 1000) / fps);

/** This service, with a transport of its own page. */
class Transport extends Service {
  constructor(bench, name, title) {
    super(bench);
    this.name = name;
    this.title = `this service, ${title}`;
    this.directory = join(bench.directory, name);
    this.isRunning = bench.options.running;
    const { fps } = bench.options.camera;
    this.gap = gapOf(name === "mjpeg" ? Math.min(fps, MJPEG_FPS) : fps);
  }

  async prepare() {
    await super.prepare();
    this.settings = {};
    const { post } = this.start;
    const body = { indicator_id: ID, output: this.name === "ll-hls" ? "hls" : "none" };
    const { gap } = this;
    this.start = { transport: TRANSPORTS[this.name], key: ID, post: { ...post, body }, gap };
    if (this.isRunning) {
      await this.begin();
    }
  }

  begin() {
    return this.post("start", this.start.post.body);
  }

  end() {
    return this.isRunning ? undefined : super.end();
  }
}

/** The names of transports in the page, by the name of the candidate. */
export const TRANSPORTS = {
  webcodecs: "webcodecs",
  webrtc: "webrtc",
  mse: "mse",
  "ll-hls": "hls",
  mjpeg: "mjpeg",
};

/** FFmpeg's HLS muxer, with files that nginx serves. */
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
    this.ffmpeg = startFfmpegHls(this.camera.link, this.codec, join(this.media, "stream.m3u8"));
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

/** MediaMTX, which connects to the camera on demand and serves Low-Latency HLS. */
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

  /** Does nothing, because MediaMTX ends a stream without viewers after some time. */
  end() {}

  async close() {
    await this.child?.end();
  }
}

/** Another server, which the page's WebRTC transport plays over WHEP. */
class Whep {
  constructor({ camera, directory, options }, name, title, path) {
    this.name = name;
    this.title = title;
    this.camera = camera;
    this.directory = join(directory, name);
    this.start = { transport: "webrtc", key: ID, path, gap: gapOf(options.camera.fps) };
  }

  /** Does nothing, because the server connects to the camera when a viewer comes. */
  begin() {}

  /** Does nothing, because the server ends a stream without viewers after some time. */
  end() {}

  async close() {
    await this.child?.end();
  }
}

/** MediaMTX, which connects to the camera on demand. */
class MediaMtxWhep extends Whep {
  constructor(bench) {
    super(bench, "mediamtx-webrtc", "MediaMTX, WebRTC", `${ID}/whep`);
  }

  async prepare() {
    mkdirSync(this.directory);
    const onDemand = { sourceOnDemand: "yes", sourceOnDemandCloseAfter: "1s" };
    const paths = { [ID]: { source: this.camera.link, ...onDemand } };
    Object.assign(this, await startMediaMtx(this.directory, {}, paths, true));
  }
}

/** go2rtc, which connects to the camera on demand. */
class Go2rtcWhep extends Whep {
  constructor(bench) {
    super(bench, "go2rtc-webrtc", "go2rtc, WebRTC", `api/webrtc?src=${ID}`);
  }

  async prepare() {
    mkdirSync(this.directory);
    Object.assign(this, await startGo2rtc(this.directory, { [ID]: this.camera.link }));
  }
}

/** All candidates, by name. */
export const CANDIDATES = {
  service: (bench) => new Service(bench),
  webcodecs: (bench) => new Transport(bench, "webcodecs", "WebCodecs"),
  webrtc: (bench) => new Transport(bench, "webrtc", "WebRTC"),
  mse: (bench) => new Transport(bench, "mse", "MSE"),
  "ll-hls": (bench) => new Transport(bench, "ll-hls", "LL-HLS on the page"),
  mjpeg: (bench) => new Transport(bench, "mjpeg", "MJPEG"),
  "ffmpeg-copy": (bench) => {
    return new FfmpegHls(bench, "ffmpeg-copy", "FFmpeg's HLS, copied", ["-c", "copy"]);
  },
  usual: (bench) => {
    const codec = ["-c:v", "libx264", "-preset", "ultrafast"];
    return new FfmpegHls(bench, "usual", "FFmpeg's HLS, libx264", codec);
  },
  mediamtx: (bench) => new MediaMtx(bench),
  "mediamtx-webrtc": (bench) => new MediaMtxWhep(bench),
  "go2rtc-webrtc": (bench) => new Go2rtcWhep(bench),
};
