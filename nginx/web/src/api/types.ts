// Names that the page uses for the generated types of the API.
import type { CallerOutput } from "./schema";

export type Role = "viewer" | "user" | "admin";
export type Caller = CallerOutput & { role: Role };

export type {
  AudioOption,
  CameraInput,
  CameraOutput as Camera,
  CamerasOutput as CamerasPage,
  Device,
  DeviceProfile,
  Discovery,
  ErrorKind,
  EventsOutput as EventsPage,
  HealthOutput as Health,
  ImportOutput as Imported,
  KeepOption,
  LastErrorOutput as LastError,
  LogLineOutput as LogLine,
  LogOutput as LogLines,
  NewSessionOutput as NewSession,
  Preset as Vendor,
  PreviewOutput as PreviewCamera,
  Profile,
  SessionOutput as Session,
  SessionsOutput as SessionList,
  StartOutput as Started,
  StoredEvent,
  StreamOutput as Stream,
  StreamState,
  StreamsOutput as StreamList,
  TestInput,
  TestOutput as Tested,
  TransportOption,
  VendorsOutput as VendorList,
  VideoOption,
} from "./schema";
