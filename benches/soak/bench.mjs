// Everything that happens to a service in a year, in minutes, and whether it leaves traces.
// README.md tells the method.
import { writeFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";

import { until } from "../../tests/browser/support/until.mjs";
import { forAll } from "../support/all.mjs";
import { Clip } from "../support/clip.mjs";
import { makeDirectory } from "../support/directory.mjs";
import { Manager } from "../support/manager.mjs";
import { Random } from "../support/random.mjs";
import { say } from "../support/report.mjs";
import { files, footprint, zombies } from "../support/usage.mjs";
import { FaultyCamera, PASSWORD } from "./cameras.mjs";
import { Operator } from "./operators.mjs";
import { readOptions } from "./options.mjs";
import { Viewer } from "./players.mjs";
import { Record } from "./record.mjs";
import { leaks, totals } from "./report.mjs";

/** Small pictures: what is looked for does not depend on the bit rate. */
const CLIP = { width: 640, height: 360, kbits: 400 };
/** Short times, so that much happens. */
const SETTINGS = {
  CLEANUP_DELAY_SECONDS: "8",
  CLEANUP_INTERVAL_SECONDS: "1",
  STALE_TIMEOUT_SECONDS: "4",
  STOP_GRACE_SECONDS: "2",
};
const WARM_UP_SECONDS = 20;
/** Idle connections and threads end within it, by time limits of the manager's, nginx's and ours. */
const SETTLE_SECONDS = 60;
const END_SECONDS = 60;
/** A start may take too long on a machine that is busy with something else. */
const ATTEMPTS = 3;
const LOOK_SECONDS = 1;
const SAY_SECONDS = 30;

class World {
  static async make(options) {
    const world = new World();
    const clip = Clip.load(CLIP);
    world.manager = await Manager.start(makeDirectory("soak-"), SETTINGS);
    Object.assign(world, { api: world.manager.api, origin: world.manager.origin, options });
    const numbers = Array.from({ length: options.cameras }, (_, number) => number);
    world.cameras = numbers.map((number) => new FaultyCamera(clip, number));
    await Promise.all(world.cameras.map((camera) => camera.comeBack()));
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

  /** The FFmpeg of a camera; undefined when it has none now. */
  ffmpegOf(id) {
    const started = new RegExp(`camera=${id}}.*FFmpeg started pid=(\\d+)`, "g");
    const last = [...this.manager.log.matchAll(started)].at(-1);
    return this.ffmpegs().find((pid) => pid === Number(last?.[1]));
  }

  isOver() {
    return Date.now() >= this.#end;
  }

  /** Lets everybody live for a while, and waits for those who still hope for their stream. */
  async run(seconds, people) {
    this.#end = Date.now() + seconds * 1000;
    const looking = this.#look();
    await Promise.all(people.map((each) => each.live()));
    await looking;
  }

  /** Generations may only grow. */
  async #look() {
    let said = Date.now();
    while (!this.isOver()) {
      const names = this.cameras.map(({ id }) => `${id}'s generation`);
      const before = new Map(names.map((name) => [name, this.record.highest(name)]));
      for (const { indicator_id: id, generation } of await this.manager.all()) {
        const name = `${id}'s generation`;
        this.record.grows(name, generation, before.get(name));
      }
      if (Date.now() - said > SAY_SECONDS * 1000) {
        said = Date.now();
        say(`${Math.ceil((this.#end - said) / 1000)} s to go, ${this.record.faults.length} faults`);
      }
      await sleep(LOOK_SECONDS * 1000);
    }
  }

  /** With all cameras well, every stream has to be playable. */
  async startAll() {
    await forAll(this.operators, async (operator) => {
      let code;
      for (let attempt = 0; attempt < ATTEMPTS && code !== null; attempt += 1) {
        code = await operator.start();
      }
      if (code !== null) {
        this.record.fault(`with all well, ${operator.camera.id} does not start: ${code}`);
      }
    });
  }

  async stopAll() {
    await Promise.all(this.operators.map((operator) => operator.stop()));
    await until("the end of all streams", END_SECONDS, async () => {
      return (await this.manager.all()).length === 0;
    }).catch((error) => this.record.fault(error.message));
  }

  /** What the manager has of everything. */
  traces() {
    const { pid, streams } = this.manager;
    const { rss, threads, files: open } = footprint(pid);
    return {
      children: this.ffmpegs().length,
      zombies: zombies(pid),
      threads,
      "open files": open,
      "files in STREAM_DIR": files(streams).length,
      "cameras' connections": this.cameras.reduce((sum, { server }) => sum + server.viewers, 0),
      "memory, MB": rss / 1e6,
    };
  }

  /** Reads the log, which has to hold no password and no panic. */
  readLog() {
    const { record } = this;
    const lines = this.manager.log.split("\n");
    for (const level of ["WARN", "ERROR"]) {
      record.count(`log: ${level}`, lines.filter((line) => line.includes(` ${level} `)).length);
    }
    const has = (text) => lines.find((line) => line.includes(text));
    for (const unwanted of [PASSWORD, "panicked", " ERROR "]) {
      if (has(unwanted)) {
        record.fault(`in the log: ${has(unwanted).replaceAll(PASSWORD, "(the password)")}`);
      }
    }
    const count = (text) => lines.filter((line) => line.includes(text)).length;
    record.count("restarts after an interruption", count(" interrupted "));
    record.count("FFmpegs", count(" FFmpeg started "));
    record.count("FFmpegs killed after the grace period", count("FFmpeg does not leave"));
  }
}

/** Traces once they are no more than `limit`, or when that has had its time. */
async function settledTraces(world, limit) {
  const isSettled = () => leaks(limit, world.traces()).length === 0;
  await until("as little as before", SETTLE_SECONDS, isSettled).catch(() => {});
  return world.traces();
}

const options = readOptions();
const world = await World.make(options);
const { record } = world;
say(`seed ${options.seed}: ${options.cameras} cameras, ${options.viewers} viewers, ${options.minutes} min`);

// Once through everything that fills pools and caches, which is no leak.
await world.startAll();
await world.run(WARM_UP_SECONDS, world.viewers);
await world.stopAll();
await sleep(SETTLE_SECONDS * 1000);
const before = world.traces();

const pauses = monitorEventLoopDelay();
pauses.enable();
await world.run(options.minutes * 60, [...world.operators, ...world.viewers]);
say("all well again");
await world.startAll();
const peak = world.traces();
await world.stopAll();
const after = await settledTraces(world, before);
pauses.disable();
leaks(before, after).forEach((text) => record.fault(`leaked: ${text}`));

await world.manager.end();
world.readLog();
if (options.log) {
  writeFileSync(options.log, world.manager.log);
}
console.log(totals(record, before, peak, after));
// The cameras are here too: one that pauses for seconds is a fault of the machine's.
console.log(`\nthis benchmark itself paused for ${(pauses.max / 1e9).toFixed(2)} s at most`);
if (options.json) {
  const { counts, faults, returns } = record;
  const maps = { counts: Object.fromEntries(counts), returns: Object.fromEntries(returns) };
  const all = { at: new Date(), options, before, peak, after, ...maps, faults };
  writeFileSync(options.json, `${JSON.stringify(all, null, 2)}\n`);
}
// The cameras' servers go on otherwise.
process.exit(record.faults.length === 0 ? 0 : 1);
