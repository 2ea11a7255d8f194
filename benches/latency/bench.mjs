// Measures the time until the first picture, and the age of the picture. README.md describes the method.
import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

import { launchBrowser } from "../../tests/browser/support/viewer.mjs";
import { makeDirectory } from "../support/directory.mjs";
import { available } from "../support/options.mjs";
import { progress } from "../support/report.mjs";
import { Camera } from "./camera.mjs";
import { CANDIDATES } from "./candidates.mjs";
import { readOptions } from "./options.mjs";
import { Player } from "./player.mjs";
import { summary, table } from "./report.mjs";

/** Settings of hls.js for all candidates. */
const HLS = { lowLatencyMode: true };

/** Returns the first line of an error's message. Messages from the browser also contain a stack trace. */
const headline = (error) => error.message.split("\n")[0];

/**
 * Divides a GOP into equal parts. Returns a random moment in each part, in milliseconds, in random order.
 */
function moments(count, gopMilliseconds) {
  return Array.from({ length: count }, (_, index) => ({
    moment: ((index + Math.random()) / count) * gopMilliseconds,
    order: Math.random(),
  }))
    .sort((a, b) => a.order - b.order)
    .map(({ moment }) => moment);
}

/**
 * Merges settings. Later settings take precedence. The value null removes a setting, because hls.js rejects
 * some combinations.
 */
function merged(...settings) {
  const entries = Object.entries(Object.assign({}, ...settings));
  return Object.fromEntries(entries.filter(([, value]) => value !== null));
}

/**
 * Starts a candidate at this moment of the GOP in a new browser page, calls `watch` if it is set, and ends the
 * stream. Returns the results of the start and of `watch`, and the settings of hls.js.
 */
async function view(bench, candidate, moment, watch) {
  const player = await Player.load(bench.browser, candidate);
  try {
    const gop = bench.options.camera.gop * 1000;
    await sleep((((moment - Date.now()) % gop) + gop) % gop);
    const settings = merged(HLS, candidate.settings, bench.options.hls);
    const opened = await player.open(settings);
    return { opened, watched: await watch?.(player), settings };
  } finally {
    await player.close();
    await candidate.end();
    await waitUntilIdle(bench);
  }
}

/** Waits until the camera has no clients, unless streams run during the whole benchmark. */
async function waitUntilIdle({ camera, options }) {
  if (!options.running) {
    await camera.waitUntilIdle();
  }
}

/** Measures cold starts: the time until the first picture. */
async function measureCold(bench, candidates, results) {
  const { tries, camera } = bench.options;
  for (const [index, moment] of moments(tries, camera.gop * 1000).entries()) {
    for (const [position, candidate] of candidates.entries()) {
      let attempt;
      try {
        attempt = (await view(bench, candidate, moment)).opened;
      } catch (error) {
        attempt = { failure: headline(error) };
      }
      results[position].cold.push(attempt);
      const outcome = attempt.failure ?? `${Math.round(attempt.picture)} ms`;
      progress(`cold ${index + 1}/${tries}  ${candidate.name}: ${outcome}`);
    }
  }
}

/** Measures the age of the picture while each candidate plays. */
async function measureSteady(bench, candidates, results) {
  const { settle, steady } = bench.options;
  for (const [position, candidate] of candidates.entries()) {
    progress(`steady  ${candidate.name}: ${settle} + ${steady} s`);
    try {
      const moment = Math.random() * bench.options.camera.gop * 1000;
      const { watched, settings } = await view(bench, candidate, moment, (player) => {
        return player.watch(settle, steady);
      });
      Object.assign(results[position], { steady: watched, settings });
    } catch (error) {
      results[position].steadyFailure = headline(error);
      progress(`steady  ${candidate.name}: ${headline(error)}`);
    }
  }
}

/** Returns the report that is written to the JSON file. */
function report({ options, browser }, results) {
  return {
    at: new Date().toISOString(),
    processors: availableParallelism(),
    browser: browser.version(),
    options,
    results: results.map((result) => ({ ...result, summary: summary(result) })),
  };
}

async function main() {
  const options = readOptions();
  const names = available(options.only);
  if (names.length === 0) {
    return;
  }
  const directory = makeDirectory("latency-");
  const bench = { options, directory };
  const candidates = [];
  try {
    bench.camera = await Camera.start(options.camera);
    bench.browser = await launchBrowser();
    for (const name of names) {
      const candidate = CANDIDATES[name](bench);
      candidates.push(candidate);
      progress(`starting ${name}`);
      await candidate.prepare();
    }
    await waitUntilIdle(bench);
    const results = candidates.map(({ name, title }) => ({ name, title, cold: [] }));
    await measureCold(bench, candidates, results);
    if (options.steady > 0) {
      await measureSteady(bench, candidates, results);
    }
    process.stdout.write(`${table(results)}\n`);
    if (options.json) {
      writeFileSync(options.json, `${JSON.stringify(report(bench, results), null, 2)}\n`);
    }
  } finally {
    await bench.browser?.close();
    for (const candidate of candidates) {
      await candidate.close();
    }
    await bench.camera?.end();
  }
}

await main();
