// Generated from docs/reference/openapi.json by `npm run types`. That document describes the fields.

export type ActivityPart = {
  bits_per_second: number;
  event: boolean;
  from: string;
  to: string;
};

export type AudioOption = "auto" | "aac" | "off";

export type CallerOutput = {
  name?: string | null;
  rights: string[];
  role: string;
};

export type CameraInput = {
  analytics?: boolean | null;
  audio?: AudioOption;
  id?: string | null;
  ip?: string | null;
  keep?: KeepOption;
  motion?: MotionOptions | null;
  name?: string | null;
  onvif?: string | null;
  onvif_certificate?: string | null;
  owner?: string | null;
  password?: Password | null;
  path?: string | null;
  port?: number | null;
  recording?: RecordingOptions | null;
  rtsp_link?: Password | null;
  rtsp_link_sub?: Password | null;
  sealed?: string | null;
  sub_path?: string | null;
  transport?: TransportOption;
  username?: string | null;
  vendor?: string | null;
  video?: VideoOption;
};

export type CameraOutput = Partial<PartsOutput> & StreamOptions & {
  analytics: boolean;
  created_at: string;
  id: string;
  keep: KeepOption;
  motion: MotionOptions;
  name: string;
  onvif?: string | null;
  onvif_certificate?: string | null;
  owner?: string | null;
  picture_at?: string | null;
  picture_sub_at?: string | null;
  reachability?: ReachabilityOutput | null;
  recording: RecordingOptions;
  source?: string | null;
  source_sub?: string | null;
  updated_at: string;
};

export type CameraStorageOutput = {
  bytes: number;
  camera: string;
  days: DayOutput[];
  is_known: boolean;
  offsite_bytes: number;
};

export type CamerasOutput = {
  cameras: CameraOutput[];
  total: number;
};

export type Check = "stream_dir" | "ffmpeg" | "database" | "recordings" | "offsite" | "tasks" | "shutdown";

export type CheckErrorOutput = {
  at: string;
  code: ErrorKind;
  detail: string;
};

export type CountsOutput = {
  hours: EventCount[];
};

export type DayOutput = {
  bytes: number;
  day: string;
};

export type DeletedOutput = {
  deleted: number;
  left: number;
};

export type Device = {
  address: string;
  error?: string | null;
  error_code?: ErrorKind | null;
  firmware?: string | null;
  known_as?: string | null;
  main?: string | null;
  manufacturer?: string | null;
  model?: string | null;
  name?: string | null;
  needs_credentials: boolean;
  onvif: string;
  onvif_certificate?: string | null;
  port: number;
  profiles: DeviceProfile[];
  serial?: string | null;
  sub?: string | null;
};

export type DeviceProfile = {
  frame_rate?: number | null;
  height?: number | null;
  name: string;
  rtsp_link?: string | null;
  token: string;
  video_codec?: string | null;
  width?: number | null;
};

export type DirectoryOutput = {
  disk_bytes?: number | null;
  free_bytes?: number | null;
  is_usable: boolean;
  path: string;
  problem?: string | null;
};

export type Discovery = {
  devices: Device[];
  interfaces: string[];
  warnings: string[];
};

export type DiscoveryInput = {
  address?: string | null;
  interface?: string | null;
  onvif_certificate?: string | null;
  password?: Password | null;
  timeout_seconds?: number;
  username?: string | null;
};

export type Effect = "created" | "updated" | "unchanged";

export type ErrorKind = "invalid_request" | "invalid_id" | "invalid_source" | "not_found" | "method_not_allowed" | "request_timeout" | "body_too_large" | "unauthorized" | "forbidden" | "too_many_attempts" | "unknown_camera" | "camera_exists" | "too_many_cameras" | "event_exists" | "too_many_events" | "unknown_session" | "too_many_sessions" | "stopped" | "stream_ended" | "source_not_found" | "source_unauthorized" | "source_login_unsupported" | "source_unreachable" | "source_unsupported" | "source_busy" | "source_timeout" | "awaiting_keyframe" | "audio_unsupported" | "source_changed" | "source_forbidden" | "onvif_certificate_unknown" | "onvif_certificate_changed" | "codec_unsupported" | "storage_unavailable" | "storage_full" | "ffmpeg_unavailable" | "busy" | "too_many_streams" | "too_many_starts" | "too_many_viewers" | "webrtc_unavailable" | "webrtc_unsupported" | "no_recordings" | "formats_differ" | "unknown_share" | "recordings_off" | "unknown_subscription" | "too_many_subscriptions" | "push_forbidden" | "push_failed" | "range_not_satisfiable" | "precondition_failed" | "shutting_down" | "internal";

