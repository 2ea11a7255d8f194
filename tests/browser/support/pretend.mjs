// Responses that a page gets instead of the real responses of the service, so that the page always looks the same.
// The real service lists the cameras.

const HOUR_MS = 3_600_000;
/** A name of 200 characters without a space. */
export const LONG_NAME = "Warehouse".padEnd(200, "-north-gate-7");
/** A name of 200 characters with spaces. */
export const WORDY_NAME = "Camera above the door of the loading bay, ".repeat(5).slice(0, 200);
/** Names of 200 characters that are written from right to left. */
export const ARABIC_NAME = "كاميرا المدخل الرئيسي ".repeat(10).slice(0, 200);
export const HEBREW_NAME = "מצלמת הכניסה הראשית 7 ".repeat(10).slice(0, 200);

/** Cameras with names that need much space, by id. */
export const NAMES = {
  "a-gate": "Gate",
  "b-long": LONG_NAME,
  "c-wordy": WORDY_NAME,
  "d-arabic": ARABIC_NAME,
  "e-hebrew": HEBREW_NAME,
  ["f".padEnd(64, "-id")]: "Yard",
};

const UNREACHABLE = {
  code: "source_unreachable",
  detail: "the connection to 192.0.2.7:554 was refused; check the port",
};
const UNAUTHORIZED = {
  code: "source_unauthorized",
  detail: "the camera rejected the user name or password",
};
const SOURCE =
  "rtsp://***@192.0.2.7:554/Streaming/Channels/101?transportmode=unicast&profile=Profile_1";

/** The results of start requests, by the beginning of the camera's id. Other start requests get no response. */
const STARTS = {
  "b-": { status: 502, ...UNAUTHORIZED },
  "c-": { status: 502, ...UNREACHABLE },
  "d-": { status: 404, code: "unknown_camera", detail: "no camera has the id d-arabic" },
};

function stream(id, state, more = {}) {
  return {
    indicator_id: id,
    profile: "main",
    state,
    stream_path: `/streams/${id}/stream.m3u8`,
    source: SOURCE,
    options: { video: "auto", audio: "auto", transport: "auto" },
    viewers: 3,
    restarts: 0,
    started_at: "2026-11-21T10:00:00.000Z",
    idle_seconds: 0,
    generation: 1,
    outputs: { hls: { state: "live" } },
    last_error: null,
    ...more,
  };
}

const ids = Object.keys(NAMES);
/** Streams in all states. */
const STREAMS = [
  stream(ids[0], "live", {
    uptime_seconds: 7400,
    media: {
      video_codec: "avc1.640028",
      audio_codec: "mp4a.40.2",
      transcoded: true,
      width: 2560,
      height: 1440,
      frame_rate: 25,
      bit_rate: 4_100_000,
      gop_seconds: 2,
    },
    process: { cpu_percent: 12.5, memory_bytes: 25_000_000 },
  }),
  stream(ids[1], "failed", { last_error: { ...UNAUTHORIZED, seconds_ago: 12 } }),
  stream(ids[2], "backoff", { restarts: 4, last_error: { ...UNREACHABLE, seconds_ago: 3 } }),
  stream(ids[3], "starting"),
  stream(ids[4], "stopping", { profile: "sub" }),
];

/** Time until the end of the sessions: 2 h 10 min and some seconds, so that the page always shows the same minutes. */
const SESSION_MS = (2 * 60 + 10.5) * 60_000;

function sessions() {
  const users = [
    ["hall monitor (page)", [ids[0], ids[1], ids[3]]],
    [LONG_NAME, ["*"]],
  ];
  return users.map(([user, cameras], index) => ({
    session_id: `session-${index}`,
    user,
    cameras,
    state: "active",
    created_at: "2026-11-21T10:00:00.000Z",
    expires_at: new Date(Date.now() + SESSION_MS).toISOString(),
    last_seen: null,
    made_by: index ? null : "boss",
  }));
}

const PROFILES = [
  {
    token: "p0",
    name: "MainStream",
    video_codec: "H265",
    width: 2560,
    height: 1440,
    frame_rate: 25,
  },
  { token: "p1", name: LONG_NAME, video_codec: "H264", width: 640, height: 360, frame_rate: 15 },
].map((profile, index) => ({ ...profile, rtsp_link: `rtsp://192.0.2.21:554/stream${index}` }));

function device(address, name, more = {}) {
  return {
    address,
    port: 80,
    onvif: `http://${address}/onvif/device_service`,
    name,
    manufacturer: "Example",
    model: "EX-2840",
    firmware: null,
    serial: null,
    needs_credentials: false,
    error: null,
    profiles: PROFILES,
    main: PROFILES[0].rtsp_link,
    sub: PROFILES[1].rtsp_link,
    known_as: null,
    ...more,
  };
}

