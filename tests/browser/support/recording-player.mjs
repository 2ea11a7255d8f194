// A player of recordings in a page of a test, without the page's own code.

/** Runs in the page: defines functions that open, seek and read a recording. */
export function definePlayer() {
  /** Reads the clock in the picture: a row of 32 squares, which are the lower bits of the time. */
  const clock = (video) => {
    const canvas = document.createElement("canvas");
    const [width, side] = [video.videoWidth, video.videoWidth / 32];
    [canvas.width, canvas.height] = [width, side];
    const context = canvas.getContext("2d");
    context.drawImage(video, 0, 0, width, side, 0, 0, width, side);
    let time = 0;
    for (let square = 0; square < 32; square++) {
      const [red] = context.getImageData((square + 0.5) * side, side / 2, 1, 1).data;
      time = time * 2 + (red > 127 ? 1 : 0);
    }
    // The upper bits are those of the present.
    return Date.now() - ((Date.now() - time) >>> 0);
  };
  globalThis.shown = () => {
    const { video, hls, mediaTime } = globalThis.player;
    // The date of the picture that is shown, whose media time is a little earlier than the position.
    const date = hls.playingDate.getTime() + (mediaTime - video.currentTime) * 1000;
    return { date, clock: clock(video), position: video.currentTime, duration: video.duration };
  };
  const nextFrame = (player) =>
    new Promise((resolve) =>
      player.video.requestVideoFrameCallback((_, { mediaTime }) => {
        player.mediaTime = mediaTime;
        resolve();
      }),
    );
  globalThis.openRecording = async (url, options = {}) => {
    globalThis.player?.hls.destroy();
    globalThis.player?.video.remove();
    const video = document.body.appendChild(document.createElement("video"));
    video.muted = true;
    const hls = new globalThis.Hls({ enableWorker: false, ...options });
    const player = { hls, video, errors: [], mediaTime: 0 };
    globalThis.player = player;
    hls.on(globalThis.Hls.Events.ERROR, (_, { details }) => {
      const buffered = video.buffered.length ? video.buffered.end(video.buffered.length - 1) : 0;
      const edge = hls.levels[0]?.details?.edge;
      // hls.js reports that it has ended a request because of a seek.
      if (details === "aborted") {
        return;
      }
      player.errors.push(
        `${details} at ${video.currentTime}, buffered to ${buffered}, listed to ${edge}`,
      );
    });
    const frame = nextFrame(player);
    hls.loadSource(url);
    hls.attachMedia(video);
    await frame;
    const note = (_, { mediaTime }) => {
      player.mediaTime = mediaTime;
      video.requestVideoFrameCallback(note);
    };
    video.requestVideoFrameCallback(note);
  };
  globalThis.seek = async (second) => {
    const { player } = globalThis;
    player.video.pause();
    const seeked = new Promise((resolve) =>
      player.video.addEventListener("seeked", resolve, { once: true }),
    );
    const frame = nextFrame(player);
    player.video.currentTime = second;
    await Promise.all([seeked, frame]);
    return globalThis.shown();
  };
  /** Opens a playlist that cannot be played, and returns the error. */
  globalThis.failToOpen = (url) =>
    new Promise((resolve) => {
      const hls = new globalThis.Hls({ enableWorker: false });
      hls.on(globalThis.Hls.Events.ERROR, (_, { details }) => {
        hls.destroy();
        resolve(details);
      });
      hls.loadSource(url);
      hls.attachMedia(document.createElement("video"));
    });
  /** Opens hls.js's player of keyframes beside the player. */
  globalThis.openKeyframes = () => {
    const { player } = globalThis;
    const video = document.body.appendChild(document.createElement("video"));
    video.muted = true;
    player.keyframes = player.hls.createIFramePlayer();
    player.keyframes.attachMedia(video);
    player.keyframeVideo = video;
    player.keyframes.on(globalThis.Hls.Events.ERROR, (_, { details, fatal }) => {
      if (fatal) {
        player.errors.push(details);
      }
    });
  };
  /** Shows the keyframe at a position, and returns its clock and the time that this took. */
  globalThis.scrub = async (second) => {
    const { keyframes, keyframeVideo } = globalThis.player;
    const begun = performance.now();
    // hls.js sometimes shows nothing, and must be asked again.
    for (let attempt = 0; attempt < 3; attempt++) {
      const frame = new Promise((resolve) =>
        keyframeVideo.requestVideoFrameCallback(() => resolve(true)),
      );
      keyframes.loadMediaAt(second);
      if (await Promise.race([frame, new Promise((resolve) => setTimeout(resolve, 2000))])) {
        return { clock: clock(keyframeVideo), millis: Math.round(performance.now() - begun) };
      }
    }
    throw new Error(`no keyframe is shown at ${second} s`);
  };
  /** Loads a file, and returns the clocks of its first and its last picture. */
  globalThis.playFile = async (url) => {
    const video = document.createElement("video");
    video.muted = true;
    const response = await fetch(url);
    if (!response.ok) {
      throw new Error(await response.text());
    }
    const loaded = new Promise((resolve) => video.requestVideoFrameCallback(resolve));
    video.src = URL.createObjectURL(await response.blob());
    document.body.append(video);
    await loaded;
    const first = clock(video);
    const { duration } = video;
    const ended = new Promise((resolve) =>
      video.addEventListener("ended", resolve, { once: true }),
    );
    await video.play();
    await ended;
    // At the end, the browser may not have drawn the last picture yet.
    const frame = new Promise((resolve) => video.requestVideoFrameCallback(resolve));
    video.currentTime = duration - 0.005;
    await frame;
    const last = clock(video);
    video.remove();
    return { first, last, duration };
  };
}
