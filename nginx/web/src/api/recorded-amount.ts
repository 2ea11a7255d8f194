// How much is recorded of a camera, for the question whether to delete the recordings with the camera.
import { hasRight, hasRole } from "./caller";
import { Problem } from "./problem";
import { listRecorded, readStorage, recordingStatus } from "./recordings";

/** The recordings of a camera. */
export interface RecordedAmount {
  /** Whether there are recordings; null if the caller cannot know. */
  hasRecordings: boolean | null;
  /** Bytes of all local recordings; null if the caller cannot know. */
  bytes: number | null;
  /** Bytes of all copies off-site. */
  offsiteBytes: number;
}

const UNKNOWN: RecordedAmount = { hasRecordings: null, bytes: null, offsiteBytes: 0 };
const NOTHING: RecordedAmount = { hasRecordings: false, bytes: 0, offsiteBytes: 0 };

/** Returns how much is recorded of a camera, as far as the caller can know. Does not fail. */
export async function recordedAmount(camera: string): Promise<RecordedAmount> {
  try {
    if (hasRole("admin")) {
      return await storedAmount(camera);
    }
    if (hasRight("recordings")) {
      const streams = await listRecorded();
      return { ...UNKNOWN, hasRecordings: streams.some((stream) => stream.camera === camera) };
    }
    await recordingStatus(camera);
    return UNKNOWN;
  } catch (error) {
    return error instanceof Problem && error.code === "recordings_off" ? NOTHING : UNKNOWN;
  }
}

async function storedAmount(camera: string): Promise<RecordedAmount> {
  const { cameras } = await readStorage();
  const stored = cameras.find((each) => each.camera === camera && each.is_known);
  // The file that is being written is not counted, so the first minute of a camera needs another question.
  const { streams } = await recordingStatus(camera);
  const isRecording = streams.some(({ state }) => state === "recording");
  const [bytes, offsiteBytes] = [stored?.bytes ?? 0, stored?.offsite_bytes ?? 0];
  return { hasRecordings: isRecording || bytes + offsiteBytes > 0, bytes, offsiteBytes };
}
