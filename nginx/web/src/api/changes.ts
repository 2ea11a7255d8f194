// The number of changes that this page has made to cameras. Views that show cameras subscribe to the
// number, and request the cameras again after each change.
import { signal } from "@preact/signals";

export const cameraChanges = signal(0);
