// What is compared. Each candidate has:
//
//   title           in the tables
//   add(links)      starts a stream of each camera more, and waits until all are playable
//   processes()     process ids by what they are; the first ones are the candidate's own cost
//   files           the directory that its media lies in, or null when that is in its memory
//   outputs         of all streams: a playlist, or a directory of segments
//   freshness       seconds within which an output is written to, if all is well
//   attend()        shows that somebody watches, every ten seconds
//   interruptions() what went wrong since the streams were playable, in words
//   end()           ends everything
import { mkdirSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";

import { Child } from "../../tests/browser/support/child.mjs";
import { until } from "../../tests/browser/support/until.mjs";
import { forAll } from "../support/all.mjs";
import { Manager } from "../support/manager.mjs";
import { startMediaMtx } from "../support/servers.mjs";

const PLAYABLE_SECONDS = 60;

const sum = (values) => values.reduce((total, value) => total + value, 0);

/** This service, as people start it. */
class Service {
  title = "this service";
  freshness = 1;
  outputs = [];
  #ids = [];
  #before = { generations: new Map(), skipped: 0 };

  async prepare(directory) {
    this.manager = await Manager.start(directory, { MAX_STREAMS: "100000" });
    this.files = this.manager.streams;
  }

  async add(links) {
    const first = this.#ids.length;
    const ids = links.map((_, index) => `camera-${first + index}`);
    await forAll(ids.map((id, index) => [id, links[index]]), async ([id, link]) => {
      const input = { indicator_id: id, rtsp_link: link };
      const { status, body } = await this.manager.ask("/api/stream/start", input);
      if (status !== 200) {
        throw new Error(`${id} did not start: ${body.code}: ${body.detail}`);
      }
    });
    this.#ids.push(...ids);
    this.outputs.push(...ids.map((id) => join(this.files, id)));
    this.#before = await this.#state();
  }

  async #state() {
    const streams = await this.manager.all();
    const live = streams.filter(({ state }) => state === "live");
    return {
      generations: new Map(live.map((each) => [each.indicator_id, each.generation])),
      restarts: sum(streams.map(({ restarts }) => restarts)),
      skipped: this.manager.log.split("fragments were skipped").length - 1,
    };
  }

  processes() {
    const { ffmpegs, manager, nginx } = this.manager.processes();
    return { manager, FFmpegs: ffmpegs, "nginx (a viewer of each)": nginx };
  }

  async attend() {
    const { origin } = this.manager;
    await forAll(this.#ids, (id) => fetch(`${origin}/streams/${id}/stream.m3u8`, { method: "HEAD" }));
  }

  async interruptions() {
    const [before, now] = [this.#before, await this.#state()];
    const lost = this.#ids.filter((id) => !now.generations.has(id));
    const again = this.#ids.filter((id) => {
      return now.generations.has(id) && now.generations.get(id) !== before.generations.get(id);
    });
    return [
      [lost.length, "streams that are not live"],
      [again.length, "streams with another FFmpeg"],
      [now.restarts - before.restarts, "restarts"],
      [now.skipped - before.skipped, "times fragments were skipped"],
    ].flatMap(([count, what]) => (count === 0 ? [] : [`${count} ${what}`]));
  }

  end() {
    return this.manager.end();
  }
}

/** FFmpeg's own HLS, the camera's frames copied: what is usual, and no service around it. */
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
      const there = await Promise.all(added.map((file) => stat(file).catch(() => null)));
      return there.every(Boolean);
    });
  }

  #start(id, link) {
    const directory = join(this.files, id);
    mkdirSync(directory);
    const playlist = join(directory, "stream.m3u8");
    const list = ["-hls_time", "2", "-hls_list_size", "5", "-hls_flags", "delete_segments"];
    const input = ["-nostdin", "-loglevel", "error", "-rtsp_transport", "tcp", "-i", link];
    const child = new Child("ffmpeg", [...input, "-c", "copy", "-f", "hls", ...list, playlist]);
    this.#children.push(child);
    return playlist;
  }

  processes() {
    return { FFmpegs: this.#children.map((child) => child.process.pid) };
  }

  attend() {}

  interruptions() {
    const ended = this.#children.filter((child) => child.hasEnded);
    return ended.length === 0 ? [] : [`${ended.length} FFmpegs that ended: ${ended[0].output}`];
  }

  async end() {
    await Promise.all(this.#children.map((child) => child.end()));
  }
}

/** MediaMTX, which keeps its HLS in memory, and makes it whether somebody watches or not. */
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
      throw new Error("MediaMTX gets all its cameras at once: leave it out with --grow");
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
    const answers = await Promise.all(this.#ids.map((id) => this.#get(id)));
    const lost = answers.filter(({ ok }) => !ok).length;
    return lost === 0 ? [] : [`${lost} streams without a playlist`];
  }

  end() {
    return this.child.end();
  }
}

/** All candidates, by name. */
export const CANDIDATES = {
  service: () => new Service(),
  ffmpeg: () => new FfmpegHls(),
  mediamtx: () => new MediaMtx(),
};
