// What goes over the wire, as /api/openapi.json has it; only what the page uses.

export type Role = "viewer" | "user" | "admin";
export type Profile = "main" | "sub";

export interface Caller {
  /** The API key's name; null when the service has no keys. */
  name: string | null;
  role: Role;
}

export interface Camera {
  id: string;
  name: string;
  owner: string | null;
  source: string | null;
  source_sub: string | null;
  vendor?: string | null;
  ip?: string;
  port?: number;
  path?: string;
  sub_path?: string | null;
  username?: string;
  has_password?: boolean;
  onvif?: string | null;
  video: string;
  audio: string;
  transport: string;
}

export interface CamerasPage {
  cameras: Camera[];
  total: number;
}

/** As POST and PUT take it; what is left out keeps what it was, or has its default. */
export interface CameraInput {
  id?: string;
  name?: string;
  owner?: string;
  rtsp_link?: string;
  rtsp_link_sub?: string;
  vendor?: string;
  ip?: string;
  port?: number;
  path?: string;
  sub_path?: string;
  username?: string;
  password?: string;
  onvif?: string;
  video?: string;
  audio?: string;
  transport?: string;
}

export interface Vendor {
  vendor: string;
  name: string;
  main: string;
  sub: string | null;
  port?: number;
  notes?: string;
}

export interface Tested {
  video_codec: string;
  width: number;
  height: number;
  frame_rate: number | null;
  audio_codec: string | null;
  /** A JPEG in base64. */
  still: string | null;
  took_seconds: number;
}

export type StreamState = "starting" | "live" | "backoff" | "stopping" | "failed" | "stopped";

export interface LastError {
  code: string;
  detail: string;
  seconds_ago: number;
}

export interface Media {
  video_codec: string;
  transcoded: boolean;
  audio_codec: string | null;
  width: number;
  height: number;
  frame_rate: number;
  bit_rate: number;
  gop_seconds: number | null;
}

/** Fields from `viewers` on are there only while there is a stream. */
export interface Stream {
  indicator_id: string;
  profile: Profile;
  state: StreamState;
  stream_path: string;
  source: string;
  viewers?: number;
  started_at?: string;
  uptime_seconds?: number | null;
  restarts?: number;
  media?: Media | null;
  last_error?: LastError | null;
  process?: { cpu_percent: number; memory_bytes: number } | null;
}

export interface Health {
  status: string;
  active_streams: number;
  uptime_seconds: number;
  version: string;
}

export interface LogLine {
  at: string;
  generation: number;
  text: string;
}

export interface Session {
  session_id: string;
  user: string;
  cameras: string[];
  made_by: string | null;
  created_at: string;
  expires_at: string;
  last_seen: string | null;
  state: "active" | "ended";
}

export interface NewSession extends Session {
  token: string;
  hls_url: string | null;
}

export interface DeviceProfile {
  token: string;
  name: string;
  video_codec: string | null;
  width: number | null;
  height: number | null;
  frame_rate: number | null;
  rtsp_link: string | null;
}

export interface Device {
  address: string;
  port: number;
  name: string | null;
  manufacturer: string | null;
  model: string | null;
  firmware: string | null;
  serial: string | null;
  needs_credentials: boolean;
  error: string | null;
  profiles: DeviceProfile[];
  main: string | null;
  sub: string | null;
  /** The id of the camera that this is already. */
  known_as: string | null;
  /** Its ONVIF service. */
  onvif: string;
}

export interface Discovery {
  devices: Device[];
  interfaces: string[];
  warnings: string[];
}

export interface Imported {
  created: number;
  updated: number;
  unchanged: number;
}
