// Plays the recordings of several cameras in step: all of them show the picture of the same date.
import { signal } from "@preact/signals-core";

import { correction, EXACT_MS } from "./correction";
import { GAP_MS, RecordedPlayer, type Recording } from "./recorded-player";
import type { Source } from "./source";

const EVERY_MS = 50;
/** Larger differences are corrected by a seek, in milliseconds of playing. */
const SEEK_MS = 1000;
/** If a camera cannot continue, the others wait for at most this time, in milliseconds. */
const HOLD_MS = 3000;

/** While this many steps wait, further ones are ignored. */
const MAX_WAITING_STEPS = 3;

export interface Jump {
  from: number;
  to: number;
}

export class InStep {
  /** The date that is shown, in Unix milliseconds. */
  readonly date = signal(0);
  readonly isPlaying = signal(false);
  readonly isSeeking = signal(false);
  readonly rate = signal(1);
  /** The latest time without recordings that was left out while playing. */
  readonly jump = signal<Jump | null>(null);
  readonly players: RecordedPlayer[];
  #leader: RecordedPlayer | null = null;
  #seeks = 0;
  #seeking: Promise<void> = Promise.resolve();
  /** The steps that have not been done yet. */
  #steps: Promise<void> = Promise.resolve();
  #waitingSteps = 0;
  #lastTick = performance.now();
  #heldSince: number | null = null;
  readonly #timer = setInterval(() => this.#tick(), EVERY_MS);

  /** Creates a player for each recording, which shows its video in the box of the same index. */
  constructor(source: Source, recordings: Recording[], boxes: HTMLElement[]) {
    this.players = recordings.map(
      (recording, index) => new RecordedPlayer(source, recording, boxes[index] as HTMLElement),
    );
  }

  /** Shows the pictures of a date. If no camera was recorded then, shows the next recording. */
  seek(date: number): Promise<void> {
    this.#seeking = this.#seek(date);
    return this.#seeking;
  }

