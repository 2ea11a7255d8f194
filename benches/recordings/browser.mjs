// Measures the page's view of recordings in Chromium: seeks, searching, and cameras in step. Can be run on its own:
//
//   node benches/recordings/browser.mjs [SEEKS]
//
// Cameras send a numbered clip, and are recorded for two minutes. The files are then copied to earlier hours, where the
// manager finds them at its next start, so that a seek to another hour needs another playlist.
import { cpSync, mkdirSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";

import { Parts } from "../../tests/browser/support/parts.mjs";
import { RecordedStage, recordingsAddress } from "../../tests/browser/support/recorded.mjs";
import { until } from "../../tests/browser/support/until.mjs";
import { launchBrowser, Viewer } from "../../tests/browser/support/viewer.mjs";
import { markdown, progress, quantile } from "../support/report.mjs";
import { Source } from "../support/sources.mjs";

const MAIN = { width: 1920, height: 1080, gop: 2, kbits: 4000, isNumbered: true };
const SUB = { width: 640, height: 360, gop: 2, kbits: 500, isNumbered: true };
const CAMERAS = 9;
/** The hours before the recording to which its files are copied. They are multiples of the clip's length. */
const HOURS = [3, 6, 9, 12];
const HOUR_MS = 3_600_000;
const RECORD_SECONDS = 125;
const WAIT_SECONDS = 60;
/** How fast the pointer moves over the recording while searching. */
const SEARCH_SPEED = 32;
const PLAY_SECONDS = 20;

const ids = Array.from({ length: CAMERAS }, (_, number) => `cam${number + 1}`);

/** Copies all recorded files to earlier hours. */
function copyToEarlierHours(directory) {
  for (const entry of readdirSync(directory, { recursive: true })) {
    const [, folder, day, time, span] =
      /^(.*)\/(\d{4}-\d\d-\d\d)\/(\d\d-\d\d-\d\d\.\d{3})-(\d+)\.mp4$/.exec(entry) ?? [];
    if (!folder) {
      continue;
    }
    const [clock, millis] = time.split(".");
    const at = Date.parse(`${day}T${clock.replaceAll("-", ":")}.${millis}Z`);
    for (const hours of HOURS) {
      const text = new Date(at - hours * HOUR_MS).toISOString().slice(0, -1);
      const name = `${text.slice(11).replaceAll(":", "-")}-${BigInt(span) - BigInt(hours)}.mp4`;
      const path = join(directory, folder, text.slice(0, 10), name);
      mkdirSync(dirname(path), { recursive: true });
      cpSync(join(directory, entry), path);
    }
  }
}

/** Runs in the page: notes which pictures are shown when. */
function observe() {
  const number = (video) => {
    const size = video.videoWidth / 32;
    const context = (globalThis.squares ??= new OffscreenCanvas(16, 1).getContext("2d", {
      willReadFrequently: true,
    }));
    context.imageSmoothingEnabled = false;
    context.drawImage(video, 16 * size, size / 4, 16 * size, size / 2, 0, 0, 16, 1);
    const { data } = context.getImageData(0, 0, 16, 1);
    let value = 0;
    for (let square = 0; square < 16; square += 1) {
      value = value * 2 + (data[4 * square] > 127 ? 1 : 0);
    }
    return value;
  };
  globalThis.numbers = () =>
    Object.fromEntries(
      [...document.querySelectorAll(".recorded")].map((figure) => {
        const video =
          figure.querySelector("video.scrubbed.shown") ?? figure.querySelector("video.shown");
        return [figure.dataset.camera, video?.videoWidth ? number(video) : null];
      }),
    );
  globalThis.date = () => Number(document.querySelector(".recorded-clock")?.dataset.date ?? 0);
  globalThis.sawScrubbed = () => document.querySelector("video.scrubbed.shown") !== null;
  /** Goes to a date, and returns the milliseconds until the picture with the number is shown; null after a time limit. */
  globalThis.seek = async (hash, camera, expected, limit = 5000) => {
    const begun = performance.now();
    location.hash = hash;
    while (performance.now() - begun < limit) {
      await new Promise((resolve) => requestAnimationFrame(resolve));
      // The recorder adjusts its clock a little with each file, so the number can differ by one frame.
      const difference = (globalThis.numbers()[camera] ?? Number.NaN) - expected;
      if (Math.abs(difference) <= 1) {
        return performance.now() - begun;
      }
    }
    return null;
  };
}

const hashOf = (cameras, date) => `#/recordings?cameras=${cameras}&at=${new Date(date).toISOString()}`;

/** The numbers of the pictures of a camera, from the number that is shown at one date. */
class Numbers {
  constructor({ fps, duration }, date, number) {
    Object.assign(this, { fps, frames: Math.round((duration * fps) / 1000), date, number });
  }

  at(date) {
    const frames = Math.floor(((date - this.date) * this.fps) / 1000 + 1e-6);
    return (((this.number + frames) % this.frames) + this.frames) % this.frames;
  }

  /** Returns the date of a picture that is shown near `date`. */
  dateOf(number, date) {
    const difference = number - this.at(date);
    const half = this.frames / 2;
    const frames = ((difference + half + this.frames) % this.frames) - half;
    return date + (frames * 1000) / this.fps;
  }
}

/** Opens the page and learns the numbers: of the picture that begins at about a date. */
async function open(browser, origin, cameras, date, clip) {
  const viewer = await Viewer.open(browser, recordingsAddress(origin, cameras, date), {
    viewport: { width: 1600, height: 1000 },
  });
  const { page } = viewer;
  await page.evaluate(observe);
  let shown;
  await until("the first pictures", WAIT_SECONDS, async () => {
    shown = await page.evaluate(() => globalThis.numbers());
    const all = Object.values(shown);
    return all.length === cameras.split(",").length && all.every((each) => each !== null);
  });
  await sleep(1500);
  shown = await page.evaluate(() => globalThis.numbers());
  const numbers = Object.fromEntries(
    Object.entries(shown).map(([id, number]) => [id, new Numbers(clip, date, number)]),
  );
  return { page, viewer, numbers };
}

/** Finds the date at which the picture of a date begins, by steps of a tenth of a frame. */
async function beginOf(page, camera, cameras, date, fps) {
  const at = async (each) => {
    await page.evaluate((hash) => (location.hash = hash), hashOf(cameras, each));
    await sleep(700);
    return (await page.evaluate(() => globalThis.numbers()))[camera];
  };
  const number = await at(date);
  let begin = date;
  for (let step = 1; step <= 10; step += 1) {
    begin = date - Math.round((step * 1000) / fps / 10);
    if ((await at(begin)) !== number) {
      return { date: begin + Math.round(1000 / fps / 10), number };
    }
  }
  return { date: begin, number };
}

const summary = (values) => {
  const times = values.filter((value) => value !== null);
  return {
    count: values.length,
    wrong: values.length - times.length,
    p50: quantile(times, 0.5),
    p95: quantile(times, 0.95),
    max: quantile(times, 1),
  };
};

/** Measures seeks to random dates within one playlist, and to random dates in another hour each time. */
async function measureSeeks(page, numbers, [from, to], count) {
  const random = (shift) => {
    const date = from + 2000 + Math.random() * (to - from - 4000);
    // The middle of a frame, so that rounding cannot lead to a neighbour.
    const middle = numbers.dateOf(numbers.at(date), date) + 500 / numbers.fps;
    return Math.round(middle) - shift;
  };
  const seek = (date) =>
    page.evaluate(([hash, number]) => globalThis.seek(hash, "cam1", number), [
      hashOf("cam1", date),
      numbers.at(date),
    ]);
  const inside = [];
  for (let n = 0; n < count; n += 1) {
    inside.push(await seek(random(0)));
    await sleep(200 + Math.random() * 300);
  }
  const outside = [];
  for (let n = 0; n < count; n += 1) {
    outside.push(await seek(random(HOURS[n % HOURS.length] * HOUR_MS)));
    await sleep(600 + Math.random() * 300);
  }
  return { inside: summary(inside), outside: summary(outside) };
}

/** Moves the pointer over the time line at 32 times the speed of the recording. */
async function measureSearch(page, numbers, [from, to]) {
  await page.evaluate((hash) => (location.hash = hash), hashOf("cam1", from + 1000));
  await sleep(1000);
  await page.getByRole("button", { name: "Whole day" }).click();
  for (let n = 0; n < 8; n += 1) {
    await page.keyboard.press("+");
  }
  await sleep(500);
  const { x, y, width, height } = await page.locator(".track").boundingBox();
  const [begin, end] = await page
    .locator(".track")
    .evaluate(({ dataset }) => [Number(dataset.from), Number(dataset.to)]);
  const place = (date) => [x + ((date - begin) / (end - begin)) * width, y + height - 20];
  await page.evaluate(() => {
    globalThis.moves = [];
    globalThis.pictures = [];
    addEventListener("pointermove", ({ clientX }) => globalThis.moves.push([performance.now(), clientX]), true);
    const note = () => {
      const number = globalThis.sawScrubbed() ? globalThis.numbers().cam1 : null;
      if (number !== null && number !== globalThis.pictures.at(-1)?.[1]) {
        globalThis.pictures.push([performance.now(), number]);
      }
      requestAnimationFrame(note);
    };
    note();
  });
  await page.mouse.move(...place(from + 1000));
  await page.mouse.down();
  await page.mouse.move(...place(from + 3000), { steps: 3 });
  await sleep(2000); // The playlist of keyframes is being loaded.
  const first = from + 4000;
  const last = Math.min(to - 4000, end - 1000);
  const begun = performance.now();
  for (;;) {
    const date = first + (performance.now() - begun) * SEARCH_SPEED;
    if (date > last) {
      break;
    }
    await page.mouse.move(...place(date));
    await sleep(8);
  }
  await sleep(1000);
  const { moves, pictures } = await page.evaluate(() => ({
    moves: globalThis.moves,
    pictures: globalThis.pictures,
  }));
  await page.mouse.up();
  const gop = MAIN.gop * numbers.fps;
  const requested = [];
  for (const [time, clientX] of moves) {
    const date = begin + ((clientX - x) / width) * (end - begin);
    const keyframe = Math.floor(numbers.at(date) / gop) * gop;
    if (date >= first && requested.at(-1)?.keyframe !== keyframe) {
      requested.push({ time, keyframe });
    }
  }
  const latencies = requested.map(({ time, keyframe }) => {
    const found = pictures.find(([at, number]) => at >= time - 20 && number === keyframe && at - time < 1500);
    return found ? Math.max(0, found[0] - time) : null;
  });
  return summary(latencies);
}

/** Plays all cameras, and returns how far apart their pictures are. */
async function measureInStep(page, numbers, from) {
  await page.evaluate((hash) => (location.hash = hash), hashOf(ids.join(), from + 20_000));
  await sleep(4000);
  await page.keyboard.press("k");
  await sleep(3000);
  const spreads = [];
  const end = performance.now() + PLAY_SECONDS * 1000;
  while (performance.now() < end) {
    const [date, shown] = await page.evaluate(() => [globalThis.date(), globalThis.numbers()]);
    const dates = Object.entries(shown).map(([id, number]) => numbers[id].dateOf(number, date));
    spreads.push(Math.max(...dates) - Math.min(...dates));
    await sleep(97);
  }
  await page.keyboard.press("k");
  return summary(spreads);
}

/** Measures all of it. Returns the results, with times in milliseconds. */
export async function measureBrowser(count = 50) {
  const [main, sub] = [await Source.start(MAIN), await Source.start(SUB)];
  const parts = await Parts.start({ records: true });
  const browser = await launchBrowser();
  try {
    const stage = new RecordedStage(parts);
    const [mainLinks, subLinks] = [main.links(0, CAMERAS), sub.links(0, CAMERAS)];
    const set = (mode) =>
      Promise.all(
        ids.map((id, n) =>
          // The first camera has both streams. Of the others, only the sub streams are needed.
          stage.api(`cameras/${id}`, "PUT", {
            rtsp_link: n === 0 ? mainLinks[n] : subLinks[n],
            rtsp_link_sub: subLinks[n],
            recording: { mode, profile: n === 0 ? "both" : "sub" },
          }),
        ),
      );
    await set("continuous");
    progress(`recording for ${RECORD_SECONDS} s`);
    for (const id of ids) {
      await stage.recorded(`${id}~sub`, RECORD_SECONDS);
    }
    await set("off");
    const ranges = await Promise.all([stage.range("cam1"), ...ids.map((id) => stage.range(`${id}~sub`))]);
    const from = Math.max(...ranges.map(([begin]) => begin));
    const to = Math.min(...ranges.map(([, end]) => end));
    await parts.manager.end();
    copyToEarlierHours(join(parts.directory, "recordings"));
    await parts.startManager({ RECORDINGS_DIRS: join(parts.directory, "recordings") });
    await until("the copies are found", WAIT_SECONDS, async () => {
      const found = await Promise.all(ids.map((id) => stage.range(`${id}~sub`)));
      return found.every((range) => range && range[0] < from - (HOURS.at(-1) - 1) * HOUR_MS);
    });
    const one = await open(browser, parts.origin, "cam1", from + 5000, main.clip);
    const anchor = await beginOf(one.page, "cam1", "cam1", from + 5000, main.clip.fps);
    const numbers = new Numbers(main.clip, anchor.date, anchor.number);
    progress("seeks");
    const seeks = await measureSeeks(one.page, numbers, [from, to], count);
    progress("searching");
    // The keyframes are those of the sub stream, which is a clip of its own.
    const sub1 = await subNumbers(one.page, parts.origin, from, sub.clip);
    const search = await measureSearch(one.page, sub1, [from, to]);
    await one.viewer.close();
    progress("cameras in step");
    const all = await open(browser, parts.origin, ids.join(), from + 20_000, sub.clip);
    const inStep = await measureInStep(all.page, all.numbers, from);
    await all.viewer.close();
    return { ...seeks, search, inStep };
  } finally {
    await browser.close();
    await parts.end();
    await Promise.all([main.child.end(), sub.child.end()]);
  }
}

/** Returns the numbers of the sub stream: from the thumbnail of a keyframe, whose time the service reports. */
async function subNumbers(page, origin, from, clip) {
  const [date, number] = await page.evaluate(async (url) => {
    const response = await fetch(url);
    const picture = await createImageBitmap(await response.blob());
    const size = picture.width / 32;
    const context = new OffscreenCanvas(picture.width, picture.height).getContext("2d");
    context.drawImage(picture, 0, 0);
    let value = 0;
    for (let square = 16; square < 32; square += 1) {
      const [red] = context.getImageData((square + 0.5) * size, size / 2, 1, 1).data;
      value = value * 2 + (red > 127 ? 1 : 0);
    }
    return [Date.parse(response.headers.get("X-Taken-At")), value];
  }, `${origin}/recordings/cam1~sub/thumbnail.jpg?at=${new Date(from + 5000).toISOString()}&width=640`);
  return new Numbers(clip, date, number);
}

/** Returns the table of the results. */
export function browserTable({ inside, outside, search, inStep }) {
  const row = (title, { count, wrong, p50, p95, max }) => [
    title,
    count,
    wrong,
    ...[p50, p95, max].map((value) => value?.toFixed(0) ?? "–"),
  ];
  return markdown(
    ["in Chromium, ms", "count", "not shown", "p50", "p95", "max"],
    [
      row("seek inside the loaded playlist", inside),
      row("seek with a new playlist", outside),
      row(`searching at ${SEARCH_SPEED}×, per keyframe`, search),
      row(`${CAMERAS} cameras in step, largest distance`, inStep),
    ],
  );
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  console.log(browserTable(await measureBrowser(Number(process.argv[2] ?? 50))));
  process.exit();
}