const NO_STREAMS = { profiles: [], main: null, sub: null };
const DISCOVERY = {
  devices: [
    device("192.0.2.21", "Front door", { known_as: ids[0] }),
    device("192.0.2.22", LONG_NAME),
    device("192.0.2.23", ARABIC_NAME, {
      ...NO_STREAMS,
      needs_credentials: true,
      error: UNAUTHORIZED.detail,
    }),
    device("192.0.2.24", null, { ...NO_STREAMS, error: "the device did not respond in time" }),
    device("192.0.2.25", "Roof", {
      ...NO_STREAMS,
      error: "the certificate is not trusted",
      error_code: "onvif_certificate_unknown",
      onvif_certificate: Array(32).fill("A7").join(":"),
    }),
  ],
  interfaces: ["eth0", "wlp0s20f3"],
  warnings: ["eth1 could not be searched"],
};
const HEALTH = {
  status: "ok",
  active_streams: 2,
  uptime_seconds: 93_600,
  version: "1.2.3",
  webrtc: { port: 8189 },
};

function event(id, type, camera, more = {}) {
  return {
    id,
    type,
    at: new Date(Date.UTC(2026, 10, 21, 10, 0, id)).toISOString(),
    until: null,
    camera,
    label: null,
    data: {},
    reported_id: null,
    repeats: 0,
    seen: true,
    ...more,
  };
}

const EVENTS = [
  event(10, "motion", ids[1], {
    data: { peak: 0.034 },
    until: "2026-11-21T10:00:25.000Z",
    thumbnail: true,
  }),
  event(9, "camera.offline", ids[2], {
    data: { error: UNREACHABLE },
    repeats: 12,
    until: "2026-11-21T11:30:00.000Z",
    seen: false,
  }),
  event(8, "reported.door", ids[3], { label: ARABIC_NAME, seen: false }),
  event(7, "reported.door", ids[0], { label: LONG_NAME }),
  event(6, "stream.failed", ids[1], { data: { profile: "main", error: UNAUTHORIZED } }),
  event(5, "stream.stopped", ids[0], { data: { profile: "sub", reason: "idle" } }),
];

/** The picture of an event. */
const PICTURE = `<svg xmlns="http://www.w3.org/2000/svg" width="320" height="180">
  <rect width="320" height="180" fill="#6b8e6b"/><rect x="140" y="40" width="40" height="110" fill="#333"/>
</svg>`;

/** Returns numbers of events by hour, up to the present hour. */
function counts() {
  const hour = (n) => new Date(Date.now() - n * HOUR_MS).toISOString();
  const numbers = [3, 0, 0, 1, 0, 0, 2, 5, 9, 14, 8, 4, 6, 3, 2, 7, 12, 20, 9, 3, 1, 0, 0, 0];
  return {
    hours: numbers
      .flatMap((count, n) =>
        ids.slice(0, 4).map((camera, m) => ({
          hour: `${hour(n).slice(0, 13)}:00:00Z`,
          camera,
          type: "motion",
          count: Math.round(count / (m + 1)),
        })),
      )
      .filter(({ count }) => count > 0),
  };
}

/** A day of recordings, which is in the past on every machine. */
const RECORDED_DAY = Date.UTC(2024, 10, 21);
/** The moment of the recordings that is shown. */
export const RECORDED_AT = new Date(RECORDED_DAY + 10.5 * HOUR_MS).toISOString();

const recordedTime = (hours) => new Date(RECORDED_DAY + hours * HOUR_MS).toISOString();

/** The times with recordings: in hours of the day, with events, protected. */
const RECORDED = [
  [1, 6.25, false, false],
  [6.5, 7, true, false],
  [7, 9.75, false, true],
  [10, 17.2, false, false],
  [18.5, 18.6, true, false],
  [21, 24, false, false],
];

function timeline(id) {
  return {
    id,
    from: recordedTime(-12),
    to: recordedTime(36),
    first: recordedTime(1),
    last: recordedTime(24),
    spans: RECORDED.map(([from, to, isEvent, isLocked]) => ({
      from: recordedTime(from),
      to: recordedTime(to),
      bytes: 1_000_000_000,
      locked: isLocked,
      event: isEvent,
    })),
    events: [
      ["reported.door", 6.6, { label: ARABIC_NAME }],
      ["reported.door", 6.61],
      ["stream.interrupted", 9.75],
      ["stream.live", 10],
      ["motion", 11.5, { until: recordedTime(11.9) }],
      ["motion", 14, { until: recordedTime(14.1) }],
      ["camera.offline", 17.2],
      ["reported.bell", 18.55, { label: LONG_NAME }],
    ].map(([type, hours, more], n) =>
      event(100 + n, type, id, { at: recordedTime(hours), ...more }),
    ),
    has_more_events: false,
  };
}

