// Names that the page uses for the generated types of the API.
import type { CallerOutput, RecordingStatusOutput } from "./schema";

export type Role = "viewer" | "user" | "admin";
export type RecordingStatus = RecordingStatusOutput & {
  /** The end of the recording that was requested; null if none was requested. */
  requested_until?: string | null;
};
export type Caller = CallerOutput & { role: Role };

export type {
  ActivityPart,
  AudioOption,
  CameraInput,
  CameraOutput as Camera,
  CamerasOutput as CamerasPage,
  DeletedOutput as Deleted,
  Device,
  DeviceProfile,
  Discovery,
  ErrorKind,
  EventsOutput as EventsPage,
  Export as ExportFile,
  HealthOutput as Health,
  ImportOutput as Imported,
  KeepOption,
  LastErrorOutput as LastError,
  LogLineOutput as LogLine,
  LogOutput as LogLines,
  NewSessionOutput as NewSession,
  NewShare,
  Preset as Vendor,
  PreviewOutput as PreviewCamera,
  Profile,
  RecordedActivity,
  RecordedDays,
  RecordedOutput as RecordedList,
  RecordedProfiles,
  RecordedStream,
  RecordingMode,
  RecordingOptions,
  ScheduleEntry,
  SessionOutput as Session,
  SessionsOutput as SessionList,
  Share,
  Shares as ShareList,
  StartOutput as Started,
  StorageOutput as Storage,
  StoredEvent,
  StreamOutput as Stream,
  StreamState,
  StreamsOutput as StreamList,
  TestInput,
  TestOutput as Tested,
  Timeline,
  TimelineSpan,
  TransportOption,
  VendorsOutput as VendorList,
  VideoOption,
  Weekday,
} from "./schema";
