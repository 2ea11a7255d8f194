// Runs in the service's page before the page's own scripts: records when each tile has its first picture and, after
// `observer.begin`, the pictures that each tile presents.
"use strict";

(() => {
  /** The squares at the top of a numbered picture that show its number. The others of the 32 squares are black. */
  const SQUARES = 32;
  const USED = 16;
  /** The squares are almost black or almost white. Brightness between these limits is unreadable. */
  const DARK = 64;
  const BRIGHT = 192;
  const TICK_MS = 20;
  /** A timer of TICK_MS that pauses for longer than this has stalled. */
  const STALLED_MS = 120;
  const ATTACH_EVERY_MS = 100;

  /** Milliseconds from the navigation to the first picture, by the tile's camera. */
  const firstPictures = {};
  const noteLive = () => {
    for (const tile of document.querySelectorAll('.tile[data-state="live"]')) {
      firstPictures[tile.dataset.camera] ??= performance.now();
    }
  };
  new MutationObserver(noteLive).observe(document, {
    subtree: true,
    childList: true,
    attributeFilter: ["data-state"],
  });

  const canvas = new OffscreenCanvas(USED, 1);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingEnabled = false;

  /** Returns the number of the picture in an element, or null if the number is unreadable. Reads only a few pixels. */
  function numberOf(element) {
    const size = (element.videoWidth ?? element.width) / SQUARES;
    const left = (SQUARES - USED) * size;
    context.drawImage(element, left, size / 4, USED * size, size / 2, 0, 0, USED, 1);
    const { data } = context.getImageData(0, 0, USED, 1);
    let number = 0;
    for (let square = 0; square < USED; square += 1) {
      const level = data[4 * square];
      if (level > DARK && level < BRIGHT) {
        return null;
      }
      number = number * 2 + (level >= BRIGHT ? 1 : 0);
    }
    return number;
  }

  /** Returns the age of the picture with this number in milliseconds. */
  function ageOf(number, { phase, duration, fps }) {
    const difference = Date.now() + phase - (number * 1000) / fps;
    return ((difference % duration) + duration) % duration;
  }

  let options = null;
  let tiles = new Map();
  /** The pauses of the page's own timer: their begin and end. */
  let pauses = [];
  let begunAt = 0;
  let tickAt = 0;
  let timers = [];

  function tick() {
    const now = performance.now();
    if (now - tickAt > STALLED_MS) {
      pauses.push([tickAt, now]);
    }
    tickAt = now;
  }

  /** Evaluates the time from the last picture of a tile to `now`. */
  function evaluate(tile, now) {
    tick();
    const milliseconds = now - tile.presentedAt;
    const isStalled = pauses.some(([from, to]) => to > tile.presentedAt && from < now);
    if (!isStalled) {
      tile.longest = Math.max(tile.longest, milliseconds);
    }
    if (milliseconds > (tile.transport === "mjpeg" ? options.mjpegGap : options.gap)) {
      const at = tile.presentedAt - begunAt;
      (isStalled ? tile.stalledGaps : tile.gaps).push({ at, milliseconds });
    }
  }

  function onPresented(tile, element, now) {
    evaluate(tile, now);
    tile.presentedAt = now;
    tile.pictures += 1;
    const width = element.videoWidth ?? element.width;
    tile.widths[width] ??= now - begunAt;
    if (tile.pictures % options.every === 0) {
      const number = numberOf(element);
      if (number === null) {
        tile.unreadable += 1;
      } else {
        tile.ages.push(Math.round(ageOf(number, options.cameras[tile.id]) * 10) / 10);
      }
    }
  }

  const tileOf = (element) => tiles.get(element.closest(".tile")?.dataset.camera);
  const isShown = (element) => element.dataset.shown !== undefined;
  const watched = new WeakSet();

  /** Watches a video element for as long as the tile shows it. */
  function watch(video) {
    watched.add(video);
    const next = (_, { presentationTime }) => {
      if (options === null || !isShown(video)) {
        watched.delete(video);
        return;
      }
      const tile = tileOf(video);
      if (tile) {
        onPresented(tile, video, presentationTime);
      }
      video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback(next);
  }

  /** Watches the elements that the tiles show now. A tile shows another element when it changes the transport. */
  function attach() {
    for (const element of document.querySelectorAll(".screen > [data-shown]")) {
      if (element instanceof HTMLVideoElement && !watched.has(element)) {
        watch(element);
      }
      const { transport } = element.closest(".tile").dataset;
      // While no transport plays, the tile has none.
      const tile = tileOf(element);
      if (transport && tile) {
        tile.transport = transport;
        tile.transports.add(transport);
      }
    }
  }

  /** Pictures that the page itself draws. */
  function watchCanvases() {
    const draw = CanvasRenderingContext2D.prototype.drawImage;
    CanvasRenderingContext2D.prototype.drawImage = function (...parameters) {
      draw.apply(this, parameters);
      const tile = options && isShown(this.canvas) && tileOf(this.canvas);
      if (tile) {
        onPresented(tile, this.canvas, performance.now());
      }
    };
  }

  let isWatchingCanvases = false;

  /**
   * Begins to record. `cameras` has the timing of each camera's clip, `gap` is the longest pause between two pictures
   * that is not a gap in milliseconds, `mjpegGap` the same with MJPEG, which has fewer pictures per second, and the
   * age of every `every`th picture is read.
   */
  function begin(given) {
    options = given;
    begunAt = performance.now();
    tickAt = begunAt;
    pauses = [];
    tiles = new Map(
      Object.keys(options.cameras).map((id) => {
        const figures = { longest: 0, gaps: [], stalledGaps: [], ages: [], unreadable: 0, widths: {} };
        const transports = { transport: null, transports: new Set() };
        return [id, { id, pictures: 0, presentedAt: begunAt, ...transports, ...figures }];
      }),
    );
    if (!isWatchingCanvases) {
      isWatchingCanvases = true;
      watchCanvases();
    }
    attach();
    timers = [setInterval(tick, TICK_MS), setInterval(attach, ATTACH_EVERY_MS)];
  }

  /** Returns what has been recorded, and stops recording. */
  function end() {
    timers.forEach(clearInterval);
    const now = performance.now();
    const seconds = (now - begunAt) / 1000;
    for (const tile of tiles.values()) {
      evaluate(tile, now);
    }
    const results = [...tiles.values()].map(({ presentedAt, transports, ...tile }) => {
      return { ...tile, transports: [...transports] };
    });
    options = null;
    return { seconds, pauses: pauses.map(([from, to]) => to - from), tiles: results };
  }

  globalThis.observer = { firstPictures, begin, end };
})();