/** Returns the activity of a recorded day: slow changes, with a few peaks. */
function activity() {
  const hours = RECORDED.flatMap(([from, to]) =>
    Array.from({ length: Math.ceil((to - from) * 10) }, (_, n) => from + n / 10),
  );
  return {
    parts: hours.map((hour) => ({
      from: recordedTime(hour),
      to: recordedTime(hour + 0.1),
      bits_per_second: Math.round(2e6 + 1e6 * Math.sin(hour) + (hour % 3 < 0.3 ? 2e6 : 0)),
      event: false,
    })),
  };
}

/** The cameras with recordings. */
const RECORDED_IDS = ids.slice(0, 5);
const SHARES = {
  shares: [
    ["insurance", null],
    [LONG_NAME, recordedTime(30)],
  ].map(([label, last_seen], n) => ({
    share_id: `share-${n}`,
    label,
    made_by: "boss",
    from: recordedTime(6.5),
    to: recordedTime(7),
    created_at: recordedTime(24),
    expires_at: recordedTime(24 * 8),
    last_seen,
  })),
};

async function pretendRecordings(page) {
  const json = (path, body) => page.route(path, (route) => route.fulfill({ json: body }));
  await json("**/api/caller", { name: null, role: "admin", rights: ["live", "recordings"] });
  await json("**/api/recordings", {
    streams: RECORDED_IDS.flatMap((id) =>
      [id, `${id}~sub`].map((stream) => ({
        id: stream,
        camera: id,
        from: recordedTime(1),
        to: recordedTime(24),
      })),
    ),
  });
  await json("**/api/storage", {
    directories: [
      {
        path: "/srv/recordings",
        is_usable: true,
        free_bytes: 1.2e12,
        disk_bytes: 4e12,
        problem: null,
      },
      {
        path: "/mnt/second-disk/recordings",
        is_usable: false,
        free_bytes: null,
        disk_bytes: null,
        problem: "the marker file is missing",
      },
    ],
    bytes: 9.1e11,
    bytes_per_day: 4.3e10,
    full_in_days: 27,
    cameras: ids.slice(0, 3).map((camera, n) => ({
      camera,
      is_known: n < 2,
      bytes: 3e11 / (n + 1),
      days: [{ day: "2024-11-21", bytes: 4e10 }],
    })),
  });
  await json("**/api/recordings/*/shares", SHARES);
  await json("**/api/cameras/*/recording", { streams: [{ profile: "main", state: "recording" }] });
  await page.route("**/recordings/*/timeline.json*", (route) => {
    const [, id] = /recordings\/([^/]+)\//.exec(route.request().url());
    return route.fulfill({ json: timeline(id) });
  });
  await json("**/recordings/*/activity.json*", activity());
  // The pictures never arrive, so the page always shows that it waits for them.
  await page.route(/\/recordings\/[^/]+\/.*\.(m3u8|jpg)/, () => undefined);
}

/**
 * Replaces what changes with time: streams, sessions, events, key figures, and the results of starts and of a search.
 */
export async function pretend(page) {
  const json = (path, body) => page.route(path, (route) => route.fulfill({ json: body }));
  await pretendRecordings(page);
  await json("**/api/streams", { streams: STREAMS });
  await json("**/api/health", HEALTH);
  await json("**/api/events?*", { events: EVENTS, next: "cursor", last_event_id: 10 });
  await page.route("**/api/events/counts?*", (route) => route.fulfill({ json: counts() }));
  await page.route("**/api/events/*/thumbnail", (route) =>
    route.fulfill({ contentType: "image/svg+xml", body: PICTURE }),
  );
  await page.route("**/api/events/stream*", (route) =>
    route.fulfill({ contentType: "text/event-stream", body: "id: 10\n\n" }),
  );
  await json("**/api/discovery", DISCOVERY);
  await page.route("**/api/playback/sessions", (route) =>
    route.fulfill({ json: { sessions: sessions() } }),
  );
  await json("**/api/streams/*/log*", {
    indicator_id: ids[0],
    lines: [
      { at: "2026-11-21T10:00:00.312Z", generation: 1, text: `[rtsp @ 0x55d0c8] ${LONG_NAME}` },
    ],
  });
  await page.route("**/snapshot.jpg*", (route) => route.fulfill({ status: 404, body: "" }));
  await page.route("**/api/cameras/*/stream/start*", (route) => {
    const id = /cameras\/([^/]+)\//.exec(route.request().url())[1];
    const { status, ...problem } = STARTS[id.slice(0, 2)] ?? {};
    if (status) {
      const body = JSON.stringify({ title: "Error", status, ...problem });
      route.fulfill({ status, contentType: "application/problem+json", body });
    }
  });
}