export type EventCount = {
  camera?: string | null;
  count: number;
  hour: string;
  type: string;
};

export type EventErrorOutput = {
  code: ErrorKind;
  detail: string;
};

export type EventKind = "stream.started" | "stream.live" | "stream.stalled" | "stream.interrupted" | "stream.failed" | "stream.stopped" | "camera.offline" | "camera.online" | "recording.started" | "recording.interrupted" | "recording.resumed" | "recording.stopped" | "storage.full" | "storage.failed" | "storage.slow" | "storage.recovered" | "motion" | string;

export type EventOutput = {
  at: string;
  camera?: string | null;
  data?: Record<string, unknown>;
  error?: EventErrorOutput | null;
  event?: number;
  generation?: number | null;
  id: string;
  label?: string;
  profile?: Profile | null;
  reason?: StopReason | null;
  type: EventKind;
  until?: string;
};

export type EventTrigger = {
  after_seconds?: number;
  before_seconds?: number;
  types?: string[];
};

export type EventsOutput = {
  events: StoredEvent[];
  last_event_id: number;
  next?: string | null;
};

export type Export = {
  bytes: number;
  duration_seconds: number;
  file_name: string;
  gaps: TimeSpan[];
  sha256: string;
};

export type ExportOutput = StreamOptions & {
  analytics: boolean;
  id: string;
  keep: KeepOption;
  motion: MotionOptions;
  name: string;
  onvif?: string | null;
  onvif_certificate?: string | null;
  owner?: string | null;
  recording: RecordingOptions;
  sealed: string;
};

export type FailedCheck = {
  check: Check;
  code: ErrorKind;
  detail: string;
};

export type Format = "json" | "csv" | "mediamtx" | "go2rtc" | "frigate";

export type HealthOutput = {
  active_streams: number;
  status: string;
  uptime_seconds: number;
  version: string;
  webrtc: Webrtc;
};

export type IdInput = {
  indicator_id: string | number;
  profile?: Profile;
};

export type ImportOutput = {
  cameras?: PreviewOutput[];
  created: number;
  format?: Format;
  left_out?: LeftOut[];
  missing_variables?: string[];
  unchanged: number;
  updated: number;
};

export type KeepOption = "on_demand" | "always";

export type LastErrorOutput = {
  code: ErrorKind;
  detail: string;
  seconds_ago: number;
};

export type LeftOut = {
  name: string;
  reason: string;
};

export type LockInput = {
  from: string;
  locked: boolean;
  to: string;
};

export type LockedOutput = {
  files: number;
};

export type LogLineOutput = {
  at: string;
  generation: number;
  text: string;
};

export type LogOutput = {
  indicator_id: string;
  lines: LogLineOutput[];
};

export type MediaOutput = {
  audio_codec?: string | null;
  bit_rate: number;
  frame_rate: number;
  gop_seconds?: number | null;
  height: number;
  transcoded: boolean;
  video_codec: string;
  width: number;
};

export type MotionBox = {
  height: number;
  left: number;
  top: number;
  width: number;
};

export type MotionDecoder = {
  cpu_percent: number;
  memory_bytes: number;
  shared: boolean;
};

export type MotionOptions = {
  sensitivity?: number;
  source?: MotionSource;
  zones?: MotionZone[];
};

export type MotionOutput = {
  boxes: MotionBox[];
  decoder?: MotionDecoder | null;
  error?: string | null;
  moving: boolean;
  picture_age_seconds?: number | null;
  pictures_per_second?: number | null;
  profile?: Profile | null;
  reduced: boolean;
  source: MotionSource;
};

export type MotionSource = "off" | "pictures";

export type MotionZone = {
  corners: number[][];
  effect: MotionZoneEffect;
};

export type MotionZoneEffect = "watch" | "ignore";

export type NewSessionOutput = SessionOutput & {
  hls_url?: string | null;
  token: string;
};

export type NewShare = Share & {
  export_url: string;
  hls_url: string;
  token: string;
};

export type NowInput = {
  seconds: number;
};

export type NowOutput = {
  until?: string | null;
};

export type OffsiteOutput = {
  bytes: number;
  problem?: string | null;
  url: string;
  waiting_bytes: number;
  waiting_files: number;
};

