// Functions for tests that watch recordings on the page.
import { isDeepStrictEqual } from "node:util";

import { until } from "./until.mjs";
import { SECONDS } from "./viewer.mjs";

/** Times at which cameras are recorded, and what the page shows of the recordings. */
export class RecordedStage {
  /** Uses a manager and an nginx of `Parts`, with this API key if it needs one. */
  constructor(parts, key) {
    this.parts = parts;
    this.key = key;
  }

  /** Sends a request to the API, and returns the JSON of the response. */
  async api(path, method = "GET", body) {
    const response = await fetch(`${this.parts.origin}/api/${path}`, {
      method,
      headers: {
        "Content-Type": "application/json",
        ...(this.key && { Authorization: `Bearer ${this.key}` }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
    if (!response.ok) {
      throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    }
    return response.status === 204 ? null : response.json();
  }

  /** Adds or changes a camera with this mode of recording. */
  record(id, link, mode, more = {}) {
    return this.api(`cameras/${id}`, "PUT", { rtsp_link: link, recording: { mode }, ...more });
  }

  /** Returns the beginning and the end of a stream's recordings in Unix milliseconds; null without recordings. */
  async range(stream) {
    const { streams } = await this.api("recordings");
    const found = streams.find(({ id }) => id === stream);
    return found ? [Date.parse(found.from), Date.parse(found.to)] : null;
  }

  /** Waits until a stream is recorded up to `date`, or for `seconds` after its beginning. Returns the range. */
  async recorded(stream, seconds) {
    let range;
    await until(`${seconds} s of ${stream} are recorded`, SECONDS + seconds, async () => {
      range = await this.range(stream);
      return range && range[1] - range[0] >= seconds * 1000;
    });
    return range;
  }
}

/** The address of recordings on the page. */
export function recordingsAddress(origin, cameras, at) {
  return `${origin}/#/recordings?cameras=${cameras}&at=${new Date(at).toISOString()}`;
}

/**
 * Returns what the page shows of each camera: the time of the picture (the camera's clock in the picture), the state of the
 * search, and the date of the page's clock.
 */
export function shown(page) {
  return page.evaluate(readPictures);
}

/** Runs in the page. */
function readPictures() {
  const clock = (video) => {
    const { videoWidth: width } = video;
    if (!width) {
      return null;
    }
    const side = width / 32;
    const context = new OffscreenCanvas(width, side).getContext("2d");
    context.drawImage(video, 0, 0, width, side, 0, 0, width, side);
    const { data } = context.getImageData(0, side / 2, width, 1);
    let time = 0;
    for (let square = 0; square < 32; square += 1) {
      time = time * 2 + (data[4 * Math.floor((square + 0.5) * side)] > 127 ? 1 : 0);
    }
    // The upper bits are those of the present.
    return Date.now() - ((Date.now() - time) >>> 0);
  };
  const pictures = {};
  for (const figure of document.querySelectorAll(".recorded")) {
    const scrubbed = figure.querySelector("video.scrubbed.shown");
    const video = scrubbed ?? figure.querySelector("video.shown");
    pictures[figure.dataset.camera] = {
      clock: video && clock(video),
      isScrubbed: scrubbed !== null,
      note: figure.querySelector(".recorded-note")?.textContent ?? "",
    };
  }
  const date = document.querySelector(".recorded-clock")?.dataset.date;
  return { pictures, date: date ? Number(date) : null };
}

/** Waits until the pictures no longer change, and returns what the page shows. */
export async function standsStill(page) {
  let [last, seen] = [null, null];
  await until("pictures that do not change", 20, async () => {
    [last, seen] = [seen, await shown(page)];
    return isDeepStrictEqual(last, seen);
  });
  return seen;
}

/** Zooms the time line in by pressing a key `times` times. Waits for each press, because the page renders afterwards. */
export async function zoomIn(page, times) {
  const length = () =>
    page.locator(".track").evaluate(({ dataset }) => Number(dataset.to) - Number(dataset.from));
  for (let time = 0; time < times; time += 1) {
    const before = await length();
    await page.keyboard.press("+");
    await until("a shorter time line", SECONDS, async () => (await length()) < before);
  }
}

/** Moves the page to a date by its address, as a link would. */
export function goTo(page, cameras, at) {
  return page.evaluate(
    (hash) => {
      location.hash = hash;
    },
    `#/recordings?cameras=${cameras}&at=${new Date(at).toISOString()}`,
  );
}
