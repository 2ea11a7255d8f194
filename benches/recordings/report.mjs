// Formats the results as tables.
import { markdown } from "../support/report.mjs";

const percent = (share) => `${(share * 100).toFixed(3)} %`;
const megabytes = (bytes, digits = 2) => (bytes / 1e6).toFixed(digits);
const milliseconds = (value) => `${value.toFixed(1)} ms`;
/** The limit of a bucket of a histogram. */
const atMost = (seconds) => (seconds === null ? "–" : `≤ ${seconds * 1000} ms`);
const isMet = (condition) => (condition ? "yes" : "no");

/** Targets, as shares of a core, bytes and milliseconds. */
const TARGET = { cpu: 0.001, bytes: 1e6, playlist: 10, delay: 100, week: 4e6 };

/** Returns the cost of recording one camera: processor time as a share of a core, and private memory in bytes. */
export function costPerCamera({ cameras, baselines, recording }) {
  const mean = (name) => baselines.reduce((sum, baseline) => sum + baseline[name], 0) / baselines.length;
  return {
    cpu: (recording.manager - mean("manager")) / cameras,
    ffmpegs: (recording.ffmpegs - mean("ffmpegs")) / cameras,
    bytes: (recording.privateBytes - mean("privateBytes")) / cameras,
  };
}

/** Returns a line with the usage of processor time and memory in one step, per camera. */
export function usageLine(cameras, { seconds, manager, ffmpegs, privateBytes, machine }) {
  return (
    `  in ${seconds.toFixed(0)} s, per camera: manager ${percent(manager / cameras)} of a core and ` +
    `${megabytes(privateBytes / cameras)} MB of private memory, FFmpeg ${percent(ffmpegs / cameras)}; ` +
    `machine busy ${percent(machine)}`
  );
}

/** Returns lines with the response times under load. */
export function loadLine({ playlists, direct, page, write, indexWrites, deleted, failures }) {
  const times = ({ count, p50, p99, max }) =>
    `${count}, p50 ${milliseconds(p50)}, p99 ${milliseconds(p99)}, max ${milliseconds(max)}`;
  const limits = ({ count, p99, max }) => `${count}, p99 ${atMost(p99)}, max ${atMost(max)}`;
  return [
    `  playlists through nginx: ${times(playlists)}`,
    `  playlists from the manager: ${times(direct)}`,
    `  files from nginx: ${times(page)}`,
    `  entries in the index: ${limits(indexWrites)}, ${failures} failed; fragments: ${limits(write)}`,
    `  deleted files: ${deleted}`,
  ].join("\n");
}

/** Returns a line about the recorded frames. */
export function frameLine({ frames, files, spans, missing, different }) {
  return `  ${frames} frames in ${files} files and ${spans} spans, ${missing} missing, ${different} different`;
}

function usageTable({ cameras, baselines, recording, load, sound }) {
  const row = (title, { seconds, manager, ffmpegs, privateBytes, machine }) => [
    title,
    ...[seconds.toFixed(0), percent(manager / cameras), percent(ffmpegs / cameras)],
    ...[megabytes(privateBytes / cameras), percent(machine)],
  ];
  const head = ["per camera", "seconds", "manager, CPU", "FFmpeg, CPU", "manager, private MB", "machine busy"];
  return markdown(head, [
    row("without recording, before", baselines[0]),
    row("recording", recording),
    row("recording, with load on the index", load),
    row("without recording, afterwards", baselines[1]),
    row("with sound, without recording", sound.without),
    row("with sound, recording", sound.recording),
  ]);
}

/** Returns the reasons why the measurement is not valid. */
export function problems({ cameras, minutes, frames, load, clipFrames, fps }) {
  const expected = minutes * 60 * fps;
  return [
    [frames.cameras !== cameras, `${cameras - frames.cameras} cameras without recordings`],
    [frames.missing !== 0, `${frames.missing} frames are missing`],
    [frames.different !== 0, `${frames.different} frames differ from those ${clipFrames} frames before`],
    [frames.spans !== frames.cameras, `${frames.spans} spans instead of ${frames.cameras}`],
    [frames.fewestFrames < expected, `${frames.fewestFrames} frames of a camera instead of ${expected}`],
    [load.failures !== 0, `${load.failures} failed writes to the index`],
  ].flatMap(([applies, what]) => (applies ? [what] : []));
}

/** Returns all tables. */
export function tables(results) {
  const { cameras, minutes, frames, index, load, dirty, comparedSeconds } = results;
  const cost = costPerCamera(results);
  const { playlists, direct, page, write, indexWrites, deleted } = load;
  const rows = [
    ["frames recorded", frames.frames.toLocaleString("en"), "", ""],
    ["frames lost", frames.missing, "0", isMet(frames.missing === 0)],
    ["CPU of a core per camera", percent(cost.cpu), "≤ 0.1 %", isMet(cost.cpu <= TARGET.cpu)],
    ["private memory per camera", `${megabytes(cost.bytes)} MB`, "≤ 1 MB", isMet(cost.bytes <= TARGET.bytes)],
    ["data not on the disk yet, mean", `${megabytes(dirty.mean, 0)} MB`, "", ""],
    ["data not on the disk yet, max", `${megabytes(dirty.max, 0)} MB`, "", ""],
    ["playlist of an hour, p50", milliseconds(playlists.p50), "", ""],
    ["playlist of an hour, p99", milliseconds(playlists.p99), "≤ 10 ms", isMet(playlists.p99 <= TARGET.playlist)],
    ["playlist of an hour, max", milliseconds(playlists.max), "≤ 100 ms", isMet(playlists.max <= TARGET.delay)],
    ["the same without nginx, p99", milliseconds(direct.p99), "", ""],
    ["a file from nginx, p99", milliseconds(page.p99), "", ""],
    ...[["entry in the index", indexWrites], ["fragment", write]].flatMap(([what, { p99, max }]) => [
      [`${what}, p99`, atMost(p99), "", ""],
      [`${what}, max`, atMost(max), "≤ 100 ms", max === null ? "–" : isMet(max * 1000 <= TARGET.delay)],
    ]),
    ["failed writes to the index", load.failures, "0", isMet(load.failures === 0)],
    ["index per camera-week", `${megabytes(index.bytesPerWeek)} MB`, "≤ 4 MB", isMet(index.bytesPerWeek <= TARGET.week)],
  ];
  const weeks = index.cameraWeeks.toFixed(1);
  return [
    `${cameras} cameras recorded for ${minutes} minutes, with an index of ${weeks} camera-weeks:\n`,
    markdown(["", "measured", "target", "reached"], rows),
    "",
    usageTable(results),
    "",
    `Under load: ${playlists.count} playlists of ${(playlists.meanBytes / 1000).toFixed(1)} kB, ` +
      `${indexWrites.count} entries, ${write.count} fragments, and ${deleted} deleted files.`,
    `The index of ${index.files.toLocaleString("en")} files was filled in ${index.seconds.toFixed(1)} s. At its start, ` +
      `the manager compared it with the files in ${comparedSeconds.toFixed(1)} s.`,
  ].join("\n");
}
