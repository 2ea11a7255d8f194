// The number of changes that this page has made to cameras, so that views read them again.
import { signal } from "@preact/signals";

export const cameraChanges = signal(0);