  async #seek(date: number): Promise<void> {
    this.#seeks += 1;
    const seek = this.#seeks;
    this.isSeeking.value = true;
    this.date.value = date;
    this.#heldSince = null;
    this.#pauseAll();
    const shown = await Promise.all(this.players.map((player) => player.seek(date)));
    if (seek !== this.#seeks) {
      return;
    }
    const dates = shown.filter((each) => each !== null);
    const first = Math.min(...dates);
    const isGap = !this.players.some(({ state }) => state.value === "ready");
    if (dates.length > 0 && isGap) {
      this.date.value = first;
      this.#resumeUntil(first);
    }
    this.isSeeking.value = false;
    this.#lastTick = performance.now();
  }

  play(): void {
    this.isPlaying.value = true;
    this.#lastTick = performance.now();
  }

  pause(): void {
    this.isPlaying.value = false;
    this.#pauseAll();
    this.#note();
  }

  setRate(rate: number): void {
    this.rate.value = rate;
  }

  /** Shows the next frame of the first camera with a picture, or the previous one; other cameras show the same date. */
  step(direction: 1 | -1): Promise<void> {
    this.pause();
    if (this.#waitingSteps < MAX_WAITING_STEPS) {
      this.#waitingSteps += 1;
      this.#steps = this.#steps
        .then(() => this.#step(direction))
        .catch(() => undefined)
        .finally(() => (this.#waitingSteps -= 1));
    }
    return this.#steps;
  }

  async #step(direction: 1 | -1): Promise<void> {
    await this.#seeking;
    const first = this.players.find(({ state }) => state.value === "ready");
    if (!first) {
      return;
    }
    await first.step(direction);
    const { date } = first;
    if (date !== null) {
      this.date.value = date;
      await Promise.all(
        this.players.filter((player) => player !== first).map((player) => player.seek(date)),
      );
    }
  }

  destroy(): void {
    this.#seeks += 1;
    clearInterval(this.#timer);
    for (const player of this.players) {
      player.destroy();
    }
  }

  #pauseAll(): void {
    for (const player of this.players) {
      player.setPlaying(false);
    }
  }

  /** Notes the date of the picture of the first camera that has one. */
  #note(): void {
    const first = this.players.find(({ state }) => state.value === "ready");
    if (first?.date != null && !this.isSeeking.value) {
      this.date.value = first.date;
    }
  }

  #resumeUntil(date: number): void {
    for (const player of this.players) {
      if (player.state.value === "gap" && (player.date ?? 0) <= date + EXACT_MS) {
        player.resume();
      }
    }
  }

  #tick(): void {
    const now = performance.now();
    const elapsed = now - this.#lastTick;
    this.#lastTick = now;
    for (const player of this.players) {
      player.keep();
    }
    this.#retry();
    if (this.isPlaying.value && !this.isSeeking.value) {
      this.#advance(elapsed * this.rate.value, now);
    }
  }

  /** Lets the players that have failed try again. The pauses between the attempts grow. */
  #retry(): void {
    const due = this.players.filter((player) => player.isRetryDue);
    if (due.length === 0 || this.isSeeking.value) {
      return;
    }
    if (this.players.some(({ state }) => state.value === "ready")) {
      for (const player of due) {
        void player.seek(this.date.value);
      }
    } else {
      // If nothing was recorded at the date, this leads to the next recording.
      void this.seek(this.date.value);
    }
  }

  #advance(expected: number, now: number): void {
    const active = this.players.filter(({ state }) => state.value === "ready");
    if (active.length === 0) {
      this.#leaveGap();
      return;
    }
    if (this.#mustHold(active, now)) {
      this.#pauseAll();
      return;
    }
    const isLeading = (player: RecordedPlayer) =>
      player.isReady && !this.#hasOverrun(player, expected);
    if (!this.#leader || !active.includes(this.#leader) || !isLeading(this.#leader)) {
      this.#leader = active.find(isLeading) ?? null;
    }
    if (!active.some((player) => player.isReady)) {
      // The date must not leave out what these players will show.
      for (const player of active) {
        player.setPlaying(true);
      }
      return;
    }
    const before = this.date.value;
    this.date.value = this.#leader?.date ?? before + expected;
    if (this.date.value - before > GAP_MS + expected) {
      this.jump.value = { from: before, to: this.date.value };
    }
    this.#resumeUntil(this.date.value);
    for (const player of this.players) {
      this.#align(player, expected);
    }
  }

  /** Returns whether a player has crossed a gap, in which another camera may have recordings. */
  #hasOverrun(player: RecordedPlayer, expected: number): boolean {
    const ahead = (player.date ?? 0) - this.date.value;
    return this.players.length > 1 && ahead > GAP_MS + expected;
  }

  #align(player: RecordedPlayer, expected: number): void {
    const rate = this.rate.value;
    if (player.state.value === "ready" && player !== this.#leader) {
      if (this.#hasOverrun(player, expected)) {
        player.wait();
        return;
      }
      const difference = ((player.date ?? this.date.value) - this.date.value) / rate;
      if (Math.abs(difference) > SEEK_MS) {
        // Another seek would end the one that is running, so the player would never arrive.
        if (!player.isSeeking) {
          void player.seek(this.date.value);
        }
        return;
      }
      player.setRate(rate * correction(difference));
    } else {
      player.setRate(rate);
    }
    player.setPlaying(true);
  }

  /** Returns whether the cameras must wait for one of them. */
  #mustHold(active: RecordedPlayer[], now: number): boolean {
    if (active.every((player) => player.isReady)) {
      this.#heldSince = null;
      return false;
    }
    if (active.length === 1) {
      return false; // The date waits for the only player.
    }
    this.#heldSince ??= now;
    return now - this.#heldSince < HOLD_MS;
  }

  /** Continues with the next recording of any camera; pauses if there are no later recordings. */
  #leaveGap(): void {
    if (this.players.some(({ state }) => state.value === "loading")) {
      return;
    }
    const next = this.players
      .filter(({ state }) => state.value === "gap")
      .map(({ date }) => date ?? Number.POSITIVE_INFINITY);
    const to = Math.min(...next);
    if (Number.isFinite(to)) {
      this.jump.value = { from: this.date.value, to };
      this.date.value = to;
      this.#resumeUntil(to);
    } else if (!this.players.some((player) => player.isWaitingForMore || player.willRetry)) {
      this.pause();
    }
  }
}
