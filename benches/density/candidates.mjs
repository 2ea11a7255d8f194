// The programs that are compared. Each candidate has:
//
//   title            name in the tables
//   prepare(dir)     prepares the candidate, whose files will be in this directory; called before add
//   add(links)       starts one stream for each of these cameras, and waits until they are playable
//   processes()      process IDs by kind of process; kinds whose name begins with "nginx" are listed, but not added
//                    to the total
//   files            directory of the HLS files, or null if they are in memory
//   outputs          for each stream, its playlist or its directory of segments; empty if there are no files
//   freshness        an output that was not written for more than this many seconds is stalled
//   framesReceived() the number of frames that the candidate has received so far; optional
//   attend()         acts as a viewer of each stream if the cost depends on viewers; called every ten seconds
//   interruptions()  descriptions of the problems; the candidates `service` and `frames` report those since the last
//                    call of add
//   end()            ends all processes
import { mkdirSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";

import { until } from "../../tests/browser/support/until.mjs";
import { forAll } from "../support/concurrency.mjs";
import { Manager } from "../support/manager.mjs";
import { startFfmpegHls, startMediaMtx } from "../support/servers.mjs";

const PLAYABLE_SECONDS = 60;

const sum = (values) => values.reduce((total, value) => total + value, 0);

/** This service, started with deploy/run. */
class Service {
  title = "this service";
  output = "hls";
  freshness = 1;
  outputs = [];
  #ids = [];
  #before = { generations: new Map(), skipped: 0 };

  async prepare(directory) {
    this.manager = await Manager.start(directory, { MAX_STREAMS: "100000" });
    this.files = this.manager.streamDir;
  }

  async add(links) {
    const first = this.#ids.length;
    const ids = links.map((_, index) => `camera-${first + index}`);
    await forAll(ids.map((id, index) => [id, links[index]]), async ([id, link]) => {
      await this.#start({ indicator_id: id, rtsp_link: link });
    });
    this.#ids.push(...ids);
    if (this.output === "hls") {
      this.outputs.push(...ids.map((id) => join(this.files, id)));
    }
    this.#before = await this.#state();
  }

  async #start(input) {
    const call = { ...input, output: this.output };
    const { status, body } = await this.manager.call("/api/stream/start", call);
    if (status !== 200) {
      throw new Error(`${input.indicator_id} did not start: ${body.code}: ${body.detail}`);
    }
  }

  async #state() {
    const streams = await this.manager.streamStates();
    const live = streams.filter(({ state }) => state === "live");
    return {
      generations: new Map(live.map((stream) => [stream.indicator_id, stream.generation])),
      restarts: sum(streams.map(({ restarts }) => restarts)),
      skipped: await this.manager.metric("stream_manager_hls_frames_skipped_total"),
    };
  }

  processes() {
    const { ffmpegs, manager, nginx } = this.manager.processes();
    return { manager, FFmpegs: ffmpegs, "nginx (one viewer per camera)": nginx };
  }

  framesReceived() {
    return this.manager.metric("stream_manager_frames_received_total");
  }

  async attend() {
    const { origin } = this.manager;
    if (this.output === "none") {
      await forAll(this.#ids, (id) => this.#start({ indicator_id: id }));
      return;
    }
    await forAll(this.#ids, (id) => fetch(`${origin}/streams/${id}/stream.m3u8`, { method: "HEAD" }));
  }

  async interruptions() {
    const [before, now] = [this.#before, await this.#state()];
    const notLive = this.#ids.filter((id) => !now.generations.has(id));
    const restarted = this.#ids.filter((id) => {
      return now.generations.has(id) && now.generations.get(id) !== before.generations.get(id);
    });
    return [
      [notLive.length, "streams that are not live"],
      [restarted.length, "streams with a new FFmpeg"],
      [now.restarts - before.restarts, "restarts"],
      [now.skipped - before.skipped, "skipped frames"],
    ].flatMap(([count, what]) => (count === 0 ? [] : [`${count} ${what}`]));
  }

  end() {
    return this.manager.end();
  }
}

/** This service with streams that have no HLS: their frames are only kept in memory. */
class Frames extends Service {
  title = "this service without HLS";
  output = "none";
}

/** FFmpeg's HLS muxer with copied video. Nothing supervises FFmpeg or serves the files. */
class FfmpegHls {
  title = "`ffmpeg -c copy -f hls -hls_time 2`";
  freshness = 4;
  outputs = [];
  #children = [];

  prepare(directory) {
    this.files = directory;
  }

  async add(links) {
    const first = this.outputs.length;
    const added = links.map((link, index) => this.#start(`camera-${first + index}`, link));
    this.outputs.push(...added);
    await until("a playlist of every FFmpeg", PLAYABLE_SECONDS, async () => {
      const stats = await Promise.all(added.map((file) => stat(file).catch(() => null)));
      return stats.every(Boolean);
    });
  }

  #start(id, link) {
    const directory = join(this.files, id);
    mkdirSync(directory);
    const playlist = join(directory, "stream.m3u8");
    this.#children.push(startFfmpegHls(link, ["-c", "copy"], playlist));
    return playlist;
  }

  processes() {
    return { FFmpegs: this.#children.map((child) => child.process.pid) };
  }

  attend() {}

  interruptions() {
    const ended = this.#children.filter((child) => child.hasExited);
    return ended.length === 0 ? [] : [`${ended.length} FFmpegs exited: ${ended[0].output}`];
  }

  async end() {
    await Promise.all(this.#children.map((child) => child.end()));
  }
}

/**
 * MediaMTX, which keeps the HLS files in memory. Here MediaMTX creates the files even without viewers.
 */
class MediaMtx {
  title = "MediaMTX, LL-HLS";
  files = null;
  outputs = [];
  #ids = [];

  prepare(directory) {
    this.directory = directory;
  }

  async add(links) {
    if (this.child) {
      throw new Error("MediaMTX needs all cameras at its start, so it does not support --grow");
    }
    const paths = links.map((source, index) => [`camera-${index}`, { source }]);
    this.#ids = paths.map(([id]) => id);
    const settings = { hlsAlwaysRemux: "yes" };
    const server = await startMediaMtx(this.directory, settings, Object.fromEntries(paths));
    Object.assign(this, server);
    await forAll(this.#ids, (id) => {
      return until(`the playlist of ${id}`, PLAYABLE_SECONDS, async () => (await this.#get(id)).ok);
    });
  }

  #get(id) {
    return fetch(`${this.origin}/${id}/index.m3u8`);
  }

  processes() {
    return { MediaMTX: [this.child.process.pid] };
  }

  attend() {}

  async interruptions() {
    const responses = await Promise.all(this.#ids.map((id) => this.#get(id)));
    const failed = responses.filter(({ ok }) => !ok).length;
    return failed === 0 ? [] : [`${failed} streams without a playlist`];
  }

  end() {
    return this.child.end();
  }
}

/** All candidates, by name. */
export const CANDIDATES = {
  service: () => new Service(),
  frames: () => new Frames(),
  ffmpeg: () => new FfmpegHls(),
  mediamtx: () => new MediaMtx(),
};
