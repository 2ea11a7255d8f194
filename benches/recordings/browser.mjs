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
import { RecordedStage, zoomIn } from "../../tests/browser/support/recorded.mjs";
import { until } from "../../tests/browser/support/until.mjs";
import { launchBrowser, Viewer } from "../../tests/browser/support/viewer.mjs";
import { markdown, progress, quantile } from "../support/report.mjs";
import { Source } from "../support/sources.mjs";
import { observe, settled } from "./observe.mjs";

const MAIN = { width: 1920, height: 1080, gop: 2, kbits: 4000, isNumbered: true };
const SUB = { width: 640, height: 360, gop: 2, kbits: 500, isNumbered: true };
const CAMERAS = 9;
/** The hours before the recording to which its files are copied. They are multiples of the clip's length. */
const HOURS = [3, 6, 9, 12];
const HOUR_MS = 3_600_000;
const RECORD_SECONDS = 125;
const WAIT_SECONDS = 60;
/** For at least this time, a viewer looks at a picture before the next seek, and for up to twice the time. In milliseconds. */
const LOOK_MS = 300;
/** How fast the pointer moves over the recording while searching. */
const SEARCH_SPEED = 32;
/** A keyframe that appears later than this counts as not shown, in milliseconds. */
const SEARCH_LIMIT_MS = 1500;
/** The interval between two movements of the pointer, and between two looks at the playing cameras, in milliseconds. */
const MOVE_MS = 8;
const SAMPLE_MS = 97;
const PLAY_SECONDS = 20;
/** The playing time before the cameras are compared, in milliseconds. */
const START_MS = 3000;

/** The measured parts, and their titles. */
const ROWS = {
  inside: "seek inside the loaded playlist",
  outside: "seek with a new playlist",
  search: `searching at ${SEARCH_SPEED}×, per keyframe`,
  inStep: `${CAMERAS} cameras in step, largest distance`,
};

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

/** Goes to a date of the open playlist. Returns the numbers of the pictures when all cameras show the date. */
async function arrive(page, cameras, date) {
  const shown = await page.evaluate((hash) => globalThis.arrive(hash), hashOf(cameras, date));
  if (shown === null) {
    throw new Error(`the page does not show the pictures of ${new Date(date).toISOString()}`);
  }
  return shown;
}

/** Opens the page and learns the numbers: of the picture that begins at about a date. */
async function open(browser, origin, cameras, date, clip) {
  // The status view has no videos, so all of them are observed from their beginning.
  const viewer = await Viewer.open(browser, `${origin}/#/status`, {
    viewport: { width: 1600, height: 1000 },
  });
  const { page } = viewer;
  await page.evaluate(observe);
  const shown = await arrive(page, cameras, date);
  const numbers = Object.fromEntries(
    Object.entries(shown).map(([id, number]) => [id, new Numbers(clip, date, number)]),
  );
  return { page, viewer, numbers };
}

/** Finds the date at which the picture of a date begins, by steps of a tenth of a frame. */
async function beginOf(page, camera, cameras, date, fps) {
  const at = async (each) => (await arrive(page, cameras, each))[camera];
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

const row = (title, { count, wrong, p50, p95, max }) => [
  title,
  count,
  wrong,
  ...[p50, p95, max].map((value) => value?.toFixed(0) ?? "–"),
];
/** A result that is printed before the others are known. */
const rowText = (title, result) => {
  const [, count, wrong, p50, p95, max] = row(title, result);
  return `${title}: p50 ${p50}, p95 ${p95}, max ${max} ms; ${wrong} of ${count} not shown`;
};

/** Measures seeks to random dates within one playlist, and to random dates in another hour each time. */
async function measureSeeks(page, numbers, [from, to], count) {
  const random = (shift) => {
    const date = from + 2000 + Math.random() * (to - from - 4000);
    // The middle of a frame, so that rounding cannot lead to a neighbour.
    const middle = numbers.dateOf(numbers.at(date), date) + 500 / numbers.fps;
    return Math.round(middle) - shift;
  };
  const measure = async (shiftOf) => {
    const times = [];
    for (let n = 0; n < count; n += 1) {
      times.push(await seek(page, numbers, random(shiftOf(n))));
      await sleep(LOOK_MS * (1 + Math.random()));
    }
    return summary(times);
  };
  const inside = await measure(() => 0);
  progress(rowText(ROWS.inside, inside));
  const outside = await measure((n) => HOURS[n % HOURS.length] * HOUR_MS);
  progress(rowText(ROWS.outside, outside));
  return { inside, outside };
}

/** Goes to a date. Returns the milliseconds until its picture is shown; null if it is not shown. */
function seek(page, numbers, date) {
  return page.evaluate(([hash, number]) => globalThis.seek(hash, "cam1", number), [
    hashOf("cam1", date),
    numbers.at(date),
  ]);
}

/** Moves the pointer over the time line at 32 times the speed of the recording. */
async function measureSearch(page, mainNumbers, numbers, [from, to]) {
  await seek(page, mainNumbers, from + 1000);
  await page.getByRole("button", { name: "Whole day" }).click();
  await zoomIn(page, 8);
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
  await until("the first keyframe", WAIT_SECONDS, () => page.evaluate(() => globalThis.sawScrubbed()));
  const first = from + 4000;
  const last = Math.min(to - 4000, end - 1000);
  const begun = performance.now();
  for (;;) {
    const date = first + (performance.now() - begun) * SEARCH_SPEED;
    if (date > last) {
      break;
    }
    await page.mouse.move(...place(date));
    await sleep(MOVE_MS);
  }
  await page.evaluate(settled, SEARCH_LIMIT_MS);
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
    const found = pictures.find(([at, number]) => at >= time - 20 && number === keyframe && at - time < SEARCH_LIMIT_MS);
    return found ? Math.max(0, found[0] - time) : null;
  });
  return summary(latencies);
}

/** Plays all cameras, and returns how far apart their pictures are. */
async function measureInStep(page, numbers, from) {
  await arrive(page, ids.join(), from + 20_000);
  await page.keyboard.press("k");
  // The cameras start to play one after another.
  await until("all cameras play", WAIT_SECONDS, () =>
    page.evaluate((start) => globalThis.date() > start, from + 20_000 + START_MS),
  );
  const spreads = [];
  const end = performance.now() + PLAY_SECONDS * 1000;
  while (performance.now() < end) {
    const [date, shown] = await page.evaluate(() => [globalThis.date(), globalThis.numbers()]);
    const dates = Object.entries(shown).map(([id, number]) => numbers[id].dateOf(number, date));
    spreads.push(Math.max(...dates) - Math.min(...dates));
    await sleep(SAMPLE_MS);
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
    const search = await measureSearch(one.page, numbers, sub1, [from, to]);
    progress(rowText(ROWS.search, search));
    await one.viewer.close();
    progress("cameras in step");
    const all = await open(browser, parts.origin, ids.join(), from + 20_000, sub.clip);
    const inStep = await measureInStep(all.page, all.numbers, from);
    progress(rowText(ROWS.inStep, inStep));
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
export function browserTable(results) {
  return markdown(
    ["in Chromium, ms", "count", "not shown", "p50", "p95", "max"],
    Object.entries(ROWS).map(([part, title]) => row(title, results[part])),
  );
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  console.log(browserTable(await measureBrowser(Number(process.argv[2] ?? 50))));
  process.exit();
}
