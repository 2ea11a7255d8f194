// A manager whose cameras are read with or without recording, and its usage of processor time and memory.
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { until } from "../../tests/browser/support/until.mjs";
import { forAll } from "../support/concurrency.mjs";
import { Manager } from "../support/manager.mjs";
import { cpuSeconds, machineSeconds, memory } from "../support/usage.mjs";

const START_SECONDS = 120;
/** Time limit for comparing the index with the files, which the manager does at its start. */
const COMPARE_SECONDS = 300;
/** Number of cameras in one import. */
const IMPORTED = 500;
const SETTLE_SECONDS = 10;

/** Time limit of a response. */
const RESPONSE_SECONDS = 60;

const sum = (values) => values.reduce((total, value) => total + value, 0);

/** Waits until `count` returns a number. The error reports the number that was reached. */
async function untilCount(what, wanted, count) {
  let reached = null;
  try {
    await until(`${wanted} ${what}`, START_SECONDS, async () => (reached = await count()) === wanted);
  } catch (error) {
    throw new Error(`${error.message}; the last number was ${reached}`, { cause: error });
  }
}

/** A manager with cameras that run all the time. */
export class Phase {
  static async start(directory, settings, links) {
    const manager = await Manager.start(directory, { MAX_STREAMS: "100000", ...settings });
    return new Phase(manager, links);
  }

  constructor(manager, links) {
    Object.assign(this, { manager, links });
    this.ids = links.map((_, number) => `camera-${number}`);
  }

  /** Adds all cameras with these options, or changes them. `optionsOf` gets the number of the camera. */
  async put(optionsOf) {
    const cameras = this.links.map((link, number) => ({
      id: this.ids[number],
      rtsp_link: link,
      ...optionsOf(number),
    }));
    for (let first = 0; first < cameras.length; first += IMPORTED) {
      const response = await fetch(`${this.manager.api}/api/cameras.json`, {
        method: "PUT",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(cameras.slice(first, first + IMPORTED)),
        signal: AbortSignal.timeout(RESPONSE_SECONDS * 1000),
      });
      if (!response.ok) {
        throw new Error(`the import of cameras failed: ${await response.text()}`);
      }
    }
  }

  /** Waits until all streams are live and send frames. */
  async untilLive() {
    await untilCount("live streams", this.ids.length, async () => {
      const states = await this.manager.streamStates();
      return states.filter(({ state }) => state === "live").length;
    });
    await sleep(SETTLE_SECONDS * 1000);
  }

  /** Waits until the manager has compared the index with the files. Returns the duration in seconds. */
  async untilCompared() {
    const began = performance.now();
    await until("the index agrees with the files", COMPARE_SECONDS, () => {
      return /the index of recordings (agrees|was brought in line)/.test(this.manager.log);
    });
    return (performance.now() - began) / 1000;
  }

  /** Returns the number of cameras that are being recorded. */
  async recorded() {
    let count = 0;
    await forAll(this.ids, async (id) => {
      const { body } = await this.manager.call(`/api/cameras/${id}/recording`);
      count += body.streams.some(({ state }) => state === "recording") ? 1 : 0;
    });
    return count;
  }

  /** Begins to record all cameras, and waits until all are recorded. */
  async record(recording) {
    await this.put(() => ({ recording }));
    await untilCount("recorded cameras", this.ids.length, () => this.recorded());
    await sleep(SETTLE_SECONDS * 1000);
  }

  /** Ends all recordings, and waits until the last files are complete. */
  async endRecordings() {
    await this.put(() => ({ recording: { mode: "off" } }));
    await untilCount("streams and recordings", 0, async () => {
      return (await this.manager.streamStates()).length + (await this.recorded());
    });
  }

  /** Returns the text of the metrics. */
  async metrics() {
    const signal = AbortSignal.timeout(RESPONSE_SECONDS * 1000);
    return (await fetch(`${this.manager.api}/metrics`, { signal })).text();
  }

  /** Measures processor time and memory of the manager and its FFmpegs for some seconds. */
  async measure(source, seconds) {
    const before = await this.#snapshot(source);
    await sleep(seconds * 1000);
    const after = await this.#snapshot(source);
    const passed = (after.at - before.at) / 1000;
    const share = (name) => (after[name] - before[name]) / passed;
    const { manager, ffmpegs } = this.manager.processes();
    return {
      seconds: passed,
      manager: share("manager"),
      ffmpegs: share("ffmpegs"),
      machine: share("machine"),
      stolen: share("stolen"),
      privateBytes: memory(manager[0]).dirty,
      ffmpegBytes: sum(ffmpegs.map((pid) => memory(pid).dirty)),
      sent: after.sent - before.sent,
      received: after.received - before.received,
    };
  }

  async #snapshot(source) {
    const { manager, ffmpegs } = this.manager.processes();
    const { busy, stolen } = machineSeconds();
    return {
      sent: await source.framesSent(),
      received: await this.manager.metric("stream_manager_frames_received_total"),
      at: performance.now(),
      manager: cpuSeconds(manager[0]),
      ffmpegs: sum(ffmpegs.map((pid) => cpuSeconds(pid))),
      machine: busy,
      stolen,
    };
  }

  end() {
    return this.manager.end();
  }
}

/** Measures cameras that run without recording. */
export async function measureBaseline(directory, links, source, seconds) {
  const phase = await Phase.start(directory, { DATABASE_URL: `sqlite:${join(directory, "baseline.db")}` }, links);
  try {
    await phase.put(() => ({ keep: "always" }));
    await phase.untilLive();
    return await phase.measure(source, seconds);
  } finally {
    await phase.end();
  }
}
