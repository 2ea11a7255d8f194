// Responses that a page gets instead of the real responses of the service, so that the page always looks the same.
// The real service lists the cameras.

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

/**
 * Replaces what changes with time: streams, sessions, events, key figures, and the results of starts and of a search.
 */
export async function pretend(page) {
  const json = (path, body) => page.route(path, (route) => route.fulfill({ json: body }));
  await json("**/api/streams", { streams: STREAMS });
  await json("**/api/health", HEALTH);
  await json("**/api/events?*", { events: EVENTS, next: "cursor", last_event_id: 9 });
  await page.route("**/api/events/stream*", (route) =>
    route.fulfill({ contentType: "text/event-stream", body: "id: 9\n\n" }),
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