export type OutputDetails = {
  error?: LastErrorOutput | null;
  state: OutputState;
};

export type OutputState = "off" | "starting" | "live" | "failed";

export type OutputStates = {
  hls: OutputDetails;
};

export type PartsOutput = {
  has_password: boolean;
  ip: string;
  path: string;
  port: number;
  sub_path?: string | null;
  username: string;
  vendor?: string | null;
};

export type Password = string;

export type Preset = {
  main: string;
  name: string;
  notes?: string | null;
  port?: number;
  source?: string | null;
  sub?: string | null;
  vendor: string;
};

export type PreviewOutput = StreamOptions & {
  effect: Effect;
  id: string;
  name: string;
  notes?: string[];
  source?: string | null;
  source_sub?: string | null;
};

export type ProbeOutput = {
  status: string;
};

export type Problem = {
  code: ErrorKind;
  detail: string;
  onvif_certificate?: string;
  problems?: FailedCheck[];
  status: number;
  title: string;
};

export type ProcessOutput = {
  cpu_percent: number;
  memory_bytes: number;
  pictures_cpu_percent?: number | null;
};

export type Profile = "main" | "sub";

export type PushKeyOutput = {
  has_contact: boolean;
  public_key: string;
};

export type PushKeysInput = {
  auth: Password;
  p256dh: string;
};

export type PushSubscription = {
  cameras: string[];
  created_at: string;
  expires_at: string;
  id: string;
  label?: string | null;
  made_by: string;
  opened_at: string;
  owner?: string | null;
  per_minute: number;
  quiet_hours: ScheduleEntry[];
  server: string;
  time_zone?: string | null;
  types: string[];
  user?: string | null;
};

export type PushSubscriptionInput = {
  cameras?: string[];
  endpoint: Password;
  expirationTime?: number | null;
  keys: PushKeysInput;
  label?: string | null;
  owner?: string | null;
  per_minute?: number;
  quiet_hours?: ScheduleEntry[];
  time_zone?: string | null;
  types: string[];
  user?: string | null;
};

export type PushSubscriptionsOutput = {
  subscriptions: PushSubscription[];
};

export type ReachabilityOutput = {
  last_error?: CheckErrorOutput | null;
  reachable?: boolean | null;
  since?: string | null;
};

export type ReasonOutput = {
  code: ErrorKind;
  detail: string;
};

export type RecordedActivity = {
  parts: ActivityPart[];
};

export type RecordedDays = {
  days: boolean[];
};

export type RecordedOutput = {
  streams: RecordedStream[];
};

export type RecordedProfiles = "main" | "sub" | "both";

export type RecordedStream = {
  camera: string;
  from: string;
  id: string;
  to: string;
};

export type RecordingMode = "off" | "continuous" | "schedule" | "events";

export type RecordingOptions = {
  events?: EventTrigger;
  keep_days?: number | null;
  keep_event_days?: number | null;
  max_bytes?: number | null;
  mode?: RecordingMode;
  profile?: RecordedProfiles;
  schedule?: ScheduleEntry[];
  time_zone?: string | null;
};

export type RecordingState = "starting" | "awaiting_event" | "recording" | "no_signal" | "failed";

export type RecordingStatusOutput = {
  requested_until?: string | null;
  streams: StreamRecordingOutput[];
};

export type ReportInput = {
  at?: string;
  data?: Record<string, unknown>;
  id?: string;
  label?: string;
  type: string;
  until?: string;
};

export type RunningOutput = {
  generation: number;
  idle_seconds: number;
  last_error?: LastErrorOutput | null;
  media?: MediaOutput | null;
  outputs: OutputStates;
  process?: ProcessOutput | null;
  restarts: number;
  start_seconds?: number | null;
  started_at: string;
  uptime_seconds?: number | null;
  viewers: number;
};

export type ScheduleEntry = {
  days?: Weekday[];
  from: string;
  to: string;
};

export type SeenInput = {
  camera?: string;
  from?: string;
  id?: number;
  to?: string;
  type?: string;
  up_to?: number;
};

export type SeenOutput = {
  marked: number;
};

export type SessionInput = {
  camera?: string | null;
  cameras?: string[];
  cookie?: boolean;
  from?: string | null;
  rights?: string[];
  to?: string | null;
  ttl_seconds?: number;
  user: string;
};

