// How long until the first picture, and how old the picture is. README.md tells the method.
import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

import { launchBrowser } from "../../tests/browser/support/viewer.mjs";
import { makeDirectory } from "../support/directory.mjs";
import { available } from "../support/options.mjs";
import { say } from "../support/report.mjs";
import { Camera } from "./camera.mjs";
import { CANDIDATES } from "./candidates.mjs";
import { readOptions } from "./options.mjs";
import { Player } from "./player.mjs";
import { summary, table } from "./report.mjs";

/** What every candidate's player gets. */
const HLS = { lowLatencyMode: true };

/** The first line: those of the browser go on with its stack. */
const headline = (error) => error.message.split("\n")[0];

/** Moments in a GOP, one in each of as many equal parts, in random order. */
function moments(count, gopMilliseconds) {
  return Array.from({ length: count }, (_, part) => ({
    moment: ((part + Math.random()) / count) * gopMilliseconds,
    order: Math.random(),
  }))
    .sort((a, b) => a.order - b.order)
    .map(({ moment }) => moment);
}

/** Later settings win; null takes one away, as hls.js refuses some together. */
function merged(...settings) {
  const all = Object.entries(Object.assign({}, ...settings));
  return Object.fromEntries(all.filter(([, value]) => value !== null));
}

/** One viewer of one candidate, from a stream that nobody watches to one again. */
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
    await bench.camera.isLeft();
  }
}

async function measureCold(bench, candidates, results) {
  const { tries, camera } = bench.options;
  for (const [index, moment] of moments(tries, camera.gop * 1000).entries()) {
    for (const [place, candidate] of candidates.entries()) {
      let one;
      try {
        one = (await view(bench, candidate, moment)).opened;
      } catch (error) {
        one = { fault: headline(error) };
      }
      results[place].cold.push(one);
      const told = one.fault ?? `${Math.round(one.picture)} ms`;
      say(`cold ${index + 1}/${tries}  ${candidate.name}: ${told}`);
    }
  }
}

async function measureSteady(bench, candidates, results) {
  const { settle, steady } = bench.options;
  for (const [place, candidate] of candidates.entries()) {
    say(`steady  ${candidate.name}: ${settle} + ${steady} s`);
    try {
      const moment = Math.random() * bench.options.camera.gop * 1000;
      const { watched, settings } = await view(bench, candidate, moment, (player) => {
        return player.watch(settle, steady);
      });
      Object.assign(results[place], { steady: watched, settings });
    } catch (error) {
      results[place].steadyFault = headline(error);
      say(`steady  ${candidate.name}: ${headline(error)}`);
    }
  }
}

function everything({ options, browser }, results) {
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
      say(`starting ${name}`);
      await candidate.prepare();
    }
    await bench.camera.isLeft();
    const results = candidates.map(({ name, title }) => ({ name, title, cold: [] }));
    await measureCold(bench, candidates, results);
    if (options.steady > 0) {
      await measureSteady(bench, candidates, results);
    }
    process.stdout.write(`${table(results)}\n`);
    if (options.json) {
      writeFileSync(options.json, `${JSON.stringify(everything(bench, results), null, 2)}\n`);
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
