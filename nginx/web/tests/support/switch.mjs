// A TransportSwitch with simulated transports and a simulated clock.
import { mock } from "node:test";

import { load } from "./load.mjs";

globalThis.document = { hidden: false };
const { TransportSwitch } = await load("player/switch.ts");
export const { Turns } = await load("player/turns.ts");

const BEAT_MS = 100;

/** Returns a switch with simulated transports `a`, `b` and `c`, from the best to the worst. */
export function setUp(t, { turns = new Turns(), names = ["a", "b", "c"] } = {}) {
  let now = 1000;
  mock.method(performance, "now", () => now);
  t.after(() => mock.restoreAll());
  const log = [];
  const made = [];
  const visible = { element: null };
  const screen = {
    show: (element) => (visible.element = element),
    release: (element) => log.push(`release ${element}`),
  };
  const sound = { isOn: false };
  const make = (name) => (job, events) => {
    const hasAudio = job.sound.isOn;
    const transport = {
      name,
      element: `${name}${made.filter((other) => other.name === name).length}`,
      isRunning: false,
      events,
      sound: job.sound,
      motion: { currentTime: 0 },
      applySound: () => hasAudio || !job.sound.isOn,
      start: () => (transport.isRunning = true),
      stop: () => (transport.isRunning = false),
    };
    made.push(transport);
    return transport;
  };
  const host = {
    onShown: () => log.push(`shown ${visible.element}`),
    onHiding: () => log.push("hiding"),
    onProblem: ({ code }) => log.push(`problem ${code}`),
    onExhausted: (reason, cause) => log.push(`exhausted ${cause?.code ?? reason}`),
    events: { away: (isAway) => log.push(isAway ? "away" : "back"), media: () => undefined },
  };
  const tested = new TransportSwitch(screen, make, () => ({ sound }), host, turns);
  /** Lets time pass, in which the picture moves, or has stopped. `interval` is the time between two frames. */
  const run = (milliseconds, isStopped = false, interval = 0) => {
    for (const begin = now; now < begin + milliseconds; ) {
      now += BEAT_MS;
      tested.keepUp(now, isStopped ? now - begin : 0, interval);
    }
  };
  const running = () => made.filter(({ isRunning }) => isRunning).map(({ element }) => element);
  const last = (name) => made.findLast((transport) => transport.name === name);
  tested.begin(names);
  return { tested, run, running, last, log, visible, made, sound };
}

/** Lets the newest transport of this name show its first picture, and get media that is newer than its beginning. */
export function revive({ last, run }, name) {
  last(name).events.picture();
  run(600, true);
  last(name).events.media();
}