export type SessionOutput = {
  cameras: string[];
  created_at: string;
  expires_at: string;
  from?: string | null;
  last_seen?: string | null;
  made_by?: string | null;
  rights: string[];
  session_id: string;
  state: SessionState;
  to?: string | null;
  user: string;
};

export type SessionState = "active" | "ended";

export type SessionsOutput = {
  sessions: SessionOutput[];
};

export type Share = {
  created_at: string;
  expires_at: string;
  from?: string | null;
  label: string;
  last_seen?: string | null;
  made_by?: string | null;
  share_id: string;
  to?: string | null;
};

export type ShareInput = {
  from: string;
  label?: string;
  to: string;
  ttl_seconds?: number;
};

export type Shares = {
  shares: Share[];
};

export type StartCameraInput = {
  output?: WantedOutput;
  profile?: Profile;
  rtsp_password?: string | null;
  rtsp_path?: string | null;
  rtsp_port?: number | null;
  rtsp_username?: string | null;
  wait?: boolean;
};

export type StartInput = {
  audio?: AudioOption | null;
  indicator_id: string | number;
  output?: WantedOutput;
  profile?: Profile;
  rtsp_link?: string | null;
  transport?: TransportOption | null;
  video?: VideoOption | null;
  wait?: boolean;
};

export type StartOutput = {
  indicator_id: string;
  reason?: ReasonOutput;
  status: StartStatus;
  stream_path: string;
};

export type StartStatus = "started" | "active" | "starting";

export type StopOutput = {
  indicator_id: string;
  status: string;
};

export type StopReason = "idle" | "stop" | "shutdown" | "failed";

export type StorageOutput = {
  bytes: number;
  bytes_per_day?: number | null;
  cameras: CameraStorageOutput[];
  directories: DirectoryOutput[];
  full_in_days?: number | null;
  offsite?: OffsiteOutput | null;
};

export type StoredEvent = {
  at: string;
  camera?: string | null;
  data: Record<string, unknown>;
  id: number;
  label?: string | null;
  repeats: number;
  reported_id?: string | null;
  seen: boolean;
  type: string;
  until?: string | null;
};

export type StreamInput = {
  output?: WantedOutput;
  profile?: Profile;
  wait?: boolean;
};

export type StreamOptions = {
  audio: AudioOption;
  transport: TransportOption;
  video: VideoOption;
};

export type StreamOutput = Partial<RunningOutput> & {
  indicator_id: string;
  options: StreamOptions;
  profile: Profile;
  source: string;
  state: StreamState;
  stream_path: string;
};

export type StreamRecordingOutput = {
  error?: string;
  profile: Profile;
  state: RecordingState;
};

export type StreamState = "starting" | "live" | "backoff" | "stopping" | "failed" | "stopped";

export type StreamsOutput = {
  streams: StreamOutput[];
};

export type TestInput = {
  analytics?: boolean | null;
  audio?: AudioOption;
  id?: string | null;
  ip?: string | null;
  keep?: KeepOption;
  motion?: MotionOptions | null;
  name?: string | null;
  onvif?: string | null;
  onvif_certificate?: string | null;
  owner?: string | null;
  password?: Password | null;
  path?: string | null;
  port?: number | null;
  profile?: "main" | "sub";
  recording?: RecordingOptions | null;
  rtsp_link?: Password | null;
  rtsp_link_sub?: Password | null;
  sealed?: string | null;
  sub_path?: string | null;
  transport?: TransportOption;
  username?: string | null;
  vendor?: string | null;
  video?: VideoOption;
};

export type TestOutput = {
  audio_codec?: string | null;
  frame_rate?: number | null;
  height: number;
  still: string;
  took_seconds: number;
  video_codec: string;
  width: number;
};

export type TimeSpan = {
  from: string;
  to: string;
};

export type Timeline = {
  events: StoredEvent[];
  first?: string | null;
  from: string;
  has_more_events: boolean;
  id: string;
  last?: string | null;
  spans: TimelineSpan[];
  to: string;
};

export type TimelineSpan = {
  bytes: number;
  event: boolean;
  from: string;
  locked: boolean;
  to: string;
};

export type TransportOption = "auto" | "tcp" | "udp";

export type VendorsOutput = {
  vendors: Preset[];
};

export type VideoOption = "auto" | "copy" | "h264";

export type WantedOutput = "hls" | "none";

export type Webrtc = {
  port?: number | null;
  reason?: string | null;
};

export type Weekday = "mon" | "tue" | "wed" | "thu" | "fri" | "sat" | "sun";
