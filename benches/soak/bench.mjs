// Starts, watches, stops and disturbs streams at random, and checks for violations, such as leaks. README.md
// describes the method.
import { writeFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";

import { until } from "../../tests/browser/support/until.mjs";
import { Clip } from "../support/clip.mjs";
import { forAll } from "../support/concurrency.mjs";
import { makeDirectory } from "../support/directory.mjs";
import { Manager } from "../support/manager.mjs";
import { Random } from "../support/random.mjs";
import { progress } from "../support/report.mjs";
import { files, footprint, zombies } from "../support/usage.mjs";
import { PASSWORD, UnreliableCamera } from "./cameras.mjs";
import { Operator } from "./operators.mjs";
import { readOptions } from "./options.mjs";
import { Viewer } from "./players.mjs";
import { Record } from "./record.mjs";
import { leaks, report } from "./report.mjs";

/** A small picture and a low bit rate, because the results do not depend on them. */
const CLIP = { width: 640, height: 360, kbits: 400 };
/** Short times, so that more events happen. */
const SETTINGS = {
  CLEANUP_DELAY_SECONDS: "8",
  CLEANUP_INTERVAL_SECONDS: "1",
  STALE_TIMEOUT_SECONDS: "4",
  STOP_GRACE_SECONDS: "2",
};
const WARM_UP_SECONDS = 20;
/**
 * Time within which idle connections and threads of the manager, of nginx and of this process end. Also longer than the
 * minute for which the files of a stream are kept after its end.
 */
const SETTLE_SECONDS = 75;
/** Time limit until all streams have stopped. */
const STOP_SECONDS = 60;
/** Number of attempts for a start without disturbances. On a busy machine, a start can time out. */
const ATTEMPTS = 3;
/** Time between two checks of the generations. */
const CHECK_SECONDS = 1;
/** Time between two progress messages. */
const PROGRESS_SECONDS = 30;

/** The service, with all cameras, operators and viewers. */
class World {
  static async make(options) {
    const world = new World();
    const clip = Clip.load(CLIP);
    world.manager = await Manager.start(makeDirectory("soak-"), SETTINGS);
    Object.assign(world, { api: world.manager.api, origin: world.manager.origin, options });
    const numbers = Array.from({ length: options.cameras }, (_, number) => number);
    world.cameras = numbers.map((number) => new UnreliableCamera(clip, number));
    await Promise.all(world.cameras.map((camera) => camera.start()));
    world.operators = world.cameras.map((camera, number) => {
      return new Operator(world, camera, new Random(options.seed * 1000 + number));
    });
    world.viewers = Array.from({ length: options.viewers }, (_, number) => {
      return new Viewer(world, new Random(options.seed * 1000 + 500_000 + number));
    });
    return world;
  }

  record = new Record();
  #end = 0;

  ffmpegs() {
    return this.manager.processes().ffmpegs;
  }

  /** Returns the process ID of a camera's FFmpeg; undefined if none is running. */
  ffmpegOf(id) {
    const started = new RegExp(`camera=${id}}.* pid=(\\d+)`, "g");
    const last = [...this.manager.log.matchAll(started)].at(-1);
    return this.ffmpegs().find((pid) => pid === Number(last?.[1]));
  }

  isOver() {
    return Date.now() >= this.#end;
  }

  /**
   * Runs the actors (operators and viewers) for some time. Then waits until their last actions have ended.
   */
  async run(seconds, actors) {
    this.#end = Date.now() + seconds * 1000;
    const checks = this.#checkGenerations();
    await Promise.all(actors.map((actor) => actor.run()));
    await checks;
  }

  /** Checks until the end of the run that generations never decrease. Also prints the progress. */
  async #checkGenerations() {
    let lastProgress = Date.now();
    while (!this.isOver()) {
      const names = this.cameras.map(({ id }) => `${id}'s generation`);
      const before = new Map(names.map((name) => [name, this.record.highest(name)]));
      for (const { indicator_id: id, generation } of await this.manager.streamStates()) {
        const name = `${id}'s generation`;
        this.record.mustNotDecrease(name, generation, before.get(name));
      }
      if (Date.now() - lastProgress > PROGRESS_SECONDS * 1000) {
        lastProgress = Date.now();
        const remaining = Math.ceil((this.#end - lastProgress) / 1000);
        progress(`${remaining} s remaining, ${this.record.violations.length} violations`);
      }
      await sleep(CHECK_SECONDS * 1000);
    }
  }

  /**
   * Starts all streams while there are no disturbances. If a stream does not start, that is a violation.
   */
  async startAll() {
    await forAll(this.operators, async (operator) => {
      let code;
      for (let attempt = 0; attempt < ATTEMPTS && code !== null; attempt += 1) {
        code = await operator.start();
      }
      if (code !== null) {
        this.record.violation(`${operator.camera.id} does not start without disturbances: ${code}`);
      }
    });
  }

  /** Stops all streams, and waits until they have ended. */
  async stopAll() {
    await Promise.all(this.operators.map((operator) => operator.stop()));
    await until("the end of all streams", STOP_SECONDS, async () => {
      return (await this.manager.streamStates()).length === 0;
    }).catch((error) => this.record.violation(error.message));
  }

  /** Returns the resources that the manager uses, and the number of connections to cameras. */
  usage() {
    const { pid, streamDir } = this.manager;
    const { rss, threads, files: open } = footprint(pid);
    return {
      children: this.ffmpegs().length,
      zombies: zombies(pid),
      threads,
      "open files": open,
      "files in STREAM_DIR": files(streamDir).length,
      "cameras' connections": this.cameras.reduce((sum, { server }) => sum + server.connections, 0),
      "memory, MB": rss / 1e6,
    };
  }

  /** Records the number of restarts. The manager must still be running. */
  async readMetrics() {
    const restarts = await this.manager.metric("stream_manager_restarts_total");
    this.record.count("restarts after an interruption", restarts);
  }

  /**
   * Checks that the manager's log contains no password, no error and no panic, and counts events in the
   * log.
   */
  readLog() {
    const { record } = this;
    const lines = this.manager.log.split("\n");
    for (const unwanted of [PASSWORD, "panicked", " ERROR "]) {
      const line = lines.find((text) => text.includes(unwanted));
      if (line) {
        record.violation(`in the log: ${line.replaceAll(PASSWORD, "(the password)")}`);
      }
    }
    const count = (pattern) => lines.filter((line) => pattern.test(line)).length;
    record.count("log: WARN", count(/ WARN /));
    record.count("log: ERROR", count(/ ERROR /));
    record.count("FFmpegs", count(/ pid=\d+/));
    record.count("FFmpegs killed after the grace period", count(/ WARN .*FFmpeg.*killed/));
  }
}

/** Returns the usage as soon as there are no leaks compared with `limit`, or after SETTLE_SECONDS. */
async function settledUsage(world, limit) {
  const isSettled = () => leaks(limit, world.usage()).length === 0;
  await until("a usage as before the run", SETTLE_SECONDS, isSettled).catch(() => {});
  return world.usage();
}

const options = readOptions();
const world = await World.make(options);
const { record } = world;
progress(`seed ${options.seed}: ${options.cameras} cameras, ${options.viewers} viewers, ${options.minutes} min`);

// The warm-up fills pools and caches, so that they do not count as leaks.
await world.startAll();
await world.run(WARM_UP_SECONDS, world.viewers);
await world.stopAll();
await sleep(SETTLE_SECONDS * 1000);
const before = world.usage();

const pauses = monitorEventLoopDelay();
pauses.enable();
await world.run(options.minutes * 60, [...world.operators, ...world.viewers]);
progress("starting all streams without disturbances");
await world.startAll();
const peak = world.usage();
await world.stopAll();
const after = await settledUsage(world, before);
pauses.disable();
leaks(before, after).forEach((text) => record.violation(`leak: ${text}`));

await world.readMetrics();
await world.manager.end();
world.readLog();
if (options.log) {
  writeFileSync(options.log, world.manager.log);
}
console.log(report(record, before, peak, after));
// The cameras run in this process, so a long pause of this process can be the cause of a violation.
console.log(`\nlongest pause of the benchmark itself: ${(pauses.max / 1e9).toFixed(2)} s`);
if (options.json) {
  const { counts, recoveries, violations } = record;
  const maps = { counts: Object.fromEntries(counts), recoveries: Object.fromEntries(recoveries) };
  const results = { at: new Date(), options, before, peak, after, ...maps, violations };
  writeFileSync(options.json, `${JSON.stringify(results, null, 2)}\n`);
}
// The cameras' servers would keep the process alive.
process.exit(record.violations.length === 0 ? 0 : 1);
